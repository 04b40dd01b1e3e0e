"""A round's report as Markdown. Replies are hostile text: they stand fenced, as they were."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from django.utils.translation import gettext as _

from training.estimates import Estimate
from training.rounds.report import Rate, RoundReport
from training.rounds.report_words import (
    ARMS,
    BY_NAMES,
    FIGURES,
    MADE,
    SAYS,
    answer_words,
    exploit_words,
    point_words,
    slice_name,
)
from training.templatetags.forecasts import lasting

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


def inline(text: str) -> str:
    """Return a name as text that Markdown reads as nothing but text, in one line.

    >>> print(inline("a*b | <c>"))
    a\\*b \\| \\<c\\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def fenced(text: str) -> str:
    """Return a text in a fence that is longer than any within it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def to_markdown(report: RoundReport) -> str:
    """Return the whole report in the reader's language."""
    parts = [
        f"# {_('Round {number}').format(number=report.number)}: {inline(report.project)}",
        inline(answer_words(report)),
        *(f"> {inline(text)}" for text in exploit_words(report)),
        *_verdicts(report),
        *_figures(report),
        *_slices(report),
        *_examples(report),
        *_cost(report),
        *_arms(report),
        *_turns(report),
        *_made(report),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(rate: Rate | Estimate | None) -> str:
    if rate is None:
        return "–"
    value, low, high = (round(share * 100) for share in (rate.value, rate.low, rate.high))
    return f"{value} % ({low}–{high})"


def _number(found: Estimate | None) -> str:
    return f"{found.value:.3g} ({found.low:.3g} – {found.high:.3g})" if found else "–"


def _verdicts(report: RoundReport) -> Iterator[str]:
    if not report.verdicts:
        return
    yield f"## {_('Did it help?')}"
    head = [_("Judged by"), _("Wins"), _("At equal length"), _("Pairs"), _("That is")]
    rows = [
        [
            str(BY_NAMES[one.by]),
            _percent(one.rate),
            _percent(one.at_equal_length),
            str(one.rate.pairs),
            str(SAYS[one.rate.says]),
        ]
        for one in report.verdicts
    ]
    yield _table(head, rows)


def _figures(report: RoundReport) -> Iterator[str]:
    if not report.figures:
        return
    yield f"## {_('How far it went')}"
    head = [_("Figure"), inline(report.policy), inline(report.baseline)]
    rows = [
        [str(FIGURES[one.name]), _number(one.policy), _number(one.baseline)]
        for one in report.figures
    ]
    yield _table(head, rows)
    if report.best_of:
        rows = [[str(n), _number(reward), _number(gold)] for n, reward, gold in report.best_of]
        yield _table([_("Best of n"), _("Reward"), _("Hidden score")], rows)


def _slices(report: RoundReport) -> Iterator[str]:
    if not report.slices:
        return
    yield f"## {_('Where it got worse')}"
    if not report.worse:
        yield _("In no part of the held-out prompts.")
    known = [by for by in BY_NAMES if any(by in one.rates for one in report.slices)]
    head = [_("Part"), _("Prompts"), *(str(BY_NAMES[by]) for by in known), _("That is")]
    rows = [
        [
            inline(slice_name(one)),
            str(one.prompts),
            *(_percent(one.rates.get(by)) for by in known),
            str(SAYS[one.says]),
        ]
        for one in report.slices
    ]
    yield _table(head, rows)


def _examples(report: RoundReport) -> Iterator[str]:
    if not report.examples:
        return
    yield f"## {_('Replies to read')}"
    for number, one in enumerate(report.examples, start=1):
        tags = ", ".join(inline(tag) for tag in one.tags)
        yield f"### {number}" + (f" ({tags})" if tags else "")
        for role, text in one.asked:
            yield f"**{inline(role)}**"
            yield fenced(text)
        for name, text, reward in (
            (report.policy, one.policy, one.policy_reward),
            (report.baseline, one.baseline, one.baseline_reward),
        ):
            yield f"**{inline(name)}** ({_('reward')} {reward:.3g})"
            yield fenced(text)


def _cost(report: RoundReport) -> Iterator[str]:
    spent, each = report.spent, report.per_point
    yield f"## {_('What it took')}"
    head = ["", _("In all"), _("Per point of win rate")]
    rows = [
        [_("Judgements"), str(spent.judgements), f"{each.judgements:.3g}" if each else "–"],
        *(
            [[_("Judgements by AI judges"), str(spent.ai_judgements), "–"]]
            if spent.ai_judgements
            else []
        ),
        [
            _("People's active time"),
            lasting(spent.active_s),
            lasting(each.active_s) if each else "–",
        ],
        [
            _("Computing time"),
            lasting(spent.computed_s),
            lasting(each.computed_s) if each else "–",
        ],
        [_("Judgements for the evaluation"), str(spent.evaluation_judgements), "–"],
    ]
    yield _table(head, rows)
    yield inline(point_words(each))


def _arms(report: RoundReport) -> Iterator[str]:
    if not report.arms:
        return
    yield f"## {_('What was asked first')}"
    head = [_("Chosen by"), _("Comparisons"), _("Judgements"), _("Ties"), _("Active time")]
    rows = [
        [
            str(ARMS.get(one.name, inline(one.name))),
            *(str(count) for count in (one.comparisons, one.judgements, one.ties)),
            lasting(one.active_s),
        ]
        for one in report.arms
    ]
    yield _table(head, rows)


def _turns(report: RoundReport) -> Iterator[str]:
    if not report.turns:
        return
    yield f"## {_('All rounds')}"
    known = [by for by in BY_NAMES if any(by in turn.rates for turn in report.turns)]
    golden = any(turn.gold for turn in report.turns)
    hidden = [_("Hidden score")] if golden else []
    head = [_("Round"), *(str(BY_NAMES[by]) for by in known), "KL", *hidden, _("promoted")]
    rows = [
        [
            str(turn.number),
            *(_percent(turn.rates.get(by)) for by in known),
            _number(turn.kl),
            *([_number(turn.gold)] if golden else []),
            _("yes") if turn.was_promoted else _("no"),
        ]
        for turn in report.turns
    ]
    yield _table(head, rows)


def _made(report: RoundReport) -> Iterator[str]:
    yield f"## {_('Where it comes from')}"
    yield "\n".join(f"- {MADE[one.kind]}: {inline(one.name)}" for one in report.made)
