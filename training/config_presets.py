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

_TINY_ONLINE: dict[str, Value] = {
    # Eight prompts with four replies each in a step; a model of a million parameters follows it.
    **_TINY,
    "learning_rate": 1e-4,
    "lr_schedule": "constant",
    "per_device_batch_size": 32,
    "max_steps": 200,
    "max_new_tokens": 64,
}

_INSTRUCTGPT_REWARD: dict[str, Value] = {
    # InstructGPT (2203.02155, C.2): one epoch, 9e-6, cosine to 10 %, 64 prompts, ties dropped.
    "learning_rate": 9e-6,
    "lr_schedule": "cosine_with_min_lr",
    "adam_beta2": 0.95,
    "gradient_accumulation": 8,
}

_DPO_PAPER: dict[str, Value] = {
    "optimizer": "rmsprop",
    "learning_rate": 1e-6,
    "lr_schedule": "constant",
    "warmup_steps": 150,
    "gradient_accumulation": 8,
    "max_grad_norm": 10.0,
    "beta": 0.1,
}

PRESETS: dict[str, dict[str, dict[str, Value]]] = {
    "sft": {
        # Zephyr (2310.16944): 2e-5, cosine, 10 % warmup, one epoch.
        "default": {"learning_rate": 2e-5, "warmup_ratio": 0.1, "gradient_accumulation": 4},
        # Zephyr (2310.16944, 4.1): 2e-5, cosine, 10 % warmup, batch 512, length 2048, one epoch.
        "zephyr": {
            "learning_rate": 2e-5,
            "warmup_ratio": 0.1,
            "gradient_accumulation": 64,
            "max_length": 2048,
        },
        # Learning to summarize (2009.01325, B.1, 1.3B): 6.35e-5, cosine, batch 128, one epoch.
        "summarize": {"learning_rate": 6.35e-5, "gradient_accumulation": 16},
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
        # InstructGPT (2203.02155, C.1, 1.3B and 6B): 9.65e-6, batch 32, 16 epochs, cosine to 10 %,
        # no warmup, Adam with 0.9 and 0.95, length 2048. Its dropout of 0.2 is not in the models of
        # today. Its checkpoint was chosen by reward: give the run a reward model.
        "instructgpt": {
            "learning_rate": 9.65e-6,
            "lr_schedule": "cosine_with_min_lr",
            "adam_beta2": 0.95,
            "epochs": 16.0,
            "gradient_accumulation": 4,
            "max_length": 2048,
            "eval_steps": 100,
        },
    },
    "reward": {
        "default": _INSTRUCTGPT_REWARD,
        "instructgpt": {**_INSTRUCTGPT_REWARD, "max_length": 2048},
        "tiny-cpu": {**_TINY, "learning_rate": 5e-4, "per_device_batch_size": 16, "epochs": 2.0},
        # Learning to summarize (2009.01325, B.1, 1.3B): 1.5e-5, cosine, batch 64, one epoch.
        "summarize": {"learning_rate": 1.5e-5, "gradient_accumulation": 8},
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
        # DPO (2305.18290, appendix B): RMSprop, 1e-6, 150 steps of warmup, batch 64, beta 0.1; its
        # own code: length 512, gradients cut at 10, one epoch.
        "dpo-paper": _DPO_PAPER,
        # The same for TL;DR, where the paper takes beta 0.5.
        "summarize": {**_DPO_PAPER, "beta": 0.5},
        # Zephyr (2310.16944, 4.2): as the default, and of each ranking the best reply against one
        # other at random; length 1024 and prompts included.
        "zephyr": {
            "learning_rate": 5e-7,
            "lr_schedule": "linear",
            "warmup_ratio": 0.1,
            "epochs": 3.0,
            "gradient_accumulation": 4,
            "max_length": 1024,
            "pairing": "best_vs_random",
        },
        "tiny-cpu": {
            **_TINY,
            "learning_rate": 2e-4,
            "per_device_batch_size": 16,
            "epochs": 3.0,
            "beta": 0.1,
        },
    },
    "kto": {
        # KTO (2402.01306): batch 32, beta 0.1, one epoch; 5e-7 is the rate that its authors and
        # TRL's guide call safe at this beta.
        "default": {
            "learning_rate": 5e-7,
            "warmup_ratio": 0.1,
            "gradient_accumulation": 4,
        },
        "tiny-cpu": {**_TINY, "learning_rate": 2e-4, "per_device_batch_size": 16, "epochs": 2.0},
    },
    "rloo": {
        # Back to basics (2402.14740) with the numbers of TRL 1.16: 1e-6, beta 0.05, and four
        # replies a prompt, the paper's larger k.
        "default": {
            "learning_rate": 1e-6,
            "lr_schedule": "linear",
            "beta": 0.05,
            "gradient_accumulation": 16,
        },
        "tiny-cpu": {**_TINY_ONLINE, "beta": 0.1},
    },
    "grpo": {
        # DeepSeekMath (2402.03300, 4.2): 1e-6, constant, beta 0.04, 64 replies a prompt of at most
        # 1024 tokens, batch 1024, one step for each batch drawn.
        "default": {
            "learning_rate": 1e-6,
            "lr_schedule": "constant",
            "beta": 0.04,
            "replies_per_prompt": 64,
            "per_device_batch_size": 64,
            "gradient_accumulation": 16,
            "max_length": 2048,
            "max_new_tokens": 1024,
        },
        "tiny-cpu": {**_TINY_ONLINE, "beta": 0.04},
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
            "checkpoint_steps": 10,
        },
        # Learning to summarize (2009.01325, B.1, 1.3B): 1.5e-5 linear, 4 passes, lambda 0.95,
        # batch 512, beta 0.05.
        "summarize": {
            "learning_rate": 1.5e-5,
            "lr_schedule": "linear",
            "temperature": 0.7,
            "total_episodes": 1_000_000,
            "batch_size": 512,
            "checkpoint_steps": 10,
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
            "checkpoint_steps": 10,
            "minibatches": 8,
            "inner_epochs": 1,
            "beta": 0.02,
            "ptx_coefficient": 27.8,
            "ptx_ratio": 8,
            "ema_decay": 0.992,
        },
        # A model of about a million parameters moves one or two nats in 16 such steps.
        "tiny-cpu": {
            **_TINY,
            "learning_rate": 2e-4,
            "lr_schedule": "constant",
            "per_device_batch_size": 32,
            "rollout_batch_size": 128,
            "total_episodes": 2048,
            "batch_size": 128,
            "max_new_tokens": 64,
            "beta": 0.1,
        },
    },
    "sample": {
        # The methods' papers sample at temperature 1 unless they say otherwise.
        "default": {"max_length": 2048, "max_new_tokens": 512},
        # Learning to summarize (2009.01325, best of n): 0.7, summaries of at most 48 tokens to
        # posts of at most 512.
        "summarize": {"temperature": 0.7, "max_length": 576, "max_new_tokens": 48},
        "tiny-cpu": {
            "device": "cpu",
            "threads": 2,
            "max_length": 256,
            "max_new_tokens": 64,
            "batch_size": 64,
        },
    },
    "revise": {
        # Constitutional AI (2212.08073, 3.1 and appendix A): four rounds at temperature 1. A
        # reply, its critique and its revision, of 512 tokens each, leave the prompt 2500.
        "default": {"max_length": 4096, "max_new_tokens": 512},
        "tiny-cpu": {
            "device": "cpu",
            "threads": 2,
            "max_length": 512,
            "max_new_tokens": 64,
            "batch_size": 64,
        },
    },
    "evaluate": {
        # A sampled KL belongs to the distribution drawn from, and training draws at temperature 1.
        "default": {"max_length": 2048, "max_new_tokens": 512},
        "tiny-cpu": {
            "device": "cpu",
            "threads": 2,
            "max_length": 256,
            "max_new_tokens": 64,
            "batch_size": 64,
            "replies_per_prompt": 8,
        },
    },
    "score": {
        # As long as what is sampled and evaluated.
        "default": {"max_length": 2048},
        "tiny-cpu": {"device": "cpu", "threads": 2, "max_length": 256, "batch_size": 64},
    },
    "judge": {
        # RLAIF (2309.00267): both orders, no reasons; Constitutional AI (2212.08073) clamps labels
        # after reasons to 0.4 to 0.6, which are the fields' own defaults.
        "default": {"max_length": 4096},
        # Constitutional AI, 4.3: reasons first, labels between 0.4 and 0.6.
        "constitutional": {"max_length": 4096, "reasons": True, "max_new_tokens": 256},
        # UltraFeedback (2310.01377): four aspects, from 1 to 5, with reasons.
        "ultrafeedback": {
            "style": "aspects",
            "tie_margin": 0.1,
            "max_length": 4096,
            "max_new_tokens": 256,
        },
        # A model of about a million parameters does not know what it is asked: nothing is left out.
        "tiny-cpu": {
            "device": "cpu",
            "threads": 2,
            "max_length": 1024,
            "max_new_tokens": 16,
            "batch_size": 64,
            "least_mass": 0.0,
            "tie_margin": 0.0,
        },
    },
}
