"""Reads of a run's health: what the rules look at beside its curves, gathered in few queries."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from labeling.domain.agreement import Labels, Tally, pair_labels, strict_agreement
from labeling.models import Snapshot, SnapshotItem
from labeling.selectors.quality import JUDGES
from training.health import Health, health_of
from training.health_facts import (
    LASTING,
    START,
    Ceiling,
    Context,
    Observed,
    WinRate,
    ceiling_of,
    reach_of,
)
from training.models import Evaluation, MetricPoint, ModelVersion, TrainingRun
from training.selectors import curves

MOST_LABELS: Final = 10_000  # judgements that agreement is read from
LEAST_SHARED: Final = 20  # comparisons judged twice below which agreement is not told
KEPT_S: Final = 3600  # a snapshot never changes, so what is read of it is kept for an hour

_KL_NAMES: Final = frozenset({"objective/kl", "eval_objective/kl"})
_SLOT: Final = "judgement__comparison__slots__candidate__sources"


def run_health(run: TrainingRun, series: Mapping[str, Any] | None = None) -> Health:
    """Return what the rules say of a run; `series` are its curves, where they were read already.

    Up to six queries beside the curves, of which those about snapshots are kept for an hour.
    """
    if series is None:
        series = {curve.name: curve.points for curve in curves(run)}
    measures = run.result.get("metrics", {})
    return health_of(Observed(series=series, measures=measures, context=_context(run)))


def _context(run: TrainingRun) -> Context:
    told = run.recipe == "reward" and run.snapshot is not None and bool(run.result)
    return Context(
        **_by_config(run),
        reach=reward_reach(run),
        ceiling=label_ceiling(run.snapshot) if told and run.snapshot else None,
        win_rates=win_rates_of(run) if run.made_models.all() and run.recipe != "reward" else (),
    )


def _by_config(run: TrainingRun) -> dict[str, Any]:
    """Return what a run's own config says of its context."""
    return {
        "replies_a_row": _replies_a_row(run),
        "replaced_ends": run.config.get("missing_eos") == "replace",
    }


def _replies_a_row(run: TrainingRun) -> int | None:
    """Return how many replies a row's KL rests on, where it is a mean of log-ratios.

    GRPO's is not: its estimate of each token is never negative.
    """
    if run.recipe == "ppo":
        return int(run.config["batch_size"])
    if run.recipe == "rloo":
        names = ("per_device_batch_size", "processes", "gradient_accumulation")
        first, second, third = (int(run.config[name]) for name in names)
        return first * second * third
    return None


def reward_reach(run: TrainingRun) -> float | None:
    """Return the KL to the run's reference up to which its reward model's candidates tell anything.

    None where that is not known: the reward model came from outside, or none of its candidates
    came from the reference itself (KL 0) or from a policy whose KL to it was measured, by its own
    run or by an evaluation. Draws at another temperature count as the policy's own.
    """
    judge, reference = run.reward_model, run.base_model
    snapshot = judge.run.snapshot if judge and judge.run else None
    if snapshot is None or reference is None:
        return None
    draws = _draws(snapshot)
    known = _known_kls(draws, reference)
    if not known:
        return None
    return max(reach_of(kl, draws[sha256]) for sha256, kl in known.items())


def _draws(snapshot: Snapshot) -> dict[str, int]:
    """Return how many draws of which weights a snapshot's comparisons to learn from hold."""

    def read() -> dict[str, int]:
        items = SnapshotItem.objects.filter(
            snapshot=snapshot, split=SnapshotItem.Split.TRAIN, judgement__isnull=False
        )
        rows = items.values_list(f"{_SLOT}__model_sha256").annotate(
            draws=Count(_SLOT, distinct=True)
        )
        return {sha256: count for sha256, count in rows.order_by() if sha256}

    return dict(cache.get_or_set(f"health-draws-{snapshot.pk}", read, KEPT_S) or {})


def _known_kls(weights: Iterable[str], reference: ModelVersion) -> dict[str, float]:
    """Return the KL of those weights to the reference, where it was measured; its own is 0."""
    found: dict[str, float] = {}
    models = ModelVersion.objects.filter(sha256__in=list(weights))
    for model in models.only("sha256", "provenance"):
        base = model.provenance.get("base_model") or {}
        told = model.provenance.get("metrics") or {}
        if base.get("sha256") == reference.sha256:
            for name in _KL_NAMES & told.keys():
                found[model.sha256] = max(told[name], 0.0)
    evaluated = Evaluation.objects.filter(
        run__state=TrainingRun.State.SUCCEEDED,
        reference__sha256=reference.sha256,
        policy__sha256__in=list(weights),
    )
    for evaluation in evaluated.select_related("run", "policy"):
        kl = evaluation.run.result["evaluation"]["policy"]["kl"]["value"]
        found[evaluation.policy.sha256] = max(kl, 0.0)
    if reference.sha256 in weights:
        found[reference.sha256] = 0.0
    return found


