"""The public functions, as the database's own catalogue has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_FUNCTIONS = """
select p.proname::text, p.prokind::text = 'p', p.pronargdefaults::int,
       (coalesce(p.proargnames, '{}'))[1:p.pronargs],
       array(select format_type(t, null)
               from unnest(p.proargtypes::oid[]) with ordinality a (t, n) order by n)
  from pg_proc p where p.pronamespace = 'jobs'::regnamespace
 order by p.proname, p.pronargs"""


@dataclass(frozen=True, slots=True, repr=False)
class Function:
    """A function or procedure: its parameters with their types, and how many must be given."""

    name: str
    is_procedure: bool
    parameters: tuple[tuple[str, str], ...]
    required: int

    def __repr__(self) -> str:
        return f"{self.name}/{len(self.parameters)}"

    @property
    def names(self) -> frozenset[str]:
        """The names of its parameters."""
        return frozenset(name for name, _ in self.parameters)


def functions(connection: psycopg.Connection[Any]) -> list[Function]:
    """Return every function of the schema `jobs`; overloads one by one."""
    return [
        Function(name, is_procedure, tuple(zip(names, types, strict=True)), len(names) - defaults)
        for name, is_procedure, defaults, names, types in connection.execute(_FUNCTIONS.encode())
    ]
