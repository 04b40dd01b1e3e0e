"""Named starting points for each recipe: only what differs from the fields' own defaults."""

from __future__ import annotations

from training.config_fields import Value

_TINY: dict[str, Value] = {
    # A model of about a million parameters on two cores: small batches of short texts, high rates.
    "device": "cpu",
    "threads": 2,
    "max_length": 256,
    "warmup_ratio": 0.05,
    "logging_steps": 5,
}

PRESETS: dict[str, dict[str, dict[str, Value]]] = {
    "sft": {
        # Zephyr (2310.16944): 2e-5, cosine, 10 % warmup, one epoch.
        "default": {"learning_rate": 2e-5, "warmup_ratio": 0.1, "gradient_accumulation": 4},
        "tiny-cpu": {**_TINY, "learning_rate": 1e-3, "per_device_batch_size": 32},
        # 0.7 M parameters learn legible sentences in 250 steps of 32 rows; without Qwen3's norms
        # on queries and keys a step takes a sixth less.
        "tiny-scratch": {
            **_TINY,
            "init": "scratch",
            "architecture": "llama",
            "intermediate_size": 256,
            "learning_rate": 3e-3,
            "per_device_batch_size": 32,
            "max_steps": 250,
            "adam_beta2": 0.95,
        },
        # InstructGPT (2203.02155, C.1): 16 epochs, cosine to 10 %, no warmup, beta2 0.95.
        "instructgpt": {
            "learning_rate": 9.65e-6,
            "lr_schedule": "cosine_with_min_lr",
            "adam_beta2": 0.95,
            "epochs": 16.0,
            "gradient_accumulation": 4,
        },
    },
    "reward": {
        # InstructGPT (2203.02155, C.2): one epoch, 9e-6, cosine to 10 %, ties dropped.
        "default": {
            "learning_rate": 9e-6,
            "lr_schedule": "cosine_with_min_lr",
            "adam_beta2": 0.95,
            "gradient_accumulation": 8,
        },
        "tiny-cpu": {**_TINY, "learning_rate": 5e-4, "per_device_batch_size": 16, "epochs": 2.0},
        # Llama 2 (2307.09288): 1e-5, cosine to 10 %, 3 % warmup, a margin by rating strength.
        "llama2-margin": {
            "learning_rate": 1e-5,
            "lr_schedule": "cosine_with_min_lr",
            "warmup_ratio": 0.03,
            "margin": "rank_gap",
            "margin_scale": 0.33,
            "gradient_accumulation": 8,
        },
    },
    "dpo": {
        # Zephyr (2310.16944): 5e-7, linear, 10 % warmup, beta 0.1, three epochs, batch 32.
        "default": {
            "learning_rate": 5e-7,
            "lr_schedule": "linear",
            "warmup_ratio": 0.1,
            "epochs": 3.0,
            "gradient_accumulation": 4,
        },
        "tiny-cpu": {
            **_TINY,
            "learning_rate": 2e-4,
            "per_device_batch_size": 16,
            "epochs": 3.0,
            "beta": 0.1,
        },
    },
    "ppo": {
        # The N+ implementation details (2403.17031): 3e-6 linear, 4 passes, batch 512, beta 0.05,
        # temperature 0.7, Adam's epsilon 1e-5; of its million episodes a tenth.
        "default": {
            "learning_rate": 3e-6,
            "lr_schedule": "linear",
            "temperature": 0.7,
            "total_episodes": 100_000,
            "batch_size": 512,
        },
        # Learning to summarize (2009.01325, B.1, 1.3B): 1.5e-5 linear, 4 passes, lambda 0.95,
        # batch 512, beta 0.05.
        "summarize": {
            "learning_rate": 1.5e-5,
            "lr_schedule": "linear",
            "temperature": 0.7,
            "total_episodes": 1_000_000,
            "batch_size": 512,
        },
        # InstructGPT (2203.02155, C.4): 256k episodes in batches of 512 and minibatches of 64, one
        # pass, beta 0.02, gamma 27.8 on 8 texts an episode, weights averaged with 0.992, constant
        # after 10 steps of warmup, value model 9e-6. The policy's rate is not printed; without
        # texts it diverged above 8.05e-6 (E.9).
        "instructgpt": {
            "learning_rate": 8e-6,
            "lr_schedule": "constant",
            "warmup_ratio": 0.02,
            "value_learning_rate": 9e-6,
            "adam_beta2": 0.95,
            "total_episodes": 256_000,
            "batch_size": 512,
            "minibatches": 8,
            "inner_epochs": 1,
            "beta": 0.02,
            "ptx_coefficient": 27.8,
            "ptx_ratio": 8,
            "ema_decay": 0.992,
        },
        # A model of about a million parameters moves 2 to 7 nats in 100 such steps.
        "tiny-cpu": {
            **_TINY,
            "learning_rate": 1e-4,
            "lr_schedule": "constant",
            "per_device_batch_size": 32,
            "rollout_batch_size": 128,
            "total_episodes": 12_800,
            "batch_size": 128,
            "max_new_tokens": 64,
            "beta": 0.1,
        },
    },
    "sample": {
        # The methods' papers sample at temperature 1 unless they say otherwise.
        "default": {"max_length": 2048, "max_new_tokens": 512},
        "tiny-cpu": {
            "device": "cpu",
            "threads": 2,
            "max_length": 256,
            "max_new_tokens": 64,
            "batch_size": 64,
        },
    },
}
