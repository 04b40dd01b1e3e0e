"""Replies that say who made them would break the blindness of a comparison."""

import re

_MAKERS = (
    r"open ?ai|anthropic|google|deepmind|meta ai|mistral ai|alibaba|deepseek|microsoft|cohere|"
    r"laion|hugging ?face|stability ai|baidu|xai"
)
_MODELS = (
    r"chat-?gpt|gpt-?[345][\w.-]*|claude|gemini|llama[ -]?\d|mistral|qwen|open[- ]assistant|bard"
)
_PATTERNS = (
    rf"\b(?:developed|created|trained|made|built) by (?:the )?(?:team at )?(?:{_MAKERS})\b",
    rf"\b(?:i am|i['’]m|my name is) (?:an? )?(?:{_MODELS})\b",
    # With "i", so that "such as GPT-4", "as a bard" and a horoscope's Gemini pass.
    rf"(?:^|[.!?\n]) *as (?:an? )?(?:{_MODELS}), (?:i|my)\b",
    r"\bas an? (?:ai|artificial intelligence|large)? ?language model\b.{0,60}"
    r"\b(?:developed|trained) by\b",
)
_NAMES_ITS_MAKER = re.compile("|".join(_PATTERNS), re.IGNORECASE)


def names_its_maker(text: str) -> bool:
    """Return whether a reply tells which model, or whose, wrote it."""
    return bool(_NAMES_ITS_MAKER.search(text))
