"""Projects: the list, the dashboard, settings, guidelines and the log."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from labeling.exceptions import PrefloopError
from labeling.forms import GuidelineForm, NewProjectForm, ProjectForm, refuse
from labeling.models import Guideline, User
from labeling.permissions import may, require
from labeling.selectors.progress import own_progress, project_progress
from labeling.selectors.projects import audit_rows, judgements_by_day, own_projects
from labeling.selectors.queue import queue_size
from labeling.selectors.writing import writing_left
from labeling.services.projects import create_project, publish_guideline, update_project
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from labeling.views.charts import HEIGHT, WIDTH, day_bars

PAGE_SIZE = 50


@require_GET
@signed_in
def project_list(request: HttpRequest) -> HttpResponseBase:
    """Show the projects that the reader may open."""
    user = reader(request)
    context = {"projects": own_projects(user), "can_create": may(user, "project.create")}
    return render(request, "labeling/project_list.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def project_new(request: HttpRequest) -> HttpResponseBase:
    """Make a project; its maker becomes its owner."""
    user = reader(request)
    require(user, "project.create")
    form = NewProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = create_project(actor=user, **form.cleaned_data)
        except PrefloopError as error:
            refuse(form, error)
        else:
            return go_to(request, "labeling:project_detail", project.slug)
    status = 422 if form.errors else 200
    page, piece = "labeling/project_new.html", "labeling/_project_form.html"
    return answer(request, page, piece, {"form": form}, status)


@require_GET
@signed_in
def project_detail(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show how the project stands: to annotators their own work, to readers of quality all."""
    project = project_for(request, slug, "project.view")
    user = reader(request)
    sees_all = may(user, "quality.view", project)
    only: User | None = None if sees_all else user
    context = {
        "project": project,
        "own": own_progress(user, project),
        "queue_size": queue_size(project),
        "writing_left": writing_left(project),
        "progress": project_progress(project) if sees_all else None,
        "bars": day_bars(judgements_by_day(project, user=only)),
        "chart_width": WIDTH,
        "chart_height": HEIGHT,
    }
    return render(request, "labeling/project_detail.html", context)


@require_http_methods(["GET", "POST"])
@signed_in
def project_settings(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show and change the project's settings."""
    project = project_for(request, slug, "project.configure")
    initial = {name: getattr(project, name) for name in ProjectForm.names()}
    form = ProjectForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            update_project(actor=reader(request), project=project, **form.cleaned_data)
        except PrefloopError as error:
            refuse(form, error)
        else:
            messages.success(request, _("The settings are saved."))
            return go_to(request, "labeling:project_settings", slug)
    context = {"project": project, "form": form}
    status = 422 if form.errors else 200
    page, piece = "labeling/project_settings.html", "labeling/_project_form.html"
    return answer(request, page, piece, context, status)


@require_http_methods(["GET", "POST"])
@signed_in
def guideline_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the guidelines and their versions; publish the next one."""
    deed = "guideline.write" if request.method == "POST" else "project.view"
    project = project_for(request, slug, deed)
    versions = list(Guideline.objects.filter(project=project).order_by("-version"))
    text = versions[0].text if versions else ""
    form = GuidelineForm(request.POST or None, initial={"text": text})
    if request.method == "POST" and form.is_valid():
        publish_guideline(actor=reader(request), project=project, **form.cleaned_data)
        messages.success(request, _("The next version is published."))
        return go_to(request, "labeling:guideline_list", slug)
    context = {"project": project, "versions": versions, "form": form}
    status = 422 if form.errors else 200
    page, piece = "labeling/guideline_list.html", "labeling/_guideline_form.html"
    return answer(request, page, piece, context, status)


@require_GET
@signed_in
def audit_log(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show what was done in the project, and by whom."""
    project = project_for(request, slug, "audit.view")
    page = Paginator(audit_rows(project), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "labeling/audit_log.html", {"project": project, "page": page})
