"""The page that starts an evaluation."""

from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_http_methods

from labeling.exceptions import PrefloopError
from labeling.forms import refuse
from labeling.language import said
from labeling.models import Project
from labeling.views.access import answer, go_to, project_for, reader, signed_in
from training import tasks
from training.configs import PRESETS
from training.evaluation_form import EvaluationForm
from training.models import ModelVersion, TrainingRun
from training.preset_sources import source_of
from training.selectors import preset_for, usable_models
from training.selectors_evaluations import baseline_for, reference_for, reward_model_for
from training.services.evaluations import create_evaluation


@require_http_methods(["GET", "POST"])
@signed_in
def evaluation_new(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Show the form with what lies nearest to the policy asked for; start the evaluation."""
    project = project_for(request, slug, "model.sample")
    policy = _policy(request, project)
    form = _form(request, project, policy)
    if form.is_valid():
        run = _create(request, project, form)
        if run is not None:
            transaction.on_commit(partial(tasks.ring, run.pk))
            return go_to(request, "training:run_detail", slug, run.uid)
    context = {
        "project": project,
        "form": form,
        "policy": policy,
        "presets": list(PRESETS["evaluate"]),
        "source": said(source_of("evaluate", form.preset_name)),
    }
    page, piece = "training/evaluation_new.html", "training/_evaluation_form.html"
    return answer(request, page, piece, context, 422 if form.errors else 200)


def _policy(request: HttpRequest, project: Project) -> ModelVersion | None:
    """Return the policy that the address names, else the newest that was made here to its end."""
    models = usable_models(project, [ModelVersion.Kind.POLICY.value])
    asked = request.GET.get("model", "")
    if asked.isdecimal():
        return models.filter(pk=asked).first()
    return models.order_by("is_partial", "-pk").first()


def _form(request: HttpRequest, project: Project, policy: ModelVersion | None) -> EvaluationForm:
    return EvaluationForm(
        request.POST if request.method == "POST" else None,
        project=project,
        preset_name=request.GET.get("preset") or preset_for("evaluate", policy),
        initial={
            "policy": policy,
            "reference": policy and reference_for(project, policy),
            "baseline": policy and baseline_for(project, policy),
            "reward_model": reward_model_for(project),
        },
    )


def _create(request: HttpRequest, project: Project, form: EvaluationForm) -> TrainingRun | None:
    """Start the evaluation, or put into the form why not."""
    given = form.cleaned_data
    names = ("policy", "reward_model", "reference", "baseline", "judge", "seed", "split", "limit")
    try:
        return create_evaluation(
            actor=reader(request),
            project=project,
            config=form.config(),
            tags=given.get("tags", ()),
            **{name: given[name] for name in names},
        )
    except PrefloopError as error:
        refuse(form, error)
        return None
