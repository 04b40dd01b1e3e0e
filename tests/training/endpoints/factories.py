"""Endpoints at the test server, as an administrator would name them."""

from typing import Any

from labeling.models import Project
from tests.factories import make_admin
from tests.openai_server import OpenAIServer
from training.endpoints.models import Endpoint
from training.endpoints.services import create_endpoint
from training.models import ModelVersion

KEY = "sk-the-key-of-a-test"


def make_endpoint(
    server: OpenAIServer | None = None, project: Project | None = None, **changes: Any
) -> Endpoint:
    """Return an endpoint, offered to the project where one is given."""
    given = {
        "name": "far",
        "base_url": server.url if server else "http://127.0.0.1:9/v1",
        "model_name": "tiny",
        "allows_private": True,
        "retries": 1,
        "silence_s": 5,
        "answer_s": 10,
        **changes,
    }
    return create_endpoint(actor=make_admin(), project=project, **given)


def outside_model_of(endpoint: Endpoint) -> ModelVersion:
    """Return the newest model that stands for the endpoint."""
    return ModelVersion.objects.filter(endpoint=endpoint).order_by("-pk")[0]
