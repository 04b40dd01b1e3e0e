"""The log's deeds in words."""

import re

from labeling.templatetags.audit import DEEDS, deed
from tests.locale.sources import sources


def test_every_deed_that_services_record_has_its_words() -> None:
    text = "\n".join(p.read_text() for p in sources() if "services" in (*p.parts, p.stem))
    codes = set(re.findall(r'(?:verb(?:=| = )|else )"([a-z_]+\.[a-z_]+)"', text))
    codes |= set(re.findall(r'_record\((?:\w+(?:\.\w+)*, )+"([a-z_.]+)"', text))
    assert len(codes) > 25  # else the search itself is broken
    assert codes - set(DEEDS) == set()


def test_an_unknown_deed_stands_as_it_is() -> None:
    assert deed("moon.land") == "moon.land"
    assert deed("project.create") == "made the project"
