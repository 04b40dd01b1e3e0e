"""A reward run's report on held-out comparisons, as what its page draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from labeling.domain.agreement import Share
from labeling.views.charts import Span, span
from training.charts import Chart, line_chart

_SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Kind:
    """One kind of pair: its name, how many there are, and how many were put right."""

    name: str
    pairs: int
    right: Span | None


@dataclass(frozen=True)
class HeldOut:
    """What is told of one split."""

    split: str
    comparisons: int
    whole: Kind
    tables: tuple[tuple[str, tuple[Kind, ...]], ...]
    reliability: Chart | None
    calibration_error: float
    length_model: float | None
    length_people: float | None
    disputed: float | None


def held_out_of(result: Mapping[str, Any]) -> list[HeldOut]:
    """Return the report of a run's result by split; nothing where a recipe tells none."""
    reports = result.get("report") or {}
    return [_held_out(split, reports[split]) for split in _SPLITS if split in reports]


def _held_out(split: str, report: Mapping[str, Any]) -> HeldOut:
    lengths = {
        "better_longer": _("the better reply is longer"),
        "alike": _("alike in length"),
        "better_shorter": _("the better reply is shorter"),
    }
    bins = [(row["said"], row["right"]) for row in report["calibration"]["bins"]]
    curves = [(_("right"), bins), (_("as said"), [(0.5, 0.5), (1.0, 1.0)])]
    mark = report["accuracy"]
    return HeldOut(
        split=split,
        comparisons=report["comparisons"],
        whole=_kind("", report, None),
        tables=(
            (
                _("Tiers between the two"),
                tuple(_kind(gap, row, mark) for gap, row in report["by_gap"].items()),
            ),
            (
                _("Length"),
                tuple(
                    _kind(lengths.get(name, name), row, mark)
                    for name, row in report["by_length"].items()
                ),
            ),
            (
                _("Annotator"),
                tuple(_kind(who or "–", row, mark) for who, row in report["by_annotator"].items()),
            ),
        ),
        reliability=line_chart(
            _("How often it is right, by how sure it is"), curves, total=1, limits=(0.0, 1.0)
        ),
        calibration_error=report["calibration"]["ece"],
        length_model=report["length_correlation"]["model"],
        length_people=report["length_correlation"]["people"],
        disputed=(report.get("ensemble") or {}).get("disputed"),
    )


def _kind(name: str, row: Mapping[str, Any], mark: float | None) -> Kind:
    share = Share(row["accuracy"], row["low"], row["high"], pairs=int(row["pairs"]), clusters=0)
    return Kind(name, int(row["pairs"]), span(share, mark))
