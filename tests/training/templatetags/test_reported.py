"""What recipes report, in words."""

import re

import pytest

from tests.locale.sources import sources
from training.endpoints.errors import Dropped, EndpointError, Nonsense, ServerFault, Silent
from training.templatetags.reported import reported


def test_every_reason_of_the_recipes_has_its_words() -> None:
    text = "\n".join(p.read_text() for p in sources() if "training" in p.parts)
    reasons = set(re.findall(r'Dropped\("([a-z_]+)"\)', text))
    assert len(reasons) > 5  # else the search itself is broken
    assert {reason for reason in reasons if "_" in reported(reason)} == set()


def test_a_new_name_stands_as_it_is() -> None:
    assert reported("moons") == "moons"


@pytest.mark.parametrize("error", [ServerFault, Silent, Dropped, Nonsense])
def test_why_a_server_left_a_prompt_out_is_said_in_words(error: type[EndpointError]):
    assert "server" in reported(error.code)
