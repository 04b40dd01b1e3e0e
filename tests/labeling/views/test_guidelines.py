"""The ranking page tells which guidelines were read; the newest is remembered."""

from typing import Any

import pytest

from labeling.models import AuditEvent
from labeling.selectors.projects import guideline_read_version
from labeling.services.projects import publish_guideline
from tests.labeling.views.conftest import World


def _read(world: World, version: Any) -> int:
    url = world.url("compare_guideline", "slug")
    return world.client("annotator").post(url, {"version": version}).status_code


def test_newest_version_that_was_read_is_remembered(world: World) -> None:
    person, project = world.actor("annotator"), world.project
    assert guideline_read_version(person, project) == 0
    publish_guideline(actor=world.actor("manager"), project=project, text="Second.")
    for version, remembered in ((1, 1), (2, 2), (1, 2), (2, 2)):
        assert _read(world, version) == 204
        assert guideline_read_version(person, project) == remembered
    assert guideline_read_version(world.actor("owner"), project) == 0
    events = AuditEvent.objects.filter(verb="guideline.read", actor=person).order_by("id")
    assert [event.data for event in events] == [{"version": 1}, {"version": 2}]


@pytest.mark.parametrize("version", [0, 3, -1, "", "one", "9" * 30])
def test_version_that_is_none_is_refused(world: World, version: Any) -> None:
    assert _read(world, version) == 422
    assert guideline_read_version(world.actor("annotator"), world.project) == 0
