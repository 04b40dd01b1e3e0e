"""The words in which a round's report is told, on its page and in Markdown alike."""

from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from training.rounds.report import PerPoint, RoundReport, Slice

BY_NAMES: Final = {
    "people": gettext_lazy("people"),
    "judge": gettext_lazy("the AI judge"),
    "reward": gettext_lazy("the reward model"),
    "gold": gettext_lazy("the hidden score"),
}
SAYS: Final = {
    "better": gettext_lazy("better"),
    "worse": gettext_lazy("worse"),
    "seems_worse": gettext_lazy("seems worse"),
    "unsure": gettext_lazy("not sure"),
}
FIGURES: Final = {
    "kl": gettext_lazy("KL to the reference, in nats"),
    "reward": gettext_lazy("Reward"),
    "length": gettext_lazy("Length, in tokens"),
    "gold": gettext_lazy("Hidden score"),
}
_PROMPT_LENGTHS: Final = {
    "short": gettext_lazy("Short prompts"),
    "middle": gettext_lazy("Prompts of middle length"),
    "long": gettext_lazy("Long prompts"),
}
_REPLY_LENGTHS: Final = {
    "shorter": gettext_lazy("Replies shorter than before"),
    "alike": gettext_lazy("Replies as long as before"),
    "longer": gettext_lazy("Replies longer than before"),
}
ARMS: Final = {
    "random": gettext_lazy("chance (control)"),
    "margin": gettext_lazy("margin"),
    "disagreement": gettext_lazy("disagreement"),
    "thompson": gettext_lazy("double Thompson"),
}
MADE: Final = {
    "model": gettext_lazy("model"),
    "snapshot": gettext_lazy("snapshot"),
    "run": gettext_lazy("run"),
    "contest": gettext_lazy("people's comparison"),
}


def slice_name(one: Slice) -> str:
    """Return what a slice holds."""
    if one.kind == "tag":
        return _("Tag {name}").format(name=one.name)
    names = _PROMPT_LENGTHS if one.kind == "prompt_length" else _REPLY_LENGTHS
    return str(names[one.name])


def answer_words(report: RoundReport) -> str:
    """Return in a sentence whether it helped."""
    words = {"policy": report.policy, "baseline": report.baseline}
    if not report.answer:
        return _("Nothing was measured yet.")
    said = {
        "better": _("It helped: {policy} is better than {baseline}."),
        "worse": _("It did harm: {policy} is worse than {baseline}."),
        "unsure": _("It is not sure that it helped: {policy} and {baseline} may be as good."),
    }
    if report.examples_wait and report.answered_by == "people":
        return _("People are still being asked; so far nothing is decided.")
    by = {
        "people": _("People say so, who could not tell whose reply was whose."),
        "judge": _("The AI judge says so; people were not asked, or said nothing yet."),
        "reward": _("The reward model says so, which the policy learned from."),
    }
    return f"{said[report.answer].format(**words)} {by[report.answered_by]}"


def exploit_words(report: RoundReport) -> list[str]:
    """Return a warning for each kind of judge that sees surely fewer wins than the reward model."""
    text = _(
        "Over-optimized: the reward model sees more wins than {by}. In part, what was learned is "
        "the reward model's error."
    )
    return [text.format(by=BY_NAMES[by]) for by in report.exploits]


def point_words(found: PerPoint | None) -> str:
    """Return whose win rate the cost is divided by."""
    if found is None:
        return _("No point of win rate was won.")
    text = _("{points} points of win rate above one half, by {by}")
    return text.format(points=f"{found.points:.1f}", by=BY_NAMES[found.by])
