"""The numbers of the demo world's runs: tuned once, used by the demo and by the benches."""

from typing import Any

_MACHINE: dict[str, Any] = {
    # A tiny model on two cores; its context is the longest conversation of the world and a reply.
    "device": "cpu",
    "threads": 2,
    "max_length": 256,
    "logging_steps": 5,
    "warmup_ratio": 0.05,
}

PRETRAIN_CONFIG: dict[str, Any] = {
    **_MACHINE,
    "init": "scratch",
    # Two wide layers learn to copy the asked subject sooner than four narrow ones.
    "layers": 2,
    "intermediate_size": 512,
    "learning_rate": 5e-3,
    "adam_beta2": 0.95,
    "per_device_batch_size": 16,
    # Enough to learn the words of the corpus, not to solve it.
    "max_steps": 80,
    "checkpoint_steps": 0,
}

BASE_SFT_CONFIG: dict[str, Any] = {
    **_MACHINE,
    "learning_rate": 5e-3,
    "adam_beta2": 0.95,
    "per_device_batch_size": 16,
    # Fewer leaves sentences that stray from the subject; more only learns the demonstrations.
    "max_steps": 700,
    "checkpoint_steps": 0,
}

SAMPLE_CONFIG: dict[str, Any] = {
    "device": "cpu",
    "threads": 2,
    "max_length": 256,
    "max_new_tokens": 64,
    "batch_size": 128,
    "candidates_per_prompt": 4,
}

REWARD_CONFIG: dict[str, Any] = {
    **_MACHINE,
    # Tuned on replies to prompts that were neither judged nor held out. Fewer epochs learn too
    # little from some 240 comparisons, twice as many learn their noise by heart.
    "learning_rate": 5e-4,
    "weight_decay": 0.1,
    "per_device_batch_size": 16,
    "epochs": 4.0,
    "checkpoint_steps": 0,
}

DPO_CONFIG: dict[str, Any] = {
    **_MACHINE,
    "learning_rate": 2e-4,
    "per_device_batch_size": 16,
    "epochs": 3.0,
    "beta": 0.1,
    "checkpoint_steps": 0,
}

PPO_CONFIG: dict[str, Any] = {
    **_MACHINE,
    "warmup_ratio": 0.0,
    "logging_steps": 1,
    "max_new_tokens": 64,
    # 16 steps of 128 episodes spend 1.4 nats and take half of what gold has to give; at 3e-4 and
    # 7 nats the reward model's score goes on rising while gold falls again.
    "learning_rate": 2e-4,
    "lr_schedule": "constant",
    "beta": 0.1,
    "total_episodes": 2048,
    "batch_size": 128,
    "rollout_batch_size": 128,
    "per_device_batch_size": 32,
    "missing_eos_score": -3.0,
    "sample_steps": 4,
    "checkpoint_steps": 0,
}
