"""Group relative policy optimization: `python -m training.recipes.grpo <run folder>`.

TRL's GRPOTrainer (2402.03300): the advantage of a reply is its score less the mean of its prompt's
replies, by default divided by their deviation; the KL to the model the run starts from is in the
loss.
"""

from __future__ import annotations

from typing import Any

from trl.trainer.grpo_config import GRPOConfig as TRLConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from training.configs import GRPOConfig
from training.recipes.online import train


def main(arguments: list[str] | None = None) -> None:
    """Train on the run's prompts and leave a policy in `model/`."""
    train("grpo", arguments, GRPOTrainer, TRLConfig, _loss)


def _loss(config: GRPOConfig) -> dict[str, Any]:
    return {"loss_type": config.loss_type, "scale_rewards": config.scale_rewards}


if __name__ == "__main__":
    main()
