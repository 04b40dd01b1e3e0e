"""Lineage's pages and addresses, asked as each of seven, and what they show."""

from dataclasses import dataclass

import pytest
from django.core.cache import cache
from django.urls import reverse

from labeling.models import Project, Snapshot, User
from tests.factories import ACTORS, make_admin, make_member, owner_of, seven_actors
from tests.training.factories import make_model, make_run
from tests.training.lineage.world import World, made_by, make_world
from tests.training.views.asking import client_of
from training.models import ModelVersion
from training.services.models import share_model

pytestmark = pytest.mark.django_db
ADDRESSES = {
    "models/<int:pk>/lineage/",
    "models/<int:pk>/judgements/",
    "judgements/<uuid:uid>/lineage/",
}
READS = (302, 404, 403, 200, 200, 200, 200)
READERS = (401, 404, 403, 200, 200, 200, 200)


@pytest.fixture
def world() -> World:
    cache.clear()
    return make_world()


def pages(world: World) -> dict[str, str]:
    slug, model = world.project.slug, world.dpo.pk
    return {
        "model_lineage": reverse("training:model_lineage", args=[slug, model]),
        "model_judgements": reverse("training:model_judgements", args=[slug, model]),
        "judgement_lineage": reverse("training:judgement_lineage", args=[slug, world.early.uid]),
    }


@pytest.mark.parametrize("name", ["model_lineage", "model_judgements", "judgement_lineage"])
def test_pages_and_addresses_answer_each_of_the_seven(name, world, client_for):
    page = pages(world)[name]
    address = reverse(f"training_api:{name}", args=page_args(world, name))
    actors = seven_actors(world.project)
    found = [client_of(user).get(page).status_code for user in actors.values()]
    assert dict(zip(ACTORS, found, strict=True)) == dict(zip(ACTORS, READS, strict=True))
    told = [client_for(user).get(address).status_code for user in actors.values()]
    assert dict(zip(ACTORS, told, strict=True)) == dict(zip(ACTORS, READERS, strict=True))
    assert client_of(owner_of(world.project)).post(page).status_code == 405


def page_args(world: World, name: str) -> list[object]:
    of = world.early.uid if name == "judgement_lineage" else world.dpo.pk
    return [world.project.slug, of]


def test_the_family_is_drawn_with_links_and_told_as_a_list(world):
    shown = client_of(owner_of(world.project)).get(pages(world)["model_lineage"]).text
    assert shown.count('<g class="box') == 8 - 1
    assert shown.count('<path class="way ') == 8 + 5  # the family's lines, and the legend's
    assert 'aria-hidden="true"' in shown
    ppo = reverse("training:model_lineage", args=[world.project.slug, world.ppo.pk])
    run = reverse("training:run_detail", args=[world.project.slug, world.sampling.uid])
    first = reverse("labeling:snapshot_detail", args=[world.project.slug, world.first.number])
    for url in (ppo, run, first):
        assert f'<a href="{url}" tabindex="-1">' in shown
        assert f'<a href="{url}">' in shown
    assert 'of=direct">5</a>' in shown


def test_the_judgements_of_a_model_come_in_pages(world, monkeypatch):
    from training.lineage import views

    monkeypatch.setattr(views, "PER_PAGE", 2)
    client = client_of(owner_of(world.project))
    url = pages(world)["model_judgements"]
    shown = client.get(url, {"page": "3"}).text
    assert "Page 3 of 3" in shown
    assert shown.count('class="hash"') == 1
    assert "Snapshot 3" in shown
    assert "There are no such judgements." in client.get(url, {"of": "inherited"}).text
    assert client.get(url, {"of": "bogus"}).status_code == 404


