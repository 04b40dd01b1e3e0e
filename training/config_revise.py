"""The config of critique and revision: how often, how replies are drawn, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass

from training.config_fields import Config, conflicts_of_room, option


@dataclass(frozen=True, kw_only=True)
class ReviseConfig(Config):
    """Replies that a policy criticizes and revises itself, by principles of a constitution."""

    max_length: int = option(
        2048,
        "data",
        "Longest conversation with its critique and revision, in tokens; longer chains are dropped "
        "and counted.",
        within=(8, 1_048_576),
    )
    rounds: int = option(
        4,
        "sampling",
        "Rounds of critique and revision of each reply, each by a principle drawn anew.",
        within=(1, 64),
    )
    demonstration: str = option(
        "last",
        "sampling",
        "What becomes demonstrations: the last revision of each reply, or all of them.",
        choices=("last", "all"),
    )
    keeps_cut: bool = option(
        False,
        "sampling",
        "Keep chains in which a revision was cut off at max_new_tokens; switched off, they are "
        "dropped and counted.",
    )
    temperature: float = option(
        1.0,
        "sampling",
        "Below 1 likelier tokens are favoured, above 1 rarer ones; 0 always takes the likeliest.",
        within=(0.0, 100.0),
    )
    top_p: float = option(
        1.0,
        "sampling",
        "Draw from the likeliest tokens that together have this probability; 1 draws from all.",
        within=(0.001, 1.0),
    )
    top_k: int = option(
        0,
        "sampling",
        "Draw from this many likeliest tokens; 0 draws from all.",
        within=(0, 1_000_000),
    )
    max_new_tokens: int = option(
        256, "sampling", "Longest reply, critique or revision, in tokens.", within=(1, 1_000_000)
    )
    batch_size: int = option(32, "machine", "Prompts worked on at a time.", within=(1, 65_536))
    checkpoint_steps: int = option(
        1,
        "progress",
        "Batches between two points from which a run can go on.",
        within=(1, 1_000_000),
    )

    def _conflicts(self) -> list[tuple[str, str]]:
        return super()._conflicts() + conflicts_of_room(self.max_new_tokens, self.max_length)
