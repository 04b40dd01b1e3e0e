"""The flags of a project: the yes/no questions that its annotators answer of each reply."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from labeling.exceptions import PrefloopError
from labeling.forms import FlagSetForm, refuse
from labeling.models import FlagSet
from labeling.services.projects import publish_flag_set
from labeling.views.access import answer, go_to, project_for, reader, signed_in


@require_http_methods(["GET", "POST"])
@signed_in
def flag_set(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the flags and their versions; publish the next one."""
    project = project_for(request, slug, "project.configure")
    versions = list(FlagSet.objects.filter(project=project).order_by("-version"))
    text = FlagSetForm.as_text(versions[0].flags) if versions else ""
    form = FlagSetForm(request.POST or None, initial={"flags": text})
    if request.method == "POST" and form.is_valid():
        try:
            publish_flag_set(actor=reader(request), project=project, **form.cleaned_data)
        except PrefloopError as error:
            refuse(form, error)
        else:
            messages.success(request, _("The flags are published."))
            return go_to(request, "labeling:flag_set", slug)
    context = {"project": project, "versions": versions, "form": form}
    status = 422 if form.errors else 200
    page, piece = "labeling/flag_set.html", "labeling/_flag_set_form.html"
    return answer(request, page, piece, context, status)
