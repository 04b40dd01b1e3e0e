"""The table of models by the API."""

import pytest

from tests.factories import make_comparison, make_member, make_project
from tests.labeling.api.conftest import ClientFor
from tests.labeling.selectors.judging import judged
from tests.labeling.selectors.test_strength import tiers_of

pytestmark = pytest.mark.django_db


def test_strengths_are_told_in_logits_with_intervals(client_for: ClientFor) -> None:
    project = make_project()
    comparison = make_comparison(project, k=2)
    judged(make_member(project), comparison, tiers_of(comparison))
    client = client_for(make_member(project, "viewer"))
    url = f"/api/v1/projects/{project.slug}/quality/models/"
    told = client.get(url).json()
    first, second = told["groups"][0]
    assert (first["name"], second["name"], first["won"]) == ("model-0", "model-1", 1)
    assert first["plain"]["low"] < first["plain"]["value"] == -second["plain"]["value"]
    assert client.get(f"{url}?judges=ai").json()["groups"] == []
    wrong = client.get(f"{url}?judges=nobody")
    assert wrong.status_code == 422
    assert "judges" in wrong.json()["errors"]
