"""The schema says what the API does; its page works under the site's own policy."""

import io
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from labeling.api.urls import urlpatterns
from tests.factories import make_user

if TYPE_CHECKING:
    from playwright.sync_api import Page


def _schema() -> dict[str, Any]:
    schema = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    return dict(schema)


def test_the_schema_is_valid_and_without_warnings() -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=io.StringIO())


def test_the_schema_holds_every_address() -> None:
    schema = _schema()
    named = {path.replace("{", "<").replace("}", ">") for path in schema["paths"]}
    for pattern in urlpatterns:
        route = str(pattern.pattern)
        for kind in ("slug:", "uuid:", "int:", "str:"):
            route = route.replace(f"<{kind}", "<")
        assert f"/api/v1/{route}" in named


def test_every_operation_documents_the_shape_of_errors() -> None:
    for path, operations in _schema()["paths"].items():
        for operation in operations.values():
            if not operation["operationId"].startswith("api_"):
                assert "4XX" in operation["responses"], path


@pytest.mark.django_db
def test_schema_and_page_need_a_login() -> None:
    assert Client().get("/api/v1/schema/").status_code == 401
    page = Client().get("/api/v1/docs/")
    assert page.status_code == 302
    assert page.headers["Location"].endswith("/login/?next=/api/v1/docs/")
    client = Client()
    client.force_login(make_user())
    assert client.get("/api/v1/schema/").status_code == 200


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_page_works_under_the_policy(page: "Page", live_server: Any) -> None:
    client = Client()
    client.force_login(make_user())
    session = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.goto(f"{live_server.url}/api/v1/docs/")
    page.wait_for_selector("text=/api/v1/projects/{slug}/assignments/next/")
    page.click("#operations-assignments-assignments_judge button >> nth=0")
    page.wait_for_selector("text=Idempotency-Key")
    assert said == []
