"""The addresses of the training half under /api/v1/."""

from django.urls import path

from training.api import compare, evaluations, models, plans, runs
from training.calibration import api as calibration
from training.constitutions import api as constitutions
from training.contests import api as contests
from training.endpoints import api as endpoints
from training.judges import api as judges
from training.lineage import api as lineage
from training.rounds import api as rounds
from training.rounds.report_api import RoundReportView

app_name = "training_api"

_RUN = "projects/<slug:slug>/runs/<uuid:uid>/"
_ROUND = "projects/<slug:slug>/rounds/<int:number>/"
_SAMPLING = "projects/<slug:slug>/sampling-runs/"
_EVALUATIONS = "projects/<slug:slug>/evaluations/"
_JUDGES = "projects/<slug:slug>/judges/"
_CONTESTS = "projects/<slug:slug>/contests/"
_CONSTITUTIONS = "projects/<slug:slug>/constitutions/"
_REVISING = "projects/<slug:slug>/revising-runs/"
_MODELS = "projects/<slug:slug>/models/"

urlpatterns = [
    path("endpoints/", endpoints.EndpointListView.as_view(), name="endpoints"),
    path("endpoints/<int:pk>/", endpoints.EndpointView.as_view(), name="endpoint"),
    path("endpoints/<int:pk>/test/", endpoints.EndpointTestView.as_view(), name="endpoint_test"),
    path("endpoints/<int:pk>/offer/", endpoints.EndpointOfferView.as_view(), name="endpoint_offer"),
    path("recipes/", runs.RecipeListView.as_view(), name="recipes"),
    path("projects/<slug:slug>/runs/", runs.RunListView.as_view(), name="runs"),
    path("projects/<slug:slug>/runs/plan/", plans.PlanView.as_view(), name="run_plan"),
    path("projects/<slug:slug>/runs/compare/", compare.CompareView.as_view(), name="runs_compare"),
    path(_RUN, runs.RunView.as_view(), name="run"),
    path(f"{_RUN}metrics/", runs.MetricListView.as_view(), name="metrics"),
    path(f"{_RUN}stop/", runs.StopView.as_view(), name="run_stop"),
    path(f"{_RUN}cancel/", runs.CancelView.as_view(), name="run_cancel"),
    path(f"{_RUN}resume/", runs.ResumeView.as_view(), name="run_resume"),
    path(_SAMPLING, runs.SamplingListView.as_view(), name="sampling_runs"),
    path(f"{_SAMPLING}<uuid:uid>/", runs.SamplingView.as_view(), name="sampling_run"),
    path(_EVALUATIONS, evaluations.EvaluationListView.as_view(), name="evaluations"),
    path(f"{_EVALUATIONS}<uuid:uid>/", evaluations.EvaluationView.as_view(), name="evaluation"),
    path(_JUDGES, judges.JudgeListView.as_view(), name="judges"),
    path(f"{_JUDGES}<uuid:uid>/", judges.JudgeView.as_view(), name="judge"),
    path(f"{_JUDGES}<uuid:uid>/ask/", judges.AskView.as_view(), name="judge_ask"),
    path(f"{_JUDGES}<uuid:uid>/retire/", judges.RetireView.as_view(), name="judge_retire"),
    path(_CONTESTS, contests.ContestListView.as_view(), name="contests"),
    path(f"{_CONTESTS}<int:number>/", contests.ContestView.as_view(), name="contest"),
    path(f"{_CONTESTS}<int:number>/end/", contests.ContestEndView.as_view(), name="contest_end"),
    path(_CONSTITUTIONS, constitutions.ConstitutionListView.as_view(), name="constitutions"),
    path(
        f"{_CONSTITUTIONS}<int:pk>/", constitutions.ConstitutionView.as_view(), name="constitution"
    ),
    path(_REVISING, constitutions.RevisingListView.as_view(), name="revising_runs"),
    path(
        f"{_REVISING}<uuid:uid>/chains/",
        constitutions.ChainListView.as_view(),
        name="revising_run_chains",
    ),
    path("projects/<slug:slug>/loop/", rounds.LoopView.as_view(), name="loop"),
    path("projects/<slug:slug>/rounds/", rounds.RoundListView.as_view(), name="rounds"),
    path(_ROUND, rounds.RoundView.as_view(), name="round"),
    path(f"{_ROUND}pause/", rounds.PauseView.as_view(), name="round_pause"),
    path(f"{_ROUND}go-on/", rounds.GoOnView.as_view(), name="round_go_on"),
    path(f"{_ROUND}cancel/", rounds.RoundCancelView.as_view(), name="round_cancel"),
    path(f"{_ROUND}redo/", rounds.RedoView.as_view(), name="round_redo"),
    path(f"{_ROUND}decide/", rounds.DecideView.as_view(), name="round_decide"),
    path(f"{_ROUND}report/", RoundReportView.as_view(), name="round_report"),
    path("projects/<slug:slug>/promotions/", rounds.PromotionListView.as_view(), name="promotions"),
    path("projects/<slug:slug>/promotions/back/", rounds.RollBackView.as_view(), name="roll_back"),
    path(_MODELS, models.ModelListView.as_view(), name="models"),
    path(f"{_MODELS}<int:pk>/", models.ModelView.as_view(), name="model"),
    path(
        "projects/<slug:slug>/judges/<uuid:uid>/calibration/",
        calibration.CalibrationView.as_view(),
        name="judge_calibration",
    ),
    path(
        "projects/<slug:slug>/judges/<uuid:uid>/calibration/sample/",
        calibration.SharedSampleView.as_view(),
        name="judge_sample",
    ),
    path(
        "projects/<slug:slug>/judges/<uuid:uid>/calibration/route/",
        calibration.RouteView.as_view(),
        name="judge_route",
    ),
    path(f"{_MODELS}<int:pk>/lineage/", lineage.ModelLineageView.as_view(), name="model_lineage"),
    path(
        f"{_MODELS}<int:pk>/judgements/",
        lineage.ModelJudgementsView.as_view(),
        name="model_judgements",
    ),
    path(
        "projects/<slug:slug>/judgements/<uuid:uid>/lineage/",
        lineage.JudgementLineageView.as_view(),
        name="judgement_lineage",
    ),
    path(f"{_MODELS}<int:pk>/share/", models.ShareView.as_view(), name="model_share"),
]
