"""The addresses of the training half under /api/v1/."""

from django.urls import path

from training.api import models, runs

app_name = "training_api"

_RUN = "projects/<slug:slug>/runs/<uuid:uid>/"
_SAMPLING = "projects/<slug:slug>/sampling-runs/"
_MODELS = "projects/<slug:slug>/models/"

urlpatterns = [
    path("recipes/", runs.RecipeListView.as_view(), name="recipes"),
    path("projects/<slug:slug>/runs/", runs.RunListView.as_view(), name="runs"),
    path(_RUN, runs.RunView.as_view(), name="run"),
    path(f"{_RUN}metrics/", runs.MetricListView.as_view(), name="metrics"),
    path(f"{_RUN}stop/", runs.StopView.as_view(), name="run_stop"),
    path(f"{_RUN}cancel/", runs.CancelView.as_view(), name="run_cancel"),
    path(f"{_RUN}resume/", runs.ResumeView.as_view(), name="run_resume"),
    path(_SAMPLING, runs.SamplingListView.as_view(), name="sampling_runs"),
    path(f"{_SAMPLING}<uuid:uid>/", runs.SamplingView.as_view(), name="sampling_run"),
    path(_MODELS, models.ModelListView.as_view(), name="models"),
    path(f"{_MODELS}<int:pk>/", models.ModelView.as_view(), name="model"),
    path(f"{_MODELS}<int:pk>/share/", models.ShareView.as_view(), name="model_share"),
]
