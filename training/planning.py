"""What a run that is not started yet would leave out and take: reads its rows, models, machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from labeling.domain.content import plain_messages
from labeling.models import Project, Snapshot
from labeling.selectors.prompts import select_prompts
from labeling.selectors.snapshots import demonstration_rows, preference_rows
from training.configs import Config, SFTConfig, parse_config
from training.encoding import Dropped, Encoder
from training.forecast import Forecast, forecast, shape_from_scratch
from training.inputs import INPUTS, needs_base
from training.machine import Machine, machines_in
from training.model_shape import ModelShape, shape_of
from training.models import ModelVersion, TrainingRun
from training.preview import MOST_ROWS, Preview, preview, readable_tokenizer
from training.workload import Row, Texts


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run as a person is about to start it; `config` has every setting."""

    project: Project
    recipe: str
    config: Mapping[str, Any]
    snapshot: Snapshot | None
    base: ModelVersion | None
    reward: ModelVersion | None = None
    tags: Sequence[str] = ()
    exclude_tags: Sequence[str] = ()
    limit: int | None = None
    seed: int = 0

    @property
    def model(self) -> ModelVersion | None:
        """The model whose weights and tokenizer the run takes, if it takes any."""
        return self.base if needs_base(self.config) else None


def known_machines() -> list[Machine]:
    """Return the machines whose speed has been measured, the newest first."""
    return machines_in(Path(settings.MODEL_DIR))


def preview_of(plan: Plan) -> Preview | None:
    """Return what a run would leave out of a snapshot; None where a recipe draws its texts."""
    if INPUTS[plan.recipe].rewarded or plan.snapshot is None:
        return None
    pairs = plan.snapshot.kind == Snapshot.Kind.PREFERENCES
    return preview(
        preference_rows(plan.snapshot) if pairs else demonstration_rows(plan.snapshot),
        pairs=pairs,
        model=plan.model.folder if plan.model else None,
        max_length=int(plan.config["max_length"]),
        recipe=plan.recipe,
        new_words=0 if plan.model else int(plan.config.get("vocab_size", 0)),
        soft=plan.recipe == "reward" or plan.config.get("loss_type") == "sigmoid",
    )


def forecast_of(plan: Plan, seen: Preview | None) -> Forecast | None:
    """Return what a run would take, or None where its rows or models can't be read here.

    `seen` is the preview of the same plan.
    """
    config = parse_config(plan.recipe, plan.config)
    try:
        base = _shape(config, plan, seen)
        judge = shape_of(plan.reward.folder) if plan.reward else None
        texts = _prompts(plan) if seen is None else _texts(plan, seen)
        return forecast(config, texts, base, judge, known_machines())
    except (OSError, ValueError, KeyError):
        return None


def _shape(config: Config, plan: Plan, seen: Preview | None) -> ModelShape:
    if plan.model is not None:
        return shape_of(plan.model.folder)
    if not isinstance(config, SFTConfig):
        raise ValueError(f"{plan.recipe} needs a model to start from.")
    return shape_from_scratch(config, seen.vocabulary if seen else None)


def _texts(plan: Plan, seen: Preview) -> Texts:
    """The lengths of what is learned from; without a tokenizer every text counts as the longest."""
    train = seen.used["train"]
    whole = _whole(plan, seen)
    if seen.texts is not None:
        rows = len(seen.texts.train)
        return Texts(
            train=seen.texts.train, held=seen.texts.held, whole=round(rows * whole / max(train, 1))
        )
    longest = Row(prompt=0, replies=(int(plan.config["max_length"]),))
    return Texts(train=(longest,) * min(train, MOST_ROWS), whole=whole, known=False)


def _whole(plan: Plan, seen: Preview) -> int:
    """How many training rows there are, as the share of those looked at says."""
    train = seen.used["train"]
    if not seen.cut or plan.snapshot is None:
        return train
    counts = plan.snapshot.counts
    every = int(counts.get("pairs", counts.get("labels", 0)))
    return round(train * max(1.0, every / seen.rows))


def _prompts(plan: Plan) -> Texts:
    """The lengths of the prompts that the run would reply to."""
    prompts = select_prompts(
        plan.project,
        split="train",
        tags=plan.tags,
        exclude_tags=plan.exclude_tags,
        limit=plan.limit,
        seed=plan.seed,
    )
    room = int(plan.config["max_length"]) - int(plan.config["max_new_tokens"])
    tokens = readable_tokenizer(plan.model.folder if plan.model else None)
    if tokens is None:
        rows = [Row(prompt=room)] * len(prompts[:MOST_ROWS])
        return Texts(train=tuple(rows), whole=len(prompts), known=False)
    encoder, lengths = Encoder(tokens, room), []
    for prompt in prompts[:MOST_ROWS]:
        try:
            lengths.append(len(encoder.prompt(plain_messages(prompt.messages))))
        except Dropped:
            continue
    rows = [Row(prompt=length) for length in lengths]
    return Texts(train=tuple(rows), whole=len(prompts))


def seconds_left(run: TrainingRun) -> float | None:
    """Return how long a run that works still takes, by what its attempt has measured so far.

    The seconds of a step between the attempt's first row of metrics and its last, times the steps
    that are left, less the time since. None before there are two rows.
    """
    attempt = run.attempts.order_by("-number").first()
    if run.state != TrainingRun.State.RUNNING or not run.total_steps or attempt is None:
        return None
    # Rows from before a checkpoint are delivered again, with the time at which they were measured.
    points = run.metrics.filter(recorded_at__gte=attempt.started_at).values_list(
        "step", "recorded_at"
    )
    first, last = points.order_by("recorded_at").first(), points.order_by("-recorded_at").first()
    if first is None or last is None or last[0] <= first[0]:
        return None
    each = (last[1] - first[1]).total_seconds() / (last[0] - first[0])
    since = (timezone.now() - last[1]).total_seconds()
    return float(max(0.0, each * (run.total_steps - last[0]) - since))
