"""Models over the API: who else may use one."""

import pytest

from labeling.models import AuditEvent
from tests.factories import make_admin, make_project
from tests.training.factories import make_model
from training.selectors import is_usable

pytestmark = pytest.mark.django_db


def test_an_admin_shares_a_model_with_another_project(client_for):
    project, other = make_project(), make_project()
    model = make_model(project)
    url = f"/api/v1/projects/{project.slug}/models/{model.pk}/share/"
    client = client_for(make_admin())
    answer = client.post(url, {"project": other.slug}, format="json")
    assert (answer.status_code, answer.json()["id"]) == (200, model.pk)
    assert is_usable(other, model)
    assert AuditEvent.objects.get(verb="model.share").data == {"with": other.slug}
    for body in ({"project": "nowhere"}, {"project": project.slug}, {}):
        refused = client.post(url, body, format="json")
        assert (refused.status_code, set(refused.json()["errors"])) == (422, {"project"})
