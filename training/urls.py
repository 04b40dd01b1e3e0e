"""The pages of the training half."""

from django.urls import path

from training.views import models, runs

app_name = "training"

_PROJECT = "projects/<slug:slug>/"
_RUN = f"{_PROJECT}runs/<uuid:uid>/"

urlpatterns = [
    path(f"{_PROJECT}runs/", runs.run_list, name="run_list"),
    path(f"{_PROJECT}runs/new/", runs.run_new, name="run_new"),
    path(_RUN, runs.run_detail, name="run_detail"),
    path(f"{_RUN}stop/", runs.run_stop, name="run_stop"),
    path(f"{_RUN}cancel/", runs.run_cancel, name="run_cancel"),
    path(f"{_RUN}resume/", runs.run_resume, name="run_resume"),
    path(f"{_PROJECT}models/", models.model_list, name="model_list"),
    path(f"{_PROJECT}models/new/", models.model_new, name="model_new"),
    path(f"{_PROJECT}models/<int:pk>/", models.model_detail, name="model_detail"),
    path(f"{_PROJECT}models/<int:pk>/sample/", models.sampling_new, name="sampling_new"),
    path(f"{_PROJECT}models/<int:pk>/share/", models.model_share, name="model_share"),
]