def test_the_page_of_a_judgement_says_how_each_model_came_to_it(world):
    client = client_of(owner_of(world.project))
    shown = client.get(pages(world)["judgement_lineage"]).text
    assert "was scored by policy v1" not in shown
    assert f"was scored by {world.reward}" in shown
    assert "Built on a model that learned from it" in shown
    prompt = reverse(
        "labeling:prompt_detail", args=[world.project.slug, world.early.comparison.prompt_id]
    )
    assert pages(world)["judgement_lineage"] in client.get(prompt).text
    nobody = reverse(
        "training:judgement_lineage",
        args=[world.project.slug, "00000000-0000-0000-0000-000000000000"],
    )
    assert client.get(nobody).status_code == 404


@dataclass(frozen=True)
class Neighbours:
    """Two projects: `child`, of ours, started from a model that theirs shared with us."""

    ours: World
    theirs: World
    child: ModelVersion


@pytest.fixture
def neighbours(world) -> Neighbours:
    ours = make_world()
    Project.objects.filter(pk=world.project.pk).update(name="Project Nightjar")
    private = [world.base, world.reward, world.dpo]
    for model, name in zip(private, ("egret", "heron", "ibis"), strict=True):
        ModelVersion.objects.filter(pk=model.pk).update(name=name, sha256=f"{name:e<64}")
    share_model(actor=make_admin(), model=world.ppo, project=ours.project)
    ModelVersion.objects.filter(pk=world.ppo.pk).update(name="stork")
    run = make_run(ours.project, recipe="dpo", base_model=world.ppo, name="child")
    return Neighbours(ours, world, made_by(run))


def told_of(neighbours: Neighbours, user: User, client_for) -> str:
    """Return all that one is told of the child's family, and of what saw a judgement of ours."""
    slug = neighbours.ours.project.slug
    # A model of theirs that saw our judgements, as one that was shared with them once would.
    ModelVersion.objects.filter(pk=neighbours.theirs.dpo.pk).update(parent=neighbours.ours.reward)
    said = []
    for name, of in (
        ("model_lineage", neighbours.child.pk),
        ("model_lineage", neighbours.ours.reward.pk),
        ("judgement_lineage", neighbours.ours.early.uid),
    ):
        for site, client in (("training", client_of(user)), ("training_api", client_for(user))):
            found = client.get(reverse(f"{site}:{name}", args=[slug, of]))
            assert found.status_code == 200
            said.append(found.text)
    return "\n".join(said)


def test_readers_of_one_project_learn_nothing_of_another_but_what_is_shared(neighbours, client_for):
    viewer = make_member(neighbours.ours.project, "viewer")
    told = told_of(neighbours, viewer, client_for)
    theirs = neighbours.theirs
    for secret in ("Nightjar", "egret", "heron", "ibis", theirs.project.slug, theirs.first.sha256):
        assert secret not in told
    assert "stork" in told
    for kind in ("a model", "a snapshot"):
        assert f"{kind} of another project" in told.lower()


def test_a_models_page_and_address_name_no_ancestor_that_is_not_shared(neighbours, client_for):
    viewer = make_member(neighbours.ours.project, "viewer")
    slug, pk = neighbours.ours.project.slug, neighbours.child.pk
    shared = neighbours.theirs.ppo.pk
    told = [client_of(viewer).get(page_of(slug, one)).text for one in (pk, shared)]
    for address in (f"models/{pk}/", f"models/{shared}/", "models/"):
        told.append(client_for(viewer).get(f"/api/v1/projects/{slug}/{address}").text)
    for text in told:
        assert "stork" in text
        assert not [name for name in ("egret", "heron", "ibis") if name in text]
    make_member(neighbours.theirs.project, "viewer", viewer)
    assert "egret" in client_of(viewer).get(page_of(slug, pk)).text
    assert "egret" in client_for(viewer).get(f"/api/v1/projects/{slug}/models/{pk}/").text


def page_of(slug: str, pk: int) -> str:
    return reverse("training:model_detail", args=[slug, pk])


