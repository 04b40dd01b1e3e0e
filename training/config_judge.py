"""The config of an AI judge: what it is asked, and what becomes of its answers."""

from __future__ import annotations

from dataclasses import dataclass

from labeling.domain.sentences import sentence as _
from training.config_fields import Config, conflicts_of_room, option


@dataclass(frozen=True, kw_only=True)
class JudgeConfig(Config):
    """A policy that ranks the replies of comparisons."""

    style: str = option(
        "pairwise",
        "judging",
        "Ask which of two replies is better, each pair in both orders (pairwise), or rate each "
        "reply by four aspects from 1 to 5 (aspects).",
        choices=("pairwise", "aspects"),
    )
    tie_margin: float = option(
        0.05,
        "judging",
        "Replies this close to the best of their rank are tied: in mean wins (0 to 1) where pairs "
        "are asked, in mean ratings (1 to 5) where aspects are.",
        within=(0.0, 4.0),
    )
    reasons: bool = option(
        False,
        "judging",
        "Let the judge write its reasons before it answers; they are kept, and aspects always have "
        "them.",
    )
    clamp: float = option(
        0.4,
        "judging",
        "A pair's probability after written reasons is kept between this and 1 less this (0.4 and "
        "0.6); 0 keeps it as it is, and without reasons nothing is changed.",
        within=(0.0, 0.5),
    )
    least_mass: float = option(
        0.5,
        "judging",
        "Probability that the judge must give to the possible answers together; below it, it has "
        "not understood the question, and the comparison is left out.",
        within=(0.0, 1.0),
    )
    most_apart: float = option(
        1.5,
        "judging",
        "A reply whose overall rating is further than this from the mean of its aspects was not "
        "rated in earnest: its comparison is left out.",
        within=(0.0, 4.0),
    )
    temperature: float = option(
        0.0,
        "sampling",
        "Of the written reasons; 0 always takes the likeliest token.",
        within=(0.0, 100.0),
    )
    max_new_tokens: int = option(
        128, "sampling", "Longest written reasons, in tokens.", within=(1, 1_000_000)
    )
    batch_size: int = option(32, "machine", "Questions asked at a time.", within=(1, 65_536))
    checkpoint_steps: int = option(
        1,
        "progress",
        "Batches between two points from which a run can go on.",
        within=(1, 1_000_000),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        found = super()._conflicts()
        if self.writes:
            found += conflicts_of_room(self.max_new_tokens, self.max_length)
        if self.style == "pairwise" and self.tie_margin > 1:
            text = _(
                "tie_margin {margin} ties everything: mean wins lie from 0 to 1.",
                margin=self.tie_margin,
            )
            found.append(("tie_margin", text))
        return found

    @property
    def writes(self) -> bool:
        """Whether reasons are written before the answer."""
        return self.reasons or self.style == "aspects"
