"""REINFORCE leave-one-out: `python -m training.recipes.rloo <run folder>`.

TRL's RLOOTrainer (2402.14740): the advantage of a reply is its score, less beta times its KL to
the model the run starts from, less the mean of the same for its prompt's other replies.
"""

from __future__ import annotations

from typing import Any

from trl.trainer.rloo_config import RLOOConfig as TRLConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from training.configs import RLOOConfig
from training.recipes.online import train


def main(arguments: list[str] | None = None) -> None:
    """Train on the run's prompts and leave a policy in `model/`."""
    train("rloo", arguments, RLOOTrainer, TRLConfig, _loss)


def _loss(config: RLOOConfig) -> dict[str, Any]:
    return {"normalize_advantages": config.normalize_advantages}


if __name__ == "__main__":
    main()
