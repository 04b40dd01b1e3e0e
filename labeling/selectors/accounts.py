"""Reads of accounts: people who sign in, and whom a project may still add."""

from django.db.models import Count, Exists, OuterRef, QuerySet

from labeling.models import Annotator, Membership, Project, User

# More names than this are no help in a list to pick from.
NAMES_OFFERED = 500


def people() -> QuerySet[User]:
    """Return the accounts of people: simulated annotators have accounts that nobody uses."""
    simulated = Annotator.objects.filter(user=OuterRef("pk"), kind=Annotator.Kind.SIMULATED)
    return User.objects.filter(~Exists(simulated))


def account_rows(*, name: str = "") -> QuerySet[User]:
    """Return people's accounts by name, with their numbers of projects; those like `name` alone."""
    rows = people().filter(username__icontains=name) if name else people()
    return rows.annotate(project_count=Count("memberships")).order_by("username", "pk")


def addable_names(project: Project) -> list[str]:
    """Return the user names of active accounts that are no members of the project yet."""
    members = Membership.objects.filter(project=project, user=OuterRef("pk"))
    rows = people().filter(~Exists(members), is_active=True).order_by("username")
    return list(rows.values_list("username", flat=True)[:NAMES_OFFERED])
