"""How tests ask a page of the training half: as somebody, by its name."""

from django.test import Client
from django.urls import reverse

from labeling.models import Project, User


def client_of(user: User | None) -> Client:
    """Return a browser in which the account is signed in; nobody for None."""
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def page(name: str, project: Project, *args: object) -> str:
    """Return a page's address in the project."""
    return reverse(f"training:{name}", args=[project.slug, *args])
