"""The API's addresses under /api/v1/."""

from django.urls import path

from labeling.api import accounts, assignments, judgements, projects, prompts, snapshots, writing

app_name = "labeling_api"

urlpatterns = [
    path("token/", accounts.TokenView.as_view(), name="token"),
    path("me/", accounts.MeView.as_view(), name="me"),
    path("projects/", projects.ProjectListView.as_view(), name="projects"),
    path("projects/<slug:slug>/", projects.ProjectView.as_view(), name="project"),
    path("projects/<slug:slug>/progress/", projects.ProgressView.as_view(), name="progress"),
    path("projects/<slug:slug>/quality/", projects.QualityView.as_view(), name="quality"),
    path("projects/<slug:slug>/quality/models/", projects.StrengthView.as_view(), name="strength"),
    path(
        "projects/<slug:slug>/guidelines/", projects.GuidelineListView.as_view(), name="guidelines"
    ),
    path(
        "projects/<slug:slug>/guidelines/<int:version>/",
        projects.GuidelineView.as_view(),
        name="guideline",
    ),
    path("projects/<slug:slug>/members/", projects.MemberListView.as_view(), name="members"),
    path(
        "projects/<slug:slug>/members/<str:username>/",
        projects.MemberView.as_view(),
        name="member",
    ),
    path("projects/<slug:slug>/prompts/", prompts.PromptListView.as_view(), name="prompts"),
    path("projects/<slug:slug>/imports/", prompts.ImportListView.as_view(), name="imports"),
    path("imports/<uuid:uid>/", prompts.ImportView.as_view(), name="import"),
    path("projects/<slug:slug>/assignments/next/", assignments.NextView.as_view(), name="next"),
    path(
        "assignments/<uuid:uid>/judgement/", assignments.JudgementView.as_view(), name="judgement"
    ),
    path(
        "projects/<slug:slug>/own-judgements/<int:back>/",
        judgements.OwnJudgementView.as_view(),
        name="own_judgement",
    ),
    path("judgements/<uuid:uid>/revision/", judgements.RevisionView.as_view(), name="revision"),
    path("projects/<slug:slug>/flag-sets/", judgements.FlagSetListView.as_view(), name="flag_sets"),
    path("assignments/<uuid:uid>/skip/", assignments.SkipView.as_view(), name="skip"),
    path("assignments/<uuid:uid>/renew/", assignments.RenewView.as_view(), name="renew"),
    path(
        "projects/<slug:slug>/writing/next/",
        writing.WritingNextView.as_view(),
        name="writing_next",
    ),
    path(
        "writing/<uuid:uid>/demonstration/",
        writing.DemonstrationView.as_view(),
        name="demonstration",
    ),
    path("writing/<uuid:uid>/skip/", writing.WritingSkipView.as_view(), name="writing_skip"),
    path("writing/<uuid:uid>/renew/", writing.WritingRenewView.as_view(), name="writing_renew"),
    path("projects/<slug:slug>/snapshots/", snapshots.SnapshotListView.as_view(), name="snapshots"),
    path("snapshots/<int:snapshot_id>/", snapshots.SnapshotView.as_view(), name="snapshot"),
    path(
        "snapshots/<int:snapshot_id>/exports/", snapshots.ExportListView.as_view(), name="exports"
    ),
    path("exports/<uuid:uid>/", snapshots.ExportView.as_view(), name="export"),
    path("exports/<uuid:uid>/download/", snapshots.DownloadView.as_view(), name="download"),
]
