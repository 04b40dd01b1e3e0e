"""What the ranking page tells of the guidelines: which version was read."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_POST

from labeling.services.projects import mark_guideline_read
from labeling.views.access import project_for, reader, signed_in


@require_POST
@signed_in
def compare_guideline(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Remember that the reader has read this version of the guidelines."""
    project = project_for(request, slug, "judgement.make")
    given = request.POST.get("version", "")
    version = int(given) if given.isdecimal() and len(given) < 10 else 0
    mark_guideline_read(actor=reader(request), project=project, version=version)
    return HttpResponse(status=204)
