"""The config of scoring: how many replies are read at a time."""

from __future__ import annotations

from dataclasses import dataclass

from training.config_fields import Config, option


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(Config):
    """Replies that are scored by every member of a reward model."""

    batch_size: int = option(32, "machine", "Replies scored at a time.", within=(1, 65_536))
    checkpoint_steps: int = option(
        1,
        "progress",
        "Batches between two points from which a run can go on.",
        within=(1, 1_000_000),
    )
