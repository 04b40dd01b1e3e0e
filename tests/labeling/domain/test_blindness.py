"""Replies that tell who made them are known; replies that merely mention a name are not."""

import pytest

from labeling.domain.blindness import names_its_maker


@pytest.mark.parametrize(
    "text",
    [
        "I am ChatGPT, how can I help?",
        "Hello! I’m Claude.",
        "My name is Open Assistant.",
        "Sure. As ChatGPT, I can't do that.",
        "I was developed by OpenAI to help.",
        "I was trained by the team at LAION.",
        "As an AI language model, one developed by others, I can't.",
        "as a large language model trained by people",
    ],
)
def test_names_its_maker(text: str) -> None:
    assert names_its_maker(text)


@pytest.mark.parametrize(
    "text",
    [
        "Models such as GPT-4 are large.",
        "You arrive at the inn as a bard.",
        "As an AI language model I can't do that.",
        "I am a gardener.",
        "Use Google to find it.",
        "The chair was made by my uncle.",
        "",
    ],
)
def test_names_its_maker_leaves_mentions_alone(text: str) -> None:
    assert not names_its_maker(text)
