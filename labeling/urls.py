"""The pages of the labelling half."""

from django.urls import path

from labeling.views import (
    accounts,
    candidates,
    compare,
    erasure,
    flags,
    gold,
    guidelines,
    members,
    passwords,
    projects,
    prompts,
    quality,
    revisions,
    site_accounts,
    snapshots,
    strength,
    writing,
)

app_name = "labeling"

_PROJECT = "projects/<slug:slug>/"

urlpatterns = [
    path("login/", accounts.login, name="login"),
    path("logout/", accounts.logout, name="logout"),
    path("settings/", accounts.own_settings, name="own_settings"),
    path("settings/password/", passwords.own_password, name="own_password"),
    path("password/<int:pk>/<str:token>/", passwords.password_link, name="password_link"),
    path("accounts/", site_accounts.account_list, name="account_list"),
    path("accounts/<int:pk>/", site_accounts.account_detail, name="account_detail"),
    path("accounts/<int:pk>/erase/", erasure.account_erase, name="account_erase"),
    path("accounts/<int:pk>/<slug:deed>/", site_accounts.account_deed, name="account_deed"),
    path("", projects.project_list, name="project_list"),
    path("projects/new/", projects.project_new, name="project_new"),
    path(_PROJECT, projects.project_detail, name="project_detail"),
    path(f"{_PROJECT}settings/", projects.project_settings, name="project_settings"),
    path(f"{_PROJECT}settings/flags/", flags.flag_set, name="flag_set"),
    path(f"{_PROJECT}guidelines/", projects.guideline_list, name="guideline_list"),
    path(f"{_PROJECT}log/", projects.audit_log, name="audit_log"),
    path(f"{_PROJECT}members/", members.member_list, name="member_list"),
    path(f"{_PROJECT}members/<int:pk>/role/", members.member_role, name="member_role"),
    path(f"{_PROJECT}members/<int:pk>/remove/", members.member_remove, name="member_remove"),
    path(f"{_PROJECT}prompts/", prompts.prompt_list, name="prompt_list"),
    path(f"{_PROJECT}prompts/<int:pk>/", prompts.prompt_detail, name="prompt_detail"),
    path(
        f"{_PROJECT}prompts/<int:pk>/demonstrations/<int:demonstration_id>/withdraw/",
        prompts.demonstration_withdraw,
        name="demonstration_withdraw",
    ),
    path(f"{_PROJECT}candidates/<int:pk>/flag/", candidates.candidate_flag, name="candidate_flag"),
    path(f"{_PROJECT}imports/", prompts.import_list, name="import_list"),
    path(f"{_PROJECT}imports/<uuid:uid>/", prompts.import_detail, name="import_detail"),
    path(f"{_PROJECT}compare/", compare.compare, name="compare"),
    path(f"{_PROJECT}compare/submit/", compare.compare_submit, name="compare_submit"),
    path(f"{_PROJECT}compare/ahead/", compare.compare_ahead, name="compare_ahead"),
    path(f"{_PROJECT}compare/skip/", compare.compare_skip, name="compare_skip"),
    path(f"{_PROJECT}compare/renew/", compare.compare_renew, name="compare_renew"),
    path(f"{_PROJECT}compare/back/", revisions.compare_back, name="compare_back"),
    path(f"{_PROJECT}compare/revise/", revisions.compare_revise, name="compare_revise"),
    path(f"{_PROJECT}compare/guideline/", guidelines.compare_guideline, name="compare_guideline"),
    path(f"{_PROJECT}write/", writing.write, name="write"),
    path(f"{_PROJECT}write/submit/", writing.write_submit, name="write_submit"),
    path(f"{_PROJECT}write/skip/", writing.write_skip, name="write_skip"),
    path(f"{_PROJECT}write/draft/", writing.write_draft, name="write_draft"),
    path(f"{_PROJECT}write/renew/", writing.write_renew, name="write_renew"),
    path(f"{_PROJECT}write/preview/", writing.write_preview, name="write_preview"),
    path(f"{_PROJECT}write/<uuid:uid>/", writing.write_correct, name="write_correct"),
    path(f"{_PROJECT}me/", quality.own_work, name="own_work"),
    path(f"{_PROJECT}quality/", quality.quality, name="quality"),
    path(f"{_PROJECT}quality/models/", strength.strength, name="strength"),
    path(f"{_PROJECT}comparisons/<uuid:uid>/gold/", gold.gold_set, name="gold_set"),
    path(
        f"{_PROJECT}comparisons/<uuid:uid>/gold/withdraw/", gold.gold_withdraw, name="gold_withdraw"
    ),
    path(f"{_PROJECT}snapshots/", snapshots.snapshot_list, name="snapshot_list"),
    path(f"{_PROJECT}snapshots/<int:number>/", snapshots.snapshot_detail, name="snapshot_detail"),
    path(f"{_PROJECT}snapshots/<int:number>/exports/", snapshots.export_list, name="export_list"),
    path(
        f"{_PROJECT}exports/<uuid:uid>/download/", snapshots.export_download, name="export_download"
    ),
]
