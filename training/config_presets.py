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
