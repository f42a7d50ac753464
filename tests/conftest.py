"""What every test can use; each topic has its module in `tests/fixtures`.

`cluster` (a server per worker) → `template` (migrated once) → `database` (a clone per test) → `sql`,
`sessions`, `clock`. `pytest --postgres 18|16|15` chooses the server.
"""

pytest_plugins = [
    "tests.fixtures.cluster",
    "tests.fixtures.database",
    "tests.fixtures.sessions",
    "tests.fixtures.clock",
]
