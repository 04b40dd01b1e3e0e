"""Who is signed in, read in two plain statements.

Every request of a signed-in person reads a session and an account. Composing these two queries
anew each time took the ORM a quarter of the time of a ranking step; here they are written out.
All else is Django's own: `SESSION_ENGINE` and `AUTHENTICATION_BACKENDS` name this module.
"""

from functools import cache
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends import db
from django.db import connection
from django.utils import timezone

from labeling.models import User

_SESSION = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > %s"


def _row(statement: str, values: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()


class SessionStore(db.SessionStore):
    """A session in the database."""

    def load(self) -> dict[str, Any]:
        """Return the data of the session, nothing where there is none or it is over."""
        row = _row(_SESSION, [self.session_key, timezone.now()])
        if row is None:
            self._session_key = None
            return {}
        return self.decode(row[0])


@cache
def _account_statement() -> tuple[str, list[str]]:
    """Return the statement that reads one account, and the names of its columns."""
    fields = User._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    statement = f'SELECT {columns} FROM "{User._meta.db_table}" WHERE id = %s'  # noqa: S608 - names
    return statement, [field.attname for field in fields]


class AccountBackend(ModelBackend):
    """Accounts with passwords."""

    def get_user(self, user_id: int) -> User | None:
        """Return the account of a session, None where it is gone or may not sign in."""
        statement, names = _account_statement()
        row = _row(statement, [user_id])
        if row is None:
            return None
        user = User.from_db(connection.alias, names, row)
        return user if self.user_can_authenticate(user) else None
