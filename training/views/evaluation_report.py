"""An evaluation's report, as what its page draws."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from labeling.domain.agreement import Share
from labeling.views.charts import Span, span
from training.charts import Chart, line_chart
from training.models import Evaluation, TrainingRun
from training.selectors_evaluations import Example, examples_of

_HALF = 0.5  # neither wins
Told = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure of the policy, and of the baseline where there is one, each with its interval."""

    name: str
    policy: str
    policy_range: str
    baseline: str
    baseline_range: str


@dataclass(frozen=True)
class Win:
    """How often the policy wins by one judge."""

    name: str
    won: Span | None
    pairs: int


@dataclass(frozen=True)
class BestOf:
    """The best of n replies: its KL to the policy, its reward, its hidden score."""

    n: int
    kl: str
    reward: str
    reward_range: str
    gold: str
    gold_range: str


@dataclass(frozen=True)
class Report:
    """What a finished evaluation tells."""

    evaluation: Evaluation
    prompts: int
    replies: int
    split: str
    figures: tuple[Figure, ...]
    wins: tuple[Win, ...]
    judge: Told | None
    unjudged: int
    consistent: Span | None
    best_of: tuple[BestOf, ...]
    charts: tuple[Chart, ...]
    examples: list[Example]
    has_gold: bool


def report_of(run: TrainingRun) -> Report | None:
    """Return what a finished evaluation tells; None for any other run."""
    told = run.result.get("evaluation")
    evaluation = getattr(run, "evaluation", None)
    if not told or evaluation is None:
        return None
    judge = told["wins"].get("judge")
    return Report(
        evaluation=evaluation,
        prompts=told["prompts"],
        replies=told["replies"],
        split=evaluation.selection["split"],
        figures=tuple(_figures(told, evaluation.gold)),
        wins=tuple(_wins(told["wins"])),
        judge=judge,
        unjudged=told["unjudged"],
        consistent=_span(judge["consistent"], None) if judge else None,
        best_of=tuple(_best_of(told["best_of"], evaluation.gold)),
        charts=tuple(_charts(told["best_of"], evaluation.gold)),
        examples=examples_of(run),
        has_gold=bool(evaluation.gold),
    )


def _figures(told: Told, gold: Told) -> Iterator[Figure]:
    names = {
        "reward": _("Reward"),
        "kl": _("KL to the reference, in nats"),
        "kl_k3": _("KL by k3, never below 0"),
        "entropy": _("Entropy of a token, in nats"),
        "length": _("Length, in tokens"),
        "without_end": _("Share without an end"),
        "disagreement": _("Disagreement of the reward models"),
    }
    ours, theirs = told["policy"], told["baseline"] or {}
    for key, name in names.items():
        if key in ours:
            yield _figure(name, ours[key], theirs.get(key))
        if key == "length":
            yield Figure(
                _("Standard deviation of the length"),
                _few(ours[key]["deviation"]),
                "",
                _few(theirs[key]["deviation"]) if theirs else "",
                "",
            )
    if gold:
        yield _figure(_("Hidden score"), gold["policy"], gold.get("baseline"))


def _figure(name: str, ours: Told, theirs: Told | None) -> Figure:
    return Figure(name, *_said(ours), *(_said(theirs) if theirs else ("", "")))


def _said(told: Told) -> tuple[str, str]:
    """Return a figure and its interval in few digits; what rounding left of a 0 is 0."""
    value, low, high = (_few(told[name]) for name in ("value", "low", "high"))
    return value, f"{low} – {high}"


def _few(number: float) -> str:
    return f"{round(number, 6) + 0.0:.3g}"


def _wins(told: Told) -> Iterator[Win]:
    names = {
        "reward": (_("By the reward model"), _("By the reward model, at equal length")),
        "judge": (_("By the AI judge"), _("By the AI judge, at equal length")),
    }
    for key, (plain, controlled) in names.items():
        if key in told:
            yield Win(plain, _span(told[key], _HALF), told[key]["pairs"])
            alike = told[key]["length_controlled"]
            if alike:
                yield Win(controlled, _span(alike, _HALF), told[key]["pairs"])


def _span(told: Told, mark: float | None) -> Span | None:
    share = Share(told["value"], told["low"], told["high"], int(told.get("pairs", 0)), clusters=0)
    return span(share, mark)


def _best_of(rows: Sequence[Told], gold: Told) -> Iterator[BestOf]:
    """Yield the rows of powers of two, and the last."""
    golden = {row["n"]: row for row in gold.get("best_of", ())}
    for row in rows:
        if row["n"].bit_count() == 1 or row is rows[-1]:
            scored = golden.get(row["n"])
            hidden = _said(scored) if scored else ("", "")
            yield BestOf(row["n"], f"{row['kl']:.2f}", *_said(row), *hidden)


def _charts(rows: Sequence[Told], gold: Told) -> Iterator[Chart]:
    drawn = [(_("Reward of the best of n"), rows)]
    drawn.append((_("Hidden score of the best of n by reward"), gold.get("best_of", ())))
    for title, points in drawn:
        if len(points) < 2:
            continue
        curves = [
            (name, [(row["n"], row[key]) for row in points])
            for name, key in (
                (_("mean"), "value"),
                (_("lower end"), "low"),
                (_("upper end"), "high"),
            )
        ]
        chart = line_chart(title, curves, total=points[-1]["n"])
        if chart is not None:
            yield chart
