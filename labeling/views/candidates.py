"""What a manager decides about one candidate."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from labeling.exceptions import NotFound
from labeling.models import Candidate
from labeling.services.blindness import set_maker_flag
from labeling.views.access import go_to, project_for, reader, signed_in


@require_POST
@signed_in
def candidate_flag(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Let a candidate in that was said to name its maker, or keep one out (`flagged` is 1)."""
    project = project_for(request, slug, "candidate.flag")
    candidate = Candidate.objects.filter(prompt__project=project, pk=pk).first()
    if candidate is None:
        raise NotFound(_("There is no such candidate in this project."))
    flagged = request.POST.get("flagged") == "1"
    set_maker_flag(actor=reader(request), candidate=candidate, flagged=flagged)
    if flagged:
        messages.success(request, _("Annotators will not see this candidate."))
    else:
        messages.success(request, _("Annotators may see this candidate."))
    return go_to(request, "labeling:prompt_detail", slug, candidate.prompt_id)
