"""Named loops to begin with: only what differs from the fields' own defaults."""

from __future__ import annotations

from typing import Any, Final

# Each follows its paper as far as one turn of this loop goes.
LOOP_PRESETS: Final[dict[str, dict[str, Any]]] = {
    # InstructGPT (2203.02155, 3.1): sample the best policy, rank, train the reward model on all
    # labels, PPO from the supervised policy; that one is made of demonstrations in the first round,
    # unless the first policy has learned from some already.
    "instructgpt": {
        "sft": "once",
        "sft_from": "people",
        "policy_recipe": "ppo",
        "start": "base",
        "labels": "all",
        "preset": "instructgpt",
    },
    # Learning to summarize (2009.01325, 3.1 and 3.3): SFT, pairs from mixed sources, reward model,
    # PPO.
    "summarize": {
        "sft": "once",
        "sft_from": "people",
        "policy_recipe": "ppo",
        "start": "base",
        "labels": "all",
        "share_current": 0.5,
        "share_previous": 0.25,
        "share_base": 0.25,
        "preset": "summarize",
    },
    # Zephyr (2310.16944, 3.1 to 3.3): dSFT, AI feedback on four replies, dDPO from the dSFT policy,
    # the best reply against one other at random (the preset of dpo). Its judge is UltraFeedback's,
    # an AI judge of the style aspects that the project names `zephyr`; its replies are of four
    # other models, here of the loop's own.
    "zephyr": {
        "sft": "once",
        "judges": "ai",
        "judge": "zephyr",
        "labels": "round",
        "trains_reward": False,
        "policy_recipe": "dpo",
        "start": "base",
        "preset": "zephyr",
    },
    # Constitutional AI (2212.08073): replies that the policy criticizes and revises by principles,
    # SFT on them (3.1); pairs that an AI judge compares by a principle each, as soft labels, a
    # reward model, and reinforcement learning from the fine-tuned policy (4.1). The project names
    # a judge `constitution`. The paper mixes people's labels of helpfulness in: judges both does.
    "constitutional": {
        "sft": "once",
        "sft_from": "all",
        "constitution": "default",
        "judges": "ai",
        "judge": "constitution",
        "labels": "all",
        "policy_recipe": "ppo",
        "start": "base",
    },
    # Online DPO: every round learns from its own labels alone and starts where the last one ended.
    "online-dpo": {"policy_recipe": "dpo", "start": "current", "labels": "round"},
}
