"""What the comparison writes into docs/methods.md: tables between marks, and the drawings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from bench.methods_drawing import Series, drawing, panel, sheet
from bench.methods_figures import spread
from bench.methods_world import Row

PAGE = Path(__file__).resolve().parent.parent / "docs" / "methods.md"
FRONTIER, FAR = "methods-frontier.svg", "methods-overoptimization.svg"
BEGIN, END = "<!-- begin: written by make bench-methods -->", "<!-- end -->"
NAMES = {
    "base": "base (unrelated corpus)",
    "sft": "SFT",
    "preferred_ft": "preferred-only FT",
    "bon": "best-of-n",
    "dpo": "DPO",
    "ppo": "PPO",
    "ppo_ptx": "PPO-ptx",
    "rloo": "RLOO",
}
COLOUR = {name: place for place, name in enumerate(list(NAMES)[1:])}


def write_page(
    table: Mapping[str, Sequence[Row]], rows: Sequence[Row], tuned: Sequence[Row]
) -> None:
    """Put the figures of a run of the bench into the page, and its drawings beside it.

    `table` holds each method's rows by seed, `rows` every row with the curves, `tuned` those of
    the grids.
    """
    images = PAGE.parent / "images"
    (images / FRONTIER).write_text(frontier(table, rows), encoding="utf-8")
    (images / FAR).write_text(overoptimization(rows), encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    lines = [*table_lines(table), "", *grid_lines(tuned)]
    PAGE.write_text(between_marks(text, "\n".join(lines)), encoding="utf-8")


def between_marks(text: str, body: str) -> str:
    """Return a text with what stands between the marks replaced. Raises ValueError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has lost its marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{body}\n{END}{after}"


def table_lines(table: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return the table of methods in Markdown: means over seeds and their standard deviation."""
    seeds = [row["seed"] for row in next(iter(table.values()))]
    lines = [
        f"| | gold | {' | '.join(f'seed {seed}' for seed in seeds)} | KL | reward model | words | "
        "loss on the unrelated corpus |",
        "|---|---|" + "---|" * len(seeds) + "---|---|---|---|",
    ]
    for method, found in table.items():
        each = " | ".join(f"{row['gold']:.3f}" for row in found)
        cells = [_mean(found, name, digits) for name, digits in _COLUMNS]
        lines.append(
            f"| {NAMES[method]} | {_mean(found, 'gold', 3)} | {each} | {' | '.join(cells)} |"
        )
    return lines


_COLUMNS = (("kl", 2), ("reward", 2), ("words", 1), ("pretrain_loss", 2))


def _mean(rows: Sequence[Row], name: str, digits: int) -> str:
    """Return a mean with its spread; a dash where a method has no such figure of its own."""
    values = [row[name] for row in rows if row.get(name) is not None]
    if not values:
        return "–"
    return f"{fmean(values):.{digits}f} ± {spread(values):.{digits}f}"


def grid_lines(tuned: Sequence[Row]) -> list[str]:
    """Return the table of what was tuned in Markdown."""
    lines = [
        "| method | setting | gold | KL | loss on the unrelated corpus |",
        "|---|---|---|---|---|",
    ]
    for row in tuned:
        setting = ", ".join(f"{name} {value:g}" for name, value in row["settings"].items()) or "–"
        loss = f"{row['pretrain_loss']:.2f}" if "pretrain_loss" in row else "–"
        figures = f"{row['gold']:.3f} | {row['kl']:.2f} | {loss}"
        lines.append(f"| {NAMES[row['method']]} | {setting} | {figures} |")
    return lines


def frontier(table: Mapping[str, Sequence[Row]], rows: Sequence[Row]) -> str:
    """Return the drawing of gold over KL: each method's mean, its seeds, and best-of-n by n."""
    series = [_curve(rows, "bon", "n", "gold", COLOUR["bon"], name="")]
    for method, found in table.items():
        if method in ("base", "bon"):
            continue  # base lies far to the right and below; the curve shows best-of-n
        points = [(row["kl"], row["gold"]) for row in found]
        series.append(Series(name="", colour=COLOUR[method], points=points, faint=True))
    for method, found in table.items():
        if method == "base":
            continue
        kls, golds = [row["kl"] for row in found], [row["gold"] for row in found]
        series.append(
            Series(
                name=NAMES[method],
                colour=COLOUR[method],
                points=[(fmean(kls), fmean(golds))],
                bars=[(spread(kls), spread(golds))],
            )
        )
    title = "Gold reward over KL to the SFT policy, test prompts"
    return drawing(title, "KL to the SFT policy, nats a reply", "gold reward", series)


def overoptimization(rows: Sequence[Row]) -> str:
    """Return two drawings over KL, one of the reward model's score and one of gold."""
    found = []
    for measure, name in (("reward", "proxy reward (reward model)"), ("gold", "gold reward")):
        series = [
            _curve(rows, "far", "step", measure, COLOUR["ppo"], "PPO without a penalty"),
            _curve(rows, "bon", "n", measure, COLOUR["bon"], "best-of-n, n = 1 to 64"),
        ]
        found.append(
            panel(
                f"{name.capitalize()} over KL", "KL to the SFT policy, nats a reply", name, series
            )
        )
    return sheet(found)


def _curve(
    rows: Sequence[Row], method: str, by: str, measure: str, colour: int, name: str
) -> Series:
    """Return the curve of a method: means over seeds at each place (a step, an n)."""
    places: dict[int, list[Row]] = {}
    for row in rows:
        if row["method"] == method:
            places.setdefault(row[by], []).append(row)
    points = [
        (fmean(row["kl"] for row in found), fmean(row[measure] for row in found))
        for _, found in sorted(places.items())
    ]
    return Series(name=name, colour=colour, points=points, joined=True)