def test_readers_of_both_projects_are_told_the_names_but_given_no_links(neighbours, client_for):
    viewer = make_member(neighbours.ours.project, "viewer")
    make_member(neighbours.theirs.project, "viewer", viewer)
    told = told_of(neighbours, viewer, client_for)
    for name in ("Nightjar", "egret", "heron", "ibis", "stork", neighbours.theirs.first.sha256):
        assert name in told
    assert f"/{neighbours.theirs.project.slug}/" not in told
    assert "of another project" not in told


def test_who_only_annotates_in_the_other_project_is_told_no_more(neighbours, client_for):
    viewer = make_member(neighbours.ours.project, "viewer")
    make_member(neighbours.theirs.project, "annotator", viewer)
    assert "egret" not in told_of(neighbours, viewer, client_for)


def test_the_api_tells_the_family_as_a_graph(world, client_for):
    client = client_for(owner_of(world.project))
    slug = world.project.slug
    told = client.get(f"/api/v1/projects/{slug}/models/{world.dpo.pk}/lineage/").json()
    assert told["key"] == f"model-{world.dpo.pk}"
    assert len(told["nodes"]) == 7
    assert {
        "made": f"model-{world.ppo.pk}",
        "of": f"model-{world.reward.pk}",
        "kind": "scored",
    } in told["edges"]
    assert [(row["relation"], row["judgements"]) for row in told["judgements"]] == [
        ("direct", 5),
        ("inherited", 0),
        ("distant", 0),
    ]
    listed = client.get(f"/api/v1/projects/{slug}/models/{world.ppo.pk}/judgements/?of=inherited")
    rows = listed.json()
    assert rows["count"] == 3
    assert rows["results"][0]["held"] == [
        {"snapshot": 1, "sha256": world.first.sha256, "split": "train"}
    ]


def test_the_api_tells_which_models_have_seen_a_judgement(world, client_for):
    client = client_for(owner_of(world.project))
    address = f"/api/v1/projects/{world.project.slug}/judgements/{world.early.uid}/lineage/"
    told = client.get(address).json()
    assert [(row["model"]["name"], row["relation"]) for row in told["models"]] == [
        ("dpo", "direct"),
        (world.reward.name, "direct"),
        ("ppo", "inherited"),
    ]
    assert told["models"][2]["by"] == [
        {"made": "ppo v1", "of": str(world.reward), "kind": "scored"}
    ]
    assert [place["snapshot"] for place in told["held"]] == [3, 2, 1]


def test_pages_cost_the_same_however_large_the_family(world, django_assert_max_num_queries):
    client = client_of(owner_of(world.project))
    for url in pages(world).values():
        client.get(url)
    for _ in range(3):
        made_by(make_run(world.project, snapshot=world.second, base_model=world.dpo))
    for name, url in pages(world).items():
        with django_assert_max_num_queries(QUERIES[name]):
            client.get(url)


QUERIES = {"model_lineage": 13, "model_judgements": 12, "judgement_lineage": 12}


def test_erasing_a_person_names_the_snapshots_and_models_that_hold_their_work(world):
    person = owner_of(world.project)
    make_model(world.project, name="untouched")
    client = client_of(make_admin())
    url = reverse("labeling:account_erase", args=[person.pk])
    shown = client.get(url).text
    learned, built = shown.split("Built on what learned from it")
    assert f">{world.reward}</a>" in learned
    assert f">{world.dpo}</a>" in learned
    assert f">{world.ppo}</a>" in built
    assert "untouched" not in shown
    assert "Snapshot 3" in shown
    assert "5 labels" in shown
    wrong = client.post(url, {"username": "somebody"})
    assert wrong.status_code == 422
    assert "That is not this account&#x27;s name." in wrong.text
    done = client.post(url, {"username": person.username})
    assert done["Location"] == reverse("labeling:account_list")
    assert not User.objects.filter(pk=person.pk).exists()
    assert Snapshot.objects.filter(project=world.project).count() == 3
