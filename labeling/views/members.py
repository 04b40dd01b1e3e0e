"""Members of a project: who they are, added, given another role, taken out."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from labeling.exceptions import InvalidInput, NotFound
from labeling.forms import MemberForm, RoleForm, refuse
from labeling.models import Membership, Project, Role
from labeling.selectors.accounts import addable_names
from labeling.selectors.projects import member_rows
from labeling.services.projects import remove_member, set_member
from labeling.views.access import answer, go_to, project_for, reader, signed_in, wants_piece


def _listed(
    request: HttpRequest, project: Project, form: MemberForm, error: InvalidInput | None = None
) -> HttpResponse:
    """Show the list with the form, and what was refused."""
    context = {
        "project": project,
        "members": member_rows(project),
        "names": addable_names(project),
        "form": form,
        "roles": Role.choices,
        "error": error,
    }
    status = 422 if form.errors or error else 200
    page, piece = "labeling/member_list.html", "labeling/_member_list.html"
    return answer(request, page, piece, context, status)


def _changed(request: HttpRequest, project: Project) -> HttpResponse:
    if wants_piece(request):
        return _listed(request, project, MemberForm())
    return go_to(request, "labeling:member_list", project.slug)


def _membership(project: Project, pk: int) -> Membership:
    found = Membership.objects.filter(project=project, pk=pk).select_related("user", "project")
    membership = found.first()
    if membership is None:
        raise NotFound(_("There is no such member."))
    return membership


@require_http_methods(["GET", "POST"])
@signed_in
def member_list(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the members; add one by user name."""
    project = project_for(request, slug, "member.manage")
    form = MemberForm(request.POST or None)
    if request.method == "GET" or not form.is_valid():
        return _listed(request, project, form)
    user, role = form.cleaned_data["username"], Role(form.cleaned_data["role"])
    try:
        set_member(actor=reader(request), project=project, user=user, role=role)
    except InvalidInput as error:
        refuse(form, error)
        return _listed(request, project, form)
    return _changed(request, project)


@require_POST
@signed_in
def member_role(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Give a member another role."""
    project = project_for(request, slug, "member.manage")
    membership = _membership(project, pk)
    form = RoleForm(request.POST)
    try:
        if not form.is_valid():
            raise InvalidInput(_("There is no such role."))
        set_member(
            actor=reader(request),
            project=project,
            user=membership.user,
            role=Role(form.cleaned_data["role"]),
        )
    except InvalidInput as error:
        return _listed(request, project, MemberForm(), error)
    return _changed(request, project)


@require_POST
@signed_in
def member_remove(request: HttpRequest, slug: str, pk: int) -> HttpResponseBase:
    """Take a member out of the project."""
    project = project_for(request, slug, "member.manage")
    membership = _membership(project, pk)
    try:
        remove_member(actor=reader(request), membership=membership)
    except InvalidInput as error:
        return _listed(request, project, MemberForm(), error)
    return _changed(request, project)
