"""Where the numbers of each preset are from, in a sentence that the start form shows."""

from __future__ import annotations

from labeling.domain.sentences import sentence as _

_TINY = _("Measured here: for models of about a million parameters on two cores.")

SOURCES: dict[str, dict[str, str]] = {
    "sft": {
        "default": _("Zephyr (2310.16944): its rate and warmup, in batches of 32."),
        "zephyr": _("Zephyr (2310.16944, section 4.1): one pass in batches of 512."),
        "summarize": _("Learning to summarize (2009.01325, appendix B.1): the 1.3B model."),
        "instructgpt": _(
            "InstructGPT (2203.02155, appendix C.1): 16 passes, the best chosen by reward."
        ),
        "tiny-cpu": _TINY,
        "tiny-scratch": _("Measured here: 0.7 M parameters learn legible sentences in 250 steps."),
    },
    "reward": {
        "default": _("InstructGPT (2203.02155, appendix C.2): one pass, 64 prompts a step."),
        "instructgpt": _("InstructGPT (2203.02155, appendix C.2), with its length of 2048."),
        "summarize": _("Learning to summarize (2009.01325, appendix B.1): the 1.3B model."),
        "llama2-margin": _("Llama 2 (2307.09288, section 3.2): a margin by strength."),
        "tiny-cpu": _TINY,
    },
    "dpo": {
        "default": _("Zephyr (2310.16944, section 4.2), from all pairs."),
        "dpo-paper": _("DPO (2305.18290, appendix B), with its code's length and clipping."),
        "summarize": _("DPO (2305.18290, appendix B): its numbers for TL;DR, beta 0.5."),
        "zephyr": _("Zephyr (2310.16944, section 4.2): the best reply against one at random."),
        "tiny-cpu": _TINY,
    },
    "kto": {
        "default": _("KTO (2402.01306): batches of 32, beta 0.1."),
        "tiny-cpu": _TINY,
    },
    "rloo": {
        "default": _("RLOO (2402.14740) with TRL's numbers, four replies a prompt."),
        "tiny-cpu": _TINY,
    },
    "grpo": {
        "default": _("DeepSeekMath (2402.03300, section 4.2): 64 replies a prompt."),
        "tiny-cpu": _TINY,
    },
    "ppo": {
        "default": _("The N+ implementation details (2403.17031), a tenth of its episodes."),
        "summarize": _("Learning to summarize (2009.01325, appendix B.1): the 1.3B model."),
        "instructgpt": _("InstructGPT (2203.02155, appendix C.4): PPO-ptx."),
        "tiny-cpu": _TINY,
    },
    "sample": {
        "default": _("The papers sample at temperature 1 unless they say otherwise."),
        "summarize": _("Learning to summarize (2009.01325): temperature 0.7 for best of n."),
        "tiny-cpu": _TINY,
    },
    "revise": {
        "default": _("Constitutional AI (2212.08073, section 3.1): four rounds at temperature 1."),
        "tiny-cpu": _TINY,
    },
    "evaluate": {
        "default": _("Four replies a prompt at temperature 1, to which a sampled KL belongs."),
        "tiny-cpu": _TINY,
    },
    "score": {
        "default": _("Texts as long as the ones that are sampled and evaluated."),
        "tiny-cpu": _TINY,
    },
    "judge": {
        "default": _("RLAIF (2309.00267): the answers' probabilities, both orders averaged."),
        "constitutional": _(
            "Constitutional AI (2212.08073, section 4.3): reasons first, labels from 0.4 to 0.6."
        ),
        "ultrafeedback": _("UltraFeedback (2310.01377): four aspects from 1 to 5, with reasons."),
        "tiny-cpu": _TINY,
    },
}


def source_of(recipe: str, name: str) -> str:
    """Return the sentence about a preset; empty where there is none."""
    return SOURCES.get(recipe, {}).get(name, "")
