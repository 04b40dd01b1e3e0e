"""The pages of the training half."""

from django.urls import path

from training.calibration import views as calibration
from training.constitutions import views as constitutions
from training.contests import views as contests
from training.endpoints import views as endpoints
from training.judges import views as judges
from training.lineage import views as lineage
from training.playground import views as playground
from training.rounds import report_views as reports
from training.rounds import views as rounds
from training.views import compare, evaluations, models, runs

app_name = "training"

_PROJECT = "projects/<slug:slug>/"
_RUN = f"{_PROJECT}runs/<uuid:uid>/"
_ROUND = f"{_PROJECT}rounds/<int:number>/"
_JUDGE = f"{_PROJECT}judges/<uuid:uid>/"

urlpatterns = [
    path("endpoints/", endpoints.endpoint_list, name="endpoint_list"),
    path("endpoints/new/", endpoints.endpoint_new, name="endpoint_new"),
    path("endpoints/<int:pk>/", endpoints.endpoint_detail, name="endpoint_detail"),
    path("endpoints/<int:pk>/test/", endpoints.endpoint_test, name="endpoint_test"),
    path("endpoints/<int:pk>/offer/", endpoints.endpoint_offer, name="endpoint_offer"),
    path(f"{_PROJECT}runs/", runs.run_list, name="run_list"),
    path(f"{_PROJECT}runs/new/", runs.run_new, name="run_new"),
    path(f"{_PROJECT}runs/compare/", compare.run_compare, name="run_compare"),
    path(_RUN, runs.run_detail, name="run_detail"),
    path(f"{_RUN}stop/", runs.run_stop, name="run_stop"),
    path(f"{_RUN}cancel/", runs.run_cancel, name="run_cancel"),
    path(f"{_RUN}resume/", runs.run_resume, name="run_resume"),
    path(f"{_RUN}chains/", constitutions.run_chains, name="run_chains"),
    path(f"{_PROJECT}constitutions/", constitutions.constitution_list, name="constitution_list"),
    path(
        f"{_PROJECT}constitutions/<int:pk>/",
        constitutions.constitution_detail,
        name="constitution_detail",
    ),
    path(f"{_PROJECT}models/<int:pk>/revise/", constitutions.revising_new, name="revising_new"),
    path(f"{_PROJECT}rounds/", rounds.round_list, name="round_list"),
    path(f"{_PROJECT}rounds/loop/", rounds.loop_edit, name="loop_edit"),
    path(f"{_PROJECT}rounds/start/", rounds.round_start, name="round_start"),
    path(f"{_PROJECT}rounds/promote/", rounds.policy_promote, name="policy_promote"),
    path(f"{_PROJECT}rounds/back/", rounds.policy_roll_back, name="policy_roll_back"),
    path(_ROUND, rounds.round_detail, name="round_detail"),
    path(f"{_ROUND}pause/", rounds.round_pause, name="round_pause"),
    path(f"{_ROUND}go-on/", rounds.round_go_on, name="round_go_on"),
    path(f"{_ROUND}cancel/", rounds.round_cancel, name="round_cancel"),
    path(f"{_ROUND}redo/", rounds.round_redo, name="round_redo"),
    path(f"{_ROUND}decide/", rounds.round_decide, name="round_decide"),
    path(f"{_ROUND}report/", reports.round_report_page, name="round_report"),
    path(f"{_ROUND}report.json", reports.round_report_json, name="round_report_json"),
    path(f"{_ROUND}report.md", reports.round_report_markdown, name="round_report_markdown"),
    path(f"{_PROJECT}judges/", judges.judge_list, name="judge_list"),
    path(f"{_PROJECT}judges/new/", judges.judge_new, name="judge_new"),
    path(_JUDGE, judges.judge_detail, name="judge_detail"),
    path(f"{_JUDGE}ask/", judges.judge_ask, name="judge_ask"),
    path(f"{_JUDGE}retire/", judges.judge_retire, name="judge_retire"),
    path(f"{_PROJECT}contests/", contests.contest_list, name="contest_list"),
    path(f"{_PROJECT}contests/open/", contests.contest_open, name="contest_open"),
    path(f"{_PROJECT}contests/<int:number>/", contests.contest_detail, name="contest_detail"),
    path(f"{_PROJECT}contests/<int:number>/end/", contests.contest_end, name="contest_end"),
    path(
        f"{_PROJECT}judges/<uuid:uid>/calibration/",
        calibration.judge_calibration,
        name="judge_calibration",
    ),
    path(
        f"{_PROJECT}judges/<uuid:uid>/calibration/sample/",
        calibration.judge_sample,
        name="judge_sample",
    ),
    path(
        f"{_PROJECT}judges/<uuid:uid>/calibration/route/",
        calibration.judge_route,
        name="judge_route",
    ),
    path(f"{_PROJECT}evaluations/new/", evaluations.evaluation_new, name="evaluation_new"),
    path(f"{_PROJECT}playground/", playground.playground, name="playground"),
    path(f"{_PROJECT}playground/reply/", playground.playground_reply, name="playground_reply"),
    path(f"{_PROJECT}playground/offer/", playground.playground_offer, name="playground_offer"),
    path(
        f"{_PROJECT}playground/prompts/", playground.playground_prompts, name="playground_prompts"
    ),
    path(
        f"{_PROJECT}playground/prompts/withdraw/",
        playground.playground_withdraw_all,
        name="playground_withdraw_all",
    ),
    path(
        f"{_PROJECT}playground/prompts/<int:pk>/withdraw/",
        playground.playground_withdraw,
        name="playground_withdraw",
    ),
    path(
        f"{_PROJECT}playground/prompts/<int:pk>/decide/",
        playground.playground_decide,
        name="playground_decide",
    ),
    path(f"{_PROJECT}models/", models.model_list, name="model_list"),
    path(f"{_PROJECT}models/new/", models.model_new, name="model_new"),
    path(f"{_PROJECT}models/<int:pk>/", models.model_detail, name="model_detail"),
    path(f"{_PROJECT}models/<int:pk>/lineage/", lineage.model_lineage, name="model_lineage"),
    path(
        f"{_PROJECT}models/<int:pk>/judgements/", lineage.model_judgements, name="model_judgements"
    ),
    path(
        f"{_PROJECT}judgements/<uuid:uid>/lineage/",
        lineage.judgement_lineage,
        name="judgement_lineage",
    ),
    path(f"{_PROJECT}models/<int:pk>/sample/", models.sampling_new, name="sampling_new"),
    path(f"{_PROJECT}models/<int:pk>/share/", models.model_share, name="model_share"),
]
