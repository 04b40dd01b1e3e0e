"""Changing one's own password: this session goes on, every other ends."""

from tests.factories import PASSWORD
from tests.labeling.views.conftest import World

NEW = {"password": "an altogether other secret", "again": "an altogether other secret"}


def test_own_password_keeps_this_session_and_ends_the_others(world: World) -> None:
    here, elsewhere = world.client("viewer"), world.client("viewer")
    answer = here.post(world.url("own_password"), {"current": PASSWORD, **NEW})
    assert answer["Location"] == world.url("own_settings")
    assert "Your password is changed." in here.get(answer["Location"]).text
    assert elsewhere.get(world.url("project_list")).status_code == 302


def test_own_password_names_what_is_wrong(world: World) -> None:
    client, url = world.client("viewer"), world.url("own_password")
    wrong = client.post(url, {"current": "guessed", **NEW}, headers={"HX-Request": "true"})
    assert wrong.status_code == 422
    assert wrong.text.strip().startswith('<form id="own-password-form"')
    assert "This is not your password." in wrong.text
    differ = client.post(url, {"current": PASSWORD, **NEW, "again": "x"})
    assert "The two passwords differ." in differ.text
    world.actor("viewer").refresh_from_db()
    assert world.actor("viewer").check_password(PASSWORD)
