"""Projects, their members, guidelines and progress."""

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ApiView, PagedView, answers
from labeling.api.quality_serializers import ModelTableSerializer, QualitySerializer
from labeling.api.serializers import (
    GuidelineInput,
    GuidelineSerializer,
    JudgesFilter,
    MemberInput,
    MemberSerializer,
    OwnProjectSerializer,
    ProgressSerializer,
    ProjectInput,
    SettingsInput,
)
from labeling.exceptions import InvalidInput
from labeling.models import Guideline, Membership, Project, Role, User
from labeling.permissions import may, require, role_in
from labeling.selectors.progress import own_pace, pace_note, project_progress
from labeling.selectors.projects import member_rows, own_projects
from labeling.selectors.quality import own_agreement, project_quality
from labeling.selectors.strength import JUDGES, model_table
from labeling.services.projects import (
    create_project,
    publish_guideline,
    remove_member,
    set_member,
    update_project,
)


class ProjectListView(PagedView):
    """The projects that whoever asks belongs to."""

    @extend_schema(operation_id="projects_list", responses=answers(OwnProjectSerializer(many=True)))
    def get(self, request: Request) -> Response:
        """List own projects by name; a site admin sees all."""
        return self.page(own_projects(self.actor), OwnProjectSerializer)

    @extend_schema(
        operation_id="projects_create",
        request=ProjectInput,
        responses=answers(OwnProjectSerializer, 201),
    )
    def post(self, request: Request) -> Response:
        """Make a project, whose owner one becomes; site admins alone may."""
        require(self.actor, "project.create")
        given = ProjectInput(data=request.data)
        given.is_valid(raise_exception=True)
        project = create_project(actor=self.actor, **given.validated_data)
        location = reverse("labeling_api:project", args=[project.slug])
        data = OwnProjectSerializer({"project": project, "role": Role.OWNER}).data
        return Response(data, status=201, headers={"Location": location})


class ProjectView(ApiView):
    """One project."""

    @extend_schema(operation_id="projects_read", responses=answers(OwnProjectSerializer))
    def get(self, request: Request, slug: str) -> Response:
        """Read a project's settings and one's own role in it."""
        project = self.project(slug, "project.view")
        return self._shown(project)

    @extend_schema(
        operation_id="projects_update",
        request=SettingsInput(partial=True),
        responses=answers(OwnProjectSerializer),
    )
    def patch(self, request: Request, slug: str) -> Response:
        """Change settings; comparisons that are queued already stay as they were made."""
        project = self.project(slug, "project.configure")
        given = SettingsInput(project, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        return self._shown(
            update_project(actor=self.actor, project=project, **given.validated_data)
        )

    def _shown(self, project: Project) -> Response:
        role = role_in(self.actor, project) or ""
        return Response(OwnProjectSerializer({"project": project, "role": role}).data)


class ProgressView(ApiView):
    """How far the work is."""

    @extend_schema(operation_id="progress_read", responses=answers(ProgressSerializer))
    def get(self, request: Request, slug: str) -> Response:
        """Read one's own progress, and the project's counts for those who may read its quality."""
        project = self.project(slug, "project.view")
        reads_quality = may(self.actor, "quality.view", project)
        progress = {
            "own": {
                "pace": own_pace(self.actor, project),
                "note": pace_note(self.actor, project),
                "agreement": own_agreement(self.actor, project)
                if project.shows_agreement
                else None,
            },
            "project": project_progress(project) if reads_quality else None,
        }
        return Response(ProgressSerializer(progress).data)


class QualityView(ApiView):
    """How a project's annotators work."""

    @extend_schema(operation_id="quality_read", responses=answers(QualitySerializer))
    def get(self, request: Request, slug: str) -> Response:
        """Read agreement, gold, pace and position bias; names are for those who manage."""
        project = self.project(slug, "quality.view")
        names = may(self.actor, "project.configure", project)
        return Response(QualitySerializer(project_quality(project, names=names)).data)


class StrengthView(ApiView):
    """Which of a project's models are preferred."""

    @extend_schema(
        operation_id="strengths_read",
        parameters=[OpenApiParameter("judges", str, enum=list(JUDGES), default="people")],
        responses=answers(ModelTableSerializer),
    )
    def get(self, request: Request, slug: str) -> Response:
        """Read the models' Bradley-Terry strengths, by people, AI judges or imported sources."""
        project = self.project(slug, "quality.view")
        asked = JudgesFilter(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        return Response(ModelTableSerializer(model_table(project, **asked.validated_data)).data)


class GuidelineListView(PagedView):
    """All versions of a project's guidelines."""

    @extend_schema(
        operation_id="guidelines_list", responses=answers(GuidelineSerializer(many=True))
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the versions, newest first."""
        project = self.project(slug, "project.view")
        rows = Guideline.objects.filter(project=project).order_by("-version")
        return self.page(rows, GuidelineSerializer)

    @extend_schema(
        operation_id="guidelines_publish",
        request=GuidelineInput,
        responses=answers(GuidelineSerializer, 201),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Publish the next version."""
        project = self.project(slug, "guideline.write")
        given = GuidelineInput(data=request.data)
        given.is_valid(raise_exception=True)
        guideline = publish_guideline(actor=self.actor, project=project, **given.validated_data)
        return Response(GuidelineSerializer(guideline).data, status=201)


class GuidelineView(ApiView):
    """One version of a project's guidelines."""

    @extend_schema(operation_id="guidelines_read", responses=answers(GuidelineSerializer))
    def get(self, request: Request, slug: str, version: int) -> Response:
        """Read the version that a card named."""
        rows = Guideline.objects.filter(project__slug=slug, version=version)
        guideline = self.reach(rows.select_related("project"), "project.view", "project")
        return Response(GuidelineSerializer(guideline).data)


class MemberListView(PagedView):
    """Who works in a project."""

    @extend_schema(operation_id="members_list", responses=answers(MemberSerializer(many=True)))
    def get(self, request: Request, slug: str) -> Response:
        """List the members by name."""
        project = self.project(slug, "member.manage")
        return self.page(member_rows(project), MemberSerializer)

    @extend_schema(
        operation_id="members_set", request=MemberInput, responses=answers(MemberSerializer)
    )
    def post(self, request: Request, slug: str) -> Response:
        """Give an account a role, in place of the one it had."""
        project = self.project(slug, "member.manage")
        given = MemberInput(data=request.data)
        given.is_valid(raise_exception=True)
        user = User.objects.filter(username=given.validated_data["username"]).first()
        if user is None:
            raise InvalidInput("There is no such account.", errors={"username": ["Unknown."]})
        role = given.validated_data["role"]
        membership = set_member(actor=self.actor, project=project, user=user, role=role)
        return Response(MemberSerializer(membership).data)


class MemberView(ApiView):
    """One member of a project."""

    @extend_schema(operation_id="members_remove", responses=answers(None, 204))
    def delete(self, request: Request, slug: str, username: str) -> Response:
        """Take an account out of the project; its judgements stay."""
        rows = Membership.objects.filter(project__slug=slug, user__username=username)
        self.project(slug, "member.manage")
        membership = self.reach(rows.select_related("project"), "member.manage", "project")
        remove_member(actor=self.actor, membership=membership)
        return Response(status=204)
