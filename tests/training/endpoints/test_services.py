"""Endpoints: what they refuse, how their keys are kept, and what they are to a project."""

import json
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from labeling.exceptions import InvalidInput
from labeling.language import said
from labeling.models import AuditEvent
from tests import openai_server as far
from tests.factories import make_admin, make_project, owner_of
from tests.openai_server import openai_server
from tests.training.endpoints.factories import KEY, make_endpoint, outside_model_of
from tests.training.factories import make_model, make_weights
from training.endpoints.keys import lock_key, open_key
from training.endpoints.models import Endpoint
from training.endpoints.selectors import (
    asked_by,
    endpoints,
    key_of,
    outside_model,
    outside_models,
    server_of,
)
from training.endpoints.services import (
    check_endpoint,
    create_endpoint,
    offer_model,
    relock_keys,
    update_endpoint,
)
from training.models import ModelVersion
from training.rounds.services import promote_model
from training.services.models import register_model
from training.services.runs import create_run
from training.services.sampling import create_sampling_run

pytestmark = pytest.mark.django_db

GIVEN = {"name": "far", "base_url": "https://8.8.8.8/v1", "model_name": "tiny"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"model_name": ""}, "model_name"),
        ({"base_url": "https://10.0.0.1/v1"}, "base_url"),
        ({"base_url": "https://localhost/v1"}, "base_url"),
        ({"base_url": "http://8.8.8.8/v1"}, "base_url"),
        ({"base_url": "http://169.254.169.254/v1", "allows_private": True}, "base_url"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": "many"}, "concurrency"),
        ({"retries": 21}, "retries"),
        ({"silence_s": 0}, "silence_s"),
        ({"key": "two words"}, "key"),
        ({"key": "a\r\nb"}, "key"),
        ({"key_variable": "DATABASE_URL"}, "key_variable"),
        ({"key_variable": "PREFLOOP_SECRET_KEY"}, "key_variable"),
        ({"key_variable": "OPENAI_API_KEY", "key": KEY}, "key_variable"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_can_not_be_taken_is_named_by_its_field(changes: dict[str, Any], field: str):
    with pytest.raises(InvalidInput) as raised:
        create_endpoint(actor=make_admin(), **{**GIVEN, **changes})
    assert list(raised.value.errors) == [field]
    assert not Endpoint.objects.exists()


def test_a_name_stands_once():
    create_endpoint(actor=None, **GIVEN)
    with pytest.raises(InvalidInput) as raised:
        create_endpoint(actor=None, **GIVEN)
    assert list(raised.value.errors) == ["name"]


def test_a_stored_key_is_encrypted_and_in_no_record():
    endpoint = create_endpoint(actor=make_admin(), key=KEY, **GIVEN)
    update_endpoint(actor=make_admin(), endpoint=endpoint, retries=2)
    endpoint.refresh_from_db()
    assert key_of(endpoint) == server_of(endpoint).api_key == KEY
    assert KEY not in json.dumps(Endpoint.objects.values().get(), default=str)
    events = AuditEvent.objects.filter(verb__startswith="endpoint.")
    assert [event.verb for event in events] == ["endpoint.create", "endpoint.update"]
    for event in events:
        assert event.data["key"] == "stored"
        assert KEY not in json.dumps(event.data)
        assert endpoint.key_cipher not in json.dumps(event.data)


def test_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    endpoint = create_endpoint(actor=None, key_variable="FAR_API_KEY", **GIVEN)
    with pytest.raises(InvalidInput, match="FAR_API_KEY is not set"):
        key_of(endpoint)
    monkeypatch.setenv("FAR_API_KEY", f"{KEY}\n")
    assert key_of(endpoint) == KEY


def test_a_stored_key_goes_to_no_other_server():
    endpoint = create_endpoint(actor=None, key=KEY, **GIVEN)
    for url in ("https://1.1.1.1/v1", "https://8.8.8.8:8443/v1"):
        with pytest.raises(InvalidInput) as raised:
            update_endpoint(actor=None, endpoint=endpoint, base_url=url)
        assert list(raised.value.errors) == ["key"]
    update_endpoint(actor=None, endpoint=endpoint, base_url="https://8.8.8.8/v2")
    moved = update_endpoint(
        actor=None, endpoint=endpoint, base_url="https://1.1.1.1/v1", key="sk-new"
    )
    assert key_of(moved) == "sk-new"
    without = update_endpoint(actor=None, endpoint=endpoint, base_url="https://8.8.8.8/v1", key="")
    assert (without.key_cipher, key_of(without)) == ("", "")


def test_secrets_are_rotated(settings):
    first, second = "a" * 40, "b" * 40
    endpoint = create_endpoint(actor=None, key=KEY, **GIVEN)  # under the site's own secret
    settings.ENDPOINT_SECRETS = [first]
    assert key_of(endpoint) == KEY
    assert relock_keys(actor=None) == 1
    settings.ENDPOINT_SECRETS = [second, first]
    call_command("relock_endpoint_keys")
    endpoint.refresh_from_db()
    settings.ENDPOINT_SECRETS = [second]
    assert key_of(endpoint) == KEY
    settings.ENDPOINT_SECRETS = [first]
    with pytest.raises(InvalidInput, match="No secret of this site"):
        key_of(endpoint)
    with pytest.raises(CommandError, match="far: No secret"):
        call_command("relock_endpoint_keys")
    assert AuditEvent.objects.filter(verb="endpoint.relock").count() == 2


def test_a_cipher_of_another_site_opens_nothing():
    assert open_key(lock_key(KEY)) == KEY
    foreign = Fernet(Fernet.generate_key()).encrypt(KEY.encode()).decode()
    for cipher in (foreign, "nonsense", "ü"):
        with pytest.raises(InvalidInput):
            open_key(cipher)


def test_the_test_of_a_connection_says_what_is_wrong_and_forgets_it_when_it_works():
    with openai_server(key=KEY) as server:
        endpoint = make_endpoint(server, key="sk-wrong")
        checked = check_endpoint(actor=make_admin(), endpoint=endpoint)
        assert "give a valid one" in checked.problem
        assert "sk-wrong" not in checked.problem
        assert "{said}" in checked.problem_parts["pattern"]
        endpoint = update_endpoint(actor=None, endpoint=endpoint, key=KEY)
        checked = check_endpoint(actor=make_admin(), endpoint=endpoint)
        assert (checked.problem, checked.problem_parts) == ("", {})
        assert checked.checked_at is not None
        assert len(server.chats()) == 2
    tests = AuditEvent.objects.filter(verb="endpoint.test").order_by("pk")
    assert [event.data["works"] for event in tests] == [False, True]


def test_a_model_that_is_not_there_is_told_beside_those_that_are():
    with openai_server() as server:
        server.always = far.status(404, {"error": {"message": "no such model"}})
        checked = check_endpoint(actor=None, endpoint=make_endpoint(server, model_name="tyni"))
        assert "It knows these models: 'tiny', 'other'." in checked.problem
        assert said(checked.problem, checked.problem_parts) == checked.problem
        server.always = far.status(404)
        checked = check_endpoint(actor=None, endpoint=make_endpoint(server, name="near"))
        assert "It knows" not in checked.problem


def test_a_dead_server_is_said_to_be():
    checked = check_endpoint(actor=None, endpoint=make_endpoint())
    assert "Nobody answers" in checked.problem


def test_an_endpoint_is_a_model_of_the_projects_it_is_offered_to():
    project, other = make_project(), make_project()
    endpoint = make_endpoint(project=project)
    model = outside_model_of(endpoint)
    assert (model.kind, model.path, str(model)) == ("outside", "", "far v1")
    assert offer_model(actor=None, endpoint=endpoint, project=project) == model
    with pytest.raises(InvalidInput):
        offer_model(actor=None, endpoint=endpoint, project=other)
    site = make_endpoint(name="site", project=None)
    assert offer_model(actor=None, endpoint=site, project=other).project == other
    assert [one.name for one in outside_models(other)] == ["site"]


def test_another_model_behind_it_is_another_version():
    project = make_project()
    endpoint = make_endpoint(project=project)
    old = outside_model_of(endpoint)
    update_endpoint(actor=None, endpoint=endpoint, retries=3)
    assert outside_model_of(endpoint) == old
    update_endpoint(actor=None, endpoint=endpoint, model_name="larger")
    new = outside_model_of(endpoint)
    assert (str(new), new.sha256 != old.sha256) == ("far v2", True)
    assert outside_model(project, "far") == new
    with pytest.raises(InvalidInput, match="another model by now"):
        asked_by(ModelVersion.objects.get(pk=old.pk))
    update_endpoint(actor=None, endpoint=endpoint, is_active=False)
    assert outside_model(project, "far") is None


def test_what_a_folder_is_told_holds_no_key():
    endpoint = make_endpoint(project=make_project(), key=KEY)
    told, key = asked_by(outside_model_of(endpoint))
    assert key == KEY
    assert KEY not in json.dumps(told)
    assert told["server"]["base_url"] == endpoint.base_url


def test_an_outside_model_can_be_sampled_and_nothing_else():
    project = make_project()
    model = outside_model_of(make_endpoint(project=project))
    owner = owner_of(project)
    with pytest.raises(InvalidInput) as raised:
        create_run(actor=owner, project=project, recipe="dpo", snapshot=None, base_model=model)
    assert "base_model" in raised.value.errors
    with pytest.raises(InvalidInput):
        promote_model(actor=owner, project=project, model=model)
    with pytest.raises(InvalidInput) as raised:
        register_model(
            actor=owner, project=project, name="x", folder=make_weights(), kind="outside"
        )
    assert list(raised.value.errors) == ["kind"]
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersion.objects.filter(pk=make_model(project).pk).update(kind="outside")


def test_a_switched_off_endpoint_is_not_sampled():
    project = make_project()
    endpoint = make_endpoint(project=project)
    update_endpoint(actor=None, endpoint=endpoint, is_active=False)
    with pytest.raises(InvalidInput) as raised:
        create_sampling_run(
            actor=None, project=project, model=ModelVersion.objects.get(endpoint=endpoint)
        )
    assert "switched off" in raised.value.errors["model"][0]


def test_the_list_costs_the_same_however_many_there_are(django_assert_num_queries):
    for number in range(3):
        make_endpoint(name=f"far-{number}", project=make_project())
    with django_assert_num_queries(1):
        found = [vars(row) for row in endpoints()]
    assert [(row["name"], row["project_count"]) for row in found] == [
        (f"far-{number}", 1) for number in range(3)
    ]
