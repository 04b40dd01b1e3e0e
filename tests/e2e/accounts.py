"""The account that has to be there before anybody can sign in."""

from dataclasses import replace

from tests.stack import LiveStack

ADMIN, PASSWORD = "admin", "rank-then-train"


def make_first_account(stack: LiveStack) -> tuple[str, str]:
    """Make the account with which an installation begins; return its name and password."""
    told = {**stack.environment, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    replace(stack, environment=told).manage(
        "createsuperuser", "--no-input", "--username", ADMIN, "--email", ""
    )
    return ADMIN, PASSWORD
