"""Where jobs lie: a PostgreSQL server, a Redis server, each of the run's own.

Both give an empty place for each measurement (`place`) and look at it from outside (`counter`).
"""

from bench.stores.postgres import Postgres
from bench.stores.redis import NoRedis, Redis

__all__ = ["NoRedis", "Postgres", "Redis"]
