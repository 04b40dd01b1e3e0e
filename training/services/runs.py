"""Writes that people ask for: start a run, stop it, cancel it, let it go on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import F, Func, JSONField, Q, TextField, Value
from django.db.models.functions import Cast, Now
from django.utils.translation import gettext as _

from labeling.exceptions import InvalidInput
from labeling.language import all_said
from labeling.models import Project, Snapshot, User
from labeling.services import audit
from training.configs import ConfigError, parse_config, preset, to_json
from training.exceptions import RunMovedOn
from training.inputs import INPUTS, needs_base
from training.models import ModelVersion, TrainingRun
from training.selectors import is_usable
from training.services.online import choose_prompts, reward_errors, selection_errors, texts_problem

State = TrainingRun.State
Request = TrainingRun.Request
MAX_SEED = 2**31 - 1
_NO_LONGER_WAITING = Func(
    F("result"),
    Cast(Value("endpoint_problem"), TextField()),
    template="(%(expressions)s)",
    arg_joiner=" - ",
    output_field=JSONField(),
)
"""A run's result without what lets it go on by itself: people have decided since."""


@contextmanager
def config_errors() -> Iterator[None]:
    """Put what is wrong with a config in the one shape of errors."""
    try:
        yield
    except ConfigError as error:
        raise InvalidInput(
            _("Some settings can't be taken."), errors=all_said(error.errors)
        ) from None


def resolve_config(
    *, recipe: str, config: Mapping[str, Any] | None, preset_name: str = ""
) -> dict[str, Any]:
    """Return every setting of a recipe: the preset's, then those given. Raises InvalidInput."""
    with config_errors():
        start = to_json(preset(recipe, preset_name)) if preset_name else {}
        return dict(to_json(parse_config(recipe, {**start, **(config or {})})))


@transaction.atomic
def create_run(
    *,
    actor: User | None,
    project: Project,
    recipe: str,
    snapshot: Snapshot | None,
    base_model: ModelVersion | None = None,
    config: Mapping[str, Any] | None = None,
    preset_name: str = "",
    seed: int = 0,
    name: str = "",
    reward_model: ModelVersion | None = None,
    tags: Sequence[str] = (),
    exclude_tags: Sequence[str] = (),
    limit: int | None = None,
) -> TrainingRun:
    """Queue a training run; whoever calls rings `training.tasks.train` after the commit.

    `config` holds what differs from the preset, or from the defaults where no preset is named.
    An empty name is made from the base model's. A run that learns from its own replies needs a
    reward model, and prompts: the project's active ones of the split train, chosen now by tags,
    count and seed. To sft, dpo and kto a reward model may be given: it scores replies to validation
    prompts at each evaluation, and sft keeps the weights it scored highest. Raises InvalidInput,
    with errors by field.
    """
    _known(recipe)
    resolved = resolve_config(recipe=recipe, config=config, preset_name=preset_name)
    name = name.strip() or _default_name(recipe, base_model)
    selection = {"tags": [*tags], "exclude_tags": [*exclude_tags], "limit": limit, "seed": seed}
    errors = _snapshot_errors(project, recipe, snapshot, resolved)
    errors |= _model_errors(project, recipe, base_model, reward_model, resolved)
    errors |= selection_errors(recipe=recipe, selection=selection) | _plain_errors(name, seed)
    if errors:
        raise InvalidInput(_("The run can't be started like this."), errors=errors)
    run = TrainingRun.objects.create(
        project=project,
        recipe=recipe,
        name=name,
        config=resolved,
        seed=seed,
        snapshot=snapshot,
        base_model=base_model,
        reward_model=reward_model,
        created_by=actor,
    )
    if INPUTS[recipe].rewarded:
        choose_prompts(run=run, selection=selection)
    audit.record(actor=actor, project=project, verb="run.create", obj=run, data={"recipe": recipe})
    return run


def _known(recipe: str) -> None:
    """Raise InvalidInput for a recipe that trains nothing."""
    if recipe not in INPUTS:
        text = _("There is no training recipe {recipe}: use one of {known}.").format(
            recipe=repr(recipe), known=", ".join(INPUTS)
        )
        raise InvalidInput(text, errors={"recipe": [text]})


def _model_errors(
    project: Project,
    recipe: str,
    base: ModelVersion | None,
    reward: ModelVersion | None,
    config: Mapping[str, Any],
) -> dict[str, list[str]]:
    errors = _base_errors(project, recipe, base, wanted=needs_base(config))
    return errors | reward_errors(project=project, recipe=recipe, model=reward, config=config)


def _default_name(recipe: str, base_model: ModelVersion | None) -> str:
    if base_model is None:
        return ""
    return f"{base_model.name}-reward"[:120] if recipe == "reward" else base_model.name


