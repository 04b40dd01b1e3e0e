"""Gold on the page of a prompt: from a judgement, by ranks, withdrawn."""

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Comparison, GoldItem
from tests.factories import make_member
from tests.labeling.selectors.judging import judged
from tests.labeling.views.conftest import World

PIECE = {"HX-Request": "true"}


def ranks(*given: int) -> dict[str, Any]:
    """Return the form of ranks by slot."""
    return {f"rank-{slot}": rank for slot, rank in enumerate(given)}


def test_prompt_page_offers_gold_to_managers_alone(world: World) -> None:
    url = world.url("prompt_detail", "slug", "prompt")
    for name in ("viewer", "manager", "owner"):
        page = world.client(name).get(url).text
        assert ('id="gold-list"' in page) is (name != "viewer")
    page = world.client("manager").get(url).text
    assert world.actor("annotator").username in page
    assert page.count("Use as gold</button>") == 1


def test_a_judgement_becomes_gold_and_is_withdrawn(world: World) -> None:
    client = world.client("manager")
    url = world.url("gold_set", "slug", "comparison")
    made = client.post(url, {"judgement": world.ids["judgement"], "note": "sure"}, headers=PIECE)
    assert made.text.strip().startswith('<section id="gold-list"')
    item = GoldItem.objects.get(comparison__uid=world.ids["comparison"])
    assert item.source is not None
    assert (item.tiers, item.note, item.created_by) == (
        item.source.tiers,
        "sure",
        world.actor("manager"),
    )
    assert "Known answer" in made.text
    gone = client.post(world.url("gold_withdraw", "slug", "comparison"), headers=PIECE)
    assert "Known answer" not in gone.text


def test_ranks_become_gold_and_equal_ones_tie(world: World) -> None:
    url = world.url("gold_set", "slug", "comparison")
    piece = world.client("manager").post(url, ranks(2, 1, 2, 9), headers=PIECE).text
    item = GoldItem.objects.get(comparison__uid=world.ids["comparison"])
    assert item.tiers == [[1], [0, 2], [3]]
    shown = piece.split("Known answer:")[1].split("</b>")[0]
    assert shown.count("&gt;") == 2
    assert shown.count("=") == 2  # one of them is the class's


def test_a_rank_left_out_or_out_of_range_is_named(world: World) -> None:
    client, url = world.client("manager"), world.url("gold_set", "slug", "comparison")
    left_out = client.post(url, ranks(1, 2, 3), headers=PIECE)
    assert left_out.status_code == 422
    assert "rank-3: Give each candidate a rank." in left_out.text
    wrong = client.post(url, ranks(1, 2, 3, 10), headers=PIECE)
    assert wrong.status_code == 422
    assert wrong.text.count("rank-3:") == 1
    assert client.post(url, {"judgement": "x"}, headers=PIECE).status_code == 422
    assert client.post(url, ranks(1, 2)).status_code == 422
    assert not GoldItem.objects.filter(comparison__uid=world.ids["comparison"]).exists()


def test_what_is_no_gold_can_not_be_withdrawn(world: World) -> None:
    url = world.url("gold_withdraw", "slug", "comparison")
    assert world.client("manager").post(url, headers=PIECE).status_code == 404
    assert world.client("manager").post(url).status_code == 404


def test_prompt_page_takes_the_same_queries_for_one_judgement_and_for_many(world: World) -> None:
    client, url = world.client("manager"), world.url("prompt_detail", "slug", "prompt")
    comparison = Comparison.objects.get(uid=world.ids["comparison"])
    found = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            page = client.get(url).text
        found.append((len(captured), page.count("Use as gold</button>")))
        for _ in range(4):
            judged(make_member(world.project), comparison, ((0,), (1,), (2,), (3,)))
    assert found == [(found[0][0], 1), (found[0][0], 5)]
