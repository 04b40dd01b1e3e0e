"""`field__any=ids`: one of many ids, sent to PostgreSQL as one array.

`__in` sends a parameter an id, of which a statement takes 65,535 at the most; beyond that the
driver fails in a way that looks like a lost connection.
"""

from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, ForeignObject, Lookup
from django.db.models.sql import Query


@ForeignObject.register_lookup  # takes no lookup over from other fields
@Field.register_lookup
class AnyOf(Lookup):
    """`column = ANY(array)`; the right side holds whole numbers, or is a query of them."""

    lookup_name = "any"
    prepare_rhs = False

    def __init__(self, lhs: Any, rhs: Iterable[int] | Query) -> None:
        super().__init__(lhs, rhs if isinstance(rhs, Query) else [int(number) for number in rhs])

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """Return the comparison and its parameters."""
        column, parameters = self.process_lhs(compiler, connection)
        if not isinstance(self.rhs, Query):
            return f"{column} = ANY(%s::bigint[])", (*parameters, self.rhs)
        if not self.rhs.has_select_fields:  # whole rows were asked for: their ids are meant
            self.rhs.clear_select_clause()
            self.rhs.add_fields(["pk"])
        asked, more = self.process_rhs(compiler, connection)
        return f"{column} = ANY {asked}", (*parameters, *more)
