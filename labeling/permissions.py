"""Who may do what: the table of roles, and the question asked of it.

A site admin may do everything. A stranger to a project is told that there is no such project;
a member whose role does not reach is told so.
"""

from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from labeling.exceptions import NotAllowed, NotFound
from labeling.models import Membership, Project, Role, User

_EVERY_MEMBER: Final = frozenset(Role)
_ANNOTATING: Final = frozenset({Role.ANNOTATOR, Role.MANAGER, Role.OWNER})
_READING: Final = frozenset({Role.VIEWER, Role.MANAGER, Role.OWNER})
_MANAGING: Final = frozenset({Role.MANAGER, Role.OWNER})
_OWNING: Final = frozenset({Role.OWNER})
_ADMIN_ONLY: Final[frozenset[Role]] = frozenset()

ALLOWED: Final[dict[str, frozenset[Role]]] = {
    "project.view": _EVERY_MEMBER,
    "project.create": _ADMIN_ONLY,
    "project.configure": _MANAGING,
    "judgement.make": _ANNOTATING,
    "prompt.view": _READING,
    "prompt.import": _MANAGING,
    "prompt.withdraw": _MANAGING,
    "candidate.flag": _MANAGING,
    "guideline.write": _MANAGING,
    "gold.set": _MANAGING,
    "constitution.view": _READING,
    "constitution.write": _MANAGING,
    "quality.view": _READING,
    "snapshot.view": _READING,
    "snapshot.freeze": _MANAGING,
    "snapshot.export": _OWNING,
    "member.manage": _OWNING,
    "audit.view": _OWNING,
    "run.view": _READING,
    "run.start": _OWNING,
    "judge.view": _READING,
    "judge.run": _OWNING,
    "loop.configure": _MANAGING,
    "round.view": _READING,
    "round.run": _OWNING,
    # Annotators only where the project opens it to them, see training/playground/views.py.
    "playground.use": _ANNOTATING,
    "model.view": _READING,
    "model.sample": _OWNING,
    "model.register": _ADMIN_ONLY,
    "endpoint.manage": _ADMIN_ONLY,
    "account.manage": _ADMIN_ONLY,
    "account.erase": _ADMIN_ONLY,
}


_TOO_LITTLE: Final = gettext_noop("Your role in this project does not allow that. Ask its owner.")


def role_in(user: User, project: Project) -> Role | None:
    """Return the account's role in the project, None for a stranger."""
    row = Membership.objects.filter(user=user, project=project).values_list("role", flat=True)
    found = row.first()
    return Role(found) if found else None


def may(user: User, deed: str, project: Project | None = None) -> bool:
    """Return whether the account may do the deed (a key of ALLOWED) in the project."""
    roles = ALLOWED[deed]
    if not user.is_authenticated or not user.is_active:
        return False
    if user.is_site_admin:
        return True
    return project is not None and role_in(user, project) in roles


def require(user: User, deed: str, project: Project | None = None) -> None:
    """Raise NotFound to a stranger and NotAllowed to a member whose role does not reach."""
    if user.is_site_admin:
        return
    if project is None:
        raise NotAllowed(_(_TOO_LITTLE))
    require_role(user, deed, role_in(user, project))


def require_role(user: User, deed: str, role: Role | None) -> None:
    """Do as `require` where the account's role in the project (None: a stranger) is known."""
    if user.is_site_admin:
        return
    if role is None:
        raise NotFound(_("There is no such project, or you are no member of it."))
    if role not in ALLOWED[deed]:
        raise NotAllowed(_(_TOO_LITTLE))
