"""The page of a project's flags: versions follow each other, and cards keep theirs."""

from labeling.models import Assignment, FlagSet
from tests.labeling.views.conftest import World, claimed


def test_flags_are_changed_by_a_new_version(world: World) -> None:
    manager, url = world.client("manager"), world.url("flag_set", "slug")
    page = manager.get(url).text
    assert "hallucination: Hallucination" in page
    assert "does not ask for ratings" in page
    first = FlagSet.objects.get(project=world.project)
    manager.post(url, {"flags": "made_up: Made up\nrude: <b>Rude</b>"})
    latest = FlagSet.objects.filter(project=world.project).order_by("-version")[0]
    assert latest.version == first.version + 1
    assert [flag["key"] for flag in latest.flags] == ["made_up", "rude"]
    page = manager.get(url).text
    assert "&lt;b&gt;Rude" in page
    assert "Harmful advice" in page
    held = Assignment.objects.get(uid=world.ids["assignment"])
    assert held.flag_set == first
    held.delete()
    assert Assignment.objects.get(uid=claimed(world)).flag_set == latest


def test_settings_lead_to_the_flags(world: World) -> None:
    page = world.client("manager").get(world.url("project_settings", "slug")).text
    assert f'href="{world.url("flag_set", "slug")}"' in page
    assert "from 1 to 7 and for the" in page