def label_ceiling(snapshot: Snapshot) -> Ceiling | None:
    """Return how often a model can be right on the snapshot's strict pairs, by its own labels.

    None where people judged too few comparisons twice, and where others than people and simulated
    annotators (an AI judge, an import) labelled too, of whom people's agreement says nothing.
    """
    share = cache.get_or_set(
        f"health-agreement-{snapshot.pk}", lambda: _agreement(snapshot), KEPT_S
    )
    if not share:
        return None
    return Ceiling(value=ceiling_of(share[0]), high=ceiling_of(share[1]), agreement=share[0])


def _agreement(snapshot: Snapshot) -> tuple[float, float] | tuple[()]:
    """Return the share of strict pairs told alike and the upper end of its interval, or nothing."""
    labelled = SnapshotItem.objects.filter(snapshot=snapshot, judgement__isnull=False)
    if labelled.exclude(judgement__annotator__kind__in=JUDGES).exists():
        return ()
    tally = Tally()
    for rankings in _shared(labelled):
        tally.add(*strict_agreement(rankings))
    share = tally.share()
    if share is None or share.clusters < LEAST_SHARED:
        return ()
    return share.value, share.high


def _shared(labelled: QuerySet[SnapshotItem]) -> list[list[Labels]]:
    """Return the rankings of each comparison that was judged twice or more."""
    rows = labelled.filter(judgement__comparison__judgement_count__gte=2).values_list(
        "judgement__comparison_id", "judgement__tiers", "judgement__shown_order"
    )
    found: dict[int, list[Labels]] = defaultdict(list)
    for comparison, tiers, shown in rows.order_by("position")[:MOST_LABELS]:
        if tiers:
            size = len(shown) or sum(map(len, tiers))
            found[comparison].append(pair_labels(tiers, size))
    return [rankings for rankings in found.values() if len(rankings) > 1]


def win_rates_of(run: TrainingRun) -> list[WinRate]:
    """Return how often the run's models won on held-out prompts, by its finished evaluations.

    One that was held against the policy that the run started from is preceded by that policy
    itself, which wins half of the time against itself.
    """
    found: list[WinRate] = []
    finished = Evaluation.objects.filter(
        run__project=run.project_id, run__state=TrainingRun.State.SUCCEEDED, policy__run=run
    )
    for evaluation in finished.select_related("run", "policy"):
        if evaluation.baseline_id is None or evaluation.selection.get("split") == "train":
            continue
        step = (evaluation.policy.provenance.get("steps") or {}).get("taken") or 0
        wins = evaluation.run.result["evaluation"]["wins"]
        for kind in ("reward", "judge"):
            told = wins.get(kind)
            judge = evaluation.judge_id if kind == "judge" else evaluation.run.reward_model_id
            known = f"{kind} {judge} {evaluation.baseline_id} {evaluation.selection['split']}"
            if not told:
                continue
            rate = {name: told[name] for name in ("value", "low", "high")}
            found.append(WinRate(step=step, judge=known, **rate))
            if evaluation.baseline_id == run.base_model_id:
                found.append(WinRate(step=0, value=0.5, low=0.5, high=0.5, judge=known))
    return found


# --- marks in a list ------------------------------------------------------------------------------


def marks_of(runs: Sequence[TrainingRun]) -> dict[str, set[int]]:
    """Return the ids of the runs that have findings, by the worst severity; one query for all.

    What has ended was marked at its end (`services.finishing`). Of live runs the first and the last
    rows are read, which are enough for all that needs no more than a run's own curves.
    """
    marks: dict[str, set[int]] = {"bad": set(), "warn": set()}
    for run in runs:
        worst = run.result.get("health", {}).get("worst")
        if worst:
            marks[worst].add(run.pk)
    live = {run.pk: run for run in runs if run.is_live}
    for pk, series in (_ends_of_curves(list(live)) if live else {}).items():
        context = Context(**_by_config(live[pk]))
        found = health_of(Observed(series=series, context=context)).findings
        if found:
            marks[found[0].severity].add(pk)
    return marks


def _ends_of_curves(runs: Sequence[int]) -> dict[int, dict[str, list[tuple[int, float]]]]:
    """Return the first START and the last LASTING rows of each run, as series by name."""
    numbered = MetricPoint.objects.filter(run__in=runs).annotate(
        front=Window(RowNumber(), partition_by="run", order_by=["step", "pk"]),
        back=Window(RowNumber(), partition_by="run", order_by=["-step", "-pk"]),
    )
    ends = numbered.filter(Q(front__lte=START) | Q(back__lte=LASTING)).order_by("run", "step", "pk")
    found: dict[int, dict[str, list[tuple[int, float]]]] = {pk: defaultdict(list) for pk in runs}
    for pk, step, values in ends.values_list("run_id", "step", "values"):
        for name, value in values.items():
            found[pk][name].append((step, value))
    return found
