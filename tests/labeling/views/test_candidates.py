"""What a manager sees of candidates that seem to name their maker, and decides."""

import json

from labeling.models import Candidate, Comparison
from labeling.services.assignments import claim_next
from labeling.services.imports import create_import, run_import
from tests.labeling.views.conftest import World

GIVEN_AWAY = "I was developed by OpenAI to help."
LINE = {"prompt": "Why?", "responses": [{"text": text} for text in ("a", "b", "c", GIVEN_AWAY)]}


def imported(world: World) -> Candidate:
    """Import a prompt with four replies of which one is flagged, and return that one."""
    batch = create_import(
        actor=world.actor("owner"),
        project=world.project,
        file_name="f.jsonl",
        chunks=[json.dumps(LINE).encode() + b"\n"],
    )
    world.ids["batch"] = run_import(batch_id=batch.pk).uid
    found = Candidate.objects.get(names_its_maker=True)
    world.ids |= {"candidate": found.pk, "prompt": found.prompt_id}
    return found


def test_import_report_and_prompt_list_show_the_count_to_managers(world: World) -> None:
    imported(world)
    manager = world.client("manager")
    report = manager.get(world.url("import_detail", "slug", "batch")).text
    assert "1 candidate seems to name its maker" in report
    url = world.url("prompt_list", "slug")
    assert f'href="{url}?flagged=1"' in report
    page = manager.get(url, {"flagged": "1"}).text
    assert "1 prompt<" in page
    assert "1 names its maker" in page
    assert "names its maker" not in world.client("viewer").get(url, {"flagged": "1"}).text


def test_manager_lets_a_false_alarm_in_and_it_is_queued(world: World) -> None:
    candidate = imported(world)
    manager, page = world.client("manager"), world.url("prompt_detail", "slug", "prompt")
    assert "It is kept from annotators." in manager.get(page).text
    before = Comparison.objects.count()
    answer = manager.post(world.url("candidate_flag", "slug", "candidate"), {"flagged": "0"})
    assert answer["Location"] == page
    assert "Annotators may see this candidate." in manager.get(page).text
    assert Comparison.objects.count() == before + 1
    assert "It is kept from annotators." not in manager.get(page).text
    candidate.refresh_from_db()
    assert not candidate.names_its_maker


def test_annotator_never_sees_a_flagged_candidate(world: World) -> None:
    """Everything that is queued is shown to the owner, who has judged nothing yet."""
    imported(world)
    seen = []
    for _ in range(10):
        card = claim_next(actor=world.actor("owner"), project=world.project)
        if card is None:
            break
        seen += [reply.text for reply in card.candidates]
        world.client("owner").post(
            world.url("compare_skip", "slug"), {"assignment": card.assignment_uid, "reason": "x"}
        )
    assert seen
    assert GIVEN_AWAY not in seen


def test_manager_keeps_an_unseen_candidate_out(world: World) -> None:
    imported(world)
    world.ids["candidate"] = Candidate.objects.filter(prompt=world.ids["prompt"])[0].pk
    url = world.url("candidate_flag", "slug", "candidate")
    assert world.client("manager").post(url, {"flagged": "1"}).status_code == 302
    assert Candidate.objects.get(pk=world.ids["candidate"]).names_its_maker


def test_candidate_of_another_project_is_not_found(world: World) -> None:
    world.ids["candidate"] = 2**40
    url = world.url("candidate_flag", "slug", "candidate")
    assert world.client("manager").post(url, {"flagged": "0"}).status_code == 404