def _snapshot_errors(
    project: Project, recipe: str, snapshot: Snapshot | None, config: Mapping[str, Any]
) -> dict[str, list[str]]:
    kind = INPUTS[recipe].snapshot_kind
    if INPUTS[recipe].rewarded:
        problem = texts_problem(config, given=snapshot is not None)
        if snapshot is None or problem:
            return {"snapshot": [problem]} if problem else {}
    if snapshot is None:
        text = _("{recipe} learns from {kind}: choose a snapshot of them.")
        return {"snapshot": [text.format(recipe=recipe, kind=Snapshot.Kind(kind).label)]}
    if snapshot.project_id != project.pk:
        return {"snapshot": [_("There is no such snapshot in this project.")]}
    if snapshot.kind != kind:
        text = _("Snapshot {number} holds {held}, but {recipe} needs {kind}.").format(
            number=snapshot.number,
            held=snapshot.get_kind_display(),
            recipe=recipe,
            kind=Snapshot.Kind(kind).label,
        )
        return {"snapshot": [text]}
    return {}


def _base_errors(
    project: Project, recipe: str, base: ModelVersion | None, *, wanted: bool
) -> dict[str, list[str]]:
    if base is None:
        text = _("{recipe} starts from a model: choose one.").format(recipe=recipe)
        return {"base_model": [text]} if wanted else {}
    if not wanted:
        text = _("A model from scratch starts from nothing: leave this empty, or set init to base.")
        return {"base_model": [text]}
    if not is_usable(project, base):
        return {"base_model": [_("There is no such model in this project.")]}
    if base.kind not in INPUTS[recipe].base_kinds:
        text = _("{model} is a {kind}; {recipe} needs a policy.").format(
            model=base, kind=base.get_kind_display(), recipe=recipe
        )
        return {"base_model": [text]}
    return {}


def _plain_errors(name: str, seed: int) -> dict[str, list[str]]:
    errors = {}
    if not name or len(name) > 120:
        errors["name"] = [_("Name the model that will be made, in at most 120 characters.")]
    if not 0 <= seed <= MAX_SEED:
        errors["seed"] = [
            _("Use a whole number from {least} to {most}.").format(least=0, most=MAX_SEED)
        ]
    return errors


@transaction.atomic
def request_stop(*, actor: User | None, run: TrainingRun) -> TrainingRun:
    """Stop a run after its next whole step; one that still waits is stopped at once.

    Raises RunMovedOn if it has ended.
    """
    return _request(actor=actor, run=run, wish=Request.STOP, at_once=State.STOPPED)


@transaction.atomic
def request_cancel(*, actor: User | None, run: TrainingRun) -> TrainingRun:
    """End a run within seconds, for good; one that still waits is cancelled at once.

    So is one that stopped until its endpoint answers. Raises RunMovedOn if it has ended otherwise.
    """
    return _request(actor=actor, run=run, wish=Request.CANCEL, at_once=State.CANCELLED)


def _request(
    *, actor: User | None, run: TrainingRun, wish: TrainingRun.Request, at_once: TrainingRun.State
) -> TrainingRun:
    rows = TrainingRun.objects.filter(pk=run.pk)
    waits = Q(state=State.QUEUED)
    if wish == Request.CANCEL:
        waits |= Q(state=State.STOPPED, result__has_key="endpoint_problem")
    ended = rows.filter(waits).update(state=at_once, finished_at=Now(), result=_NO_LONGER_WAITING)
    if not ended:
        live = rows.filter(state=State.RUNNING)
        if wish == Request.STOP:  # whoever cancelled meant more than a stop
            live = live.exclude(request=Request.CANCEL)
        if not live.update(request=wish) and not rows.filter(state=State.RUNNING).exists():
            raise RunMovedOn(_("The run has already ended."))
    audit.record(actor=actor, project=run.project, verb=f"run.{wish.value}", obj=run)
    run.refresh_from_db()
    return run


@transaction.atomic
def resume_run(*, actor: User | None, run: TrainingRun) -> TrainingRun:
    """Queue a stopped or failed run again; it goes on from its newest whole checkpoint.

    Raises RunMovedOn if it is in any other state.
    """
    changed = TrainingRun.objects.filter(pk=run.pk, state__in=[State.STOPPED, State.FAILED]).update(
        state=State.QUEUED,
        request=Request.NONE,
        error="",
        error_parts={},
        exit_code=None,
        heartbeat_at=None,
        finished_at=None,
        result=_NO_LONGER_WAITING,
    )
    if not changed:
        raise RunMovedOn(_("Only a stopped or a failed run can go on."))
    audit.record(actor=actor, project=run.project, verb="run.resume", obj=run)
    run.refresh_from_db()
    return run
