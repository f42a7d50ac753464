"""Every kind of connection a caller may have, each with a transaction to begin, commit and roll back."""

from __future__ import annotations

import inspect
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
from psycopg.rows import class_row, namedtuple_row
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from howdah.drivers.conninfo import asyncpg_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass
class Given:
    """A caller's connection."""

    connection: Any
    is_async: bool
    begin: Callable[[], Any] = lambda: None
    commit: Callable[[], Any] = lambda: None
    rollback: Callable[[], Any] = lambda: None

    async def do(self, name: str) -> None:
        """Begin, commit or roll back."""
        done = getattr(self, name)()
        if inspect.isawaitable(done):
            await done


def _url(dsn: str, driver: str) -> str:
    return dsn.replace("postgresql://", f"postgresql+{driver}://")


@asynccontextmanager
async def _asyncpg(dsn: str) -> AsyncIterator[Given]:
    connection = await asyncpg.connect(**asyncpg_arguments(dsn))
    yield _over_asyncpg(connection)
    await connection.close()


def _over_asyncpg(connection: Any) -> Given:
    return Given(
        connection,
        is_async=True,
        begin=lambda: connection.execute("begin"),
        commit=lambda: connection.execute("commit"),
        rollback=lambda: connection.execute("rollback"),
    )


@asynccontextmanager
async def _asyncpg_with_codec(dsn: str) -> AsyncIterator[Given]:
    async with _asyncpg(dsn) as given:
        for kind in ("json", "jsonb"):
            await given.connection.set_type_codec(
                kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
        yield given


@asynccontextmanager
async def _asyncpg_pool(dsn: str) -> AsyncIterator[Given]:
    async with (
        asyncpg.create_pool(**asyncpg_arguments(dsn), min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
    ):
        yield _over_asyncpg(connection)


def _psycopg(**settings: Any) -> Any:
    @asynccontextmanager
    async def opened(dsn: str) -> AsyncIterator[Given]:
        with psycopg.connect(dsn, **settings) as connection:
            yield _over_psycopg(connection, is_async=False)
            connection.rollback()

    return opened


def _psycopg_async(**settings: Any) -> Any:
    @asynccontextmanager
    async def opened(dsn: str) -> AsyncIterator[Given]:
        async with await psycopg.AsyncConnection.connect(dsn, **settings) as connection:
            yield _over_psycopg(connection, is_async=True)
            await connection.rollback()

    return opened


def _over_psycopg(connection: Any, *, is_async: bool) -> Given:
    begin = (lambda: connection.execute("begin")) if connection.autocommit else lambda: None
    return Given(connection, is_async, begin, connection.commit, connection.rollback)


@asynccontextmanager
async def _psycopg_in_a_pipeline(dsn: str) -> AsyncIterator[Given]:
    with psycopg.connect(dsn) as connection, connection.pipeline():
        yield _over_psycopg(connection, is_async=False)


@asynccontextmanager
async def _psycopg_async_in_a_pipeline(dsn: str) -> AsyncIterator[Given]:
    async with (
        await psycopg.AsyncConnection.connect(dsn) as connection,
        connection.pipeline(),
    ):
        yield _over_psycopg(connection, is_async=True)


def _sqlalchemy(make: Callable[[Any], Any]) -> Any:
    @asynccontextmanager
    async def opened(dsn: str) -> AsyncIterator[Given]:
        engine = create_engine(_url(dsn, "psycopg"), poolclass=NullPool)
        connection = make(engine)
        yield Given(connection, is_async=False, commit=connection.commit, rollback=connection.rollback)
        connection.close()
        engine.dispose()

    return opened


def _sqlalchemy_async(driver: str, make: Callable[[Any], Any]) -> Any:
    @asynccontextmanager
    async def opened(dsn: str) -> AsyncIterator[Given]:
        engine = create_async_engine(_url(dsn, driver), poolclass=NullPool)
        connection = make(engine)
        if not isinstance(connection, AsyncSession | async_scoped_session):
            connection = await connection
        yield Given(connection, is_async=True, commit=connection.commit, rollback=connection.rollback)
        await connection.close()
        await engine.dispose()

    return opened


def _scoped(engine: Any) -> Any:
    return async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: None)


KINDS: dict[str, Any] = {
    "asyncpg": _asyncpg,
    "asyncpg with its own JSON codec": _asyncpg_with_codec,
    "asyncpg from a pool": _asyncpg_pool,
    "psycopg": _psycopg(),
    "psycopg with autocommit": _psycopg(autocommit=True),
    "psycopg with other rows": _psycopg(row_factory=namedtuple_row, cursor_factory=psycopg.ClientCursor),
    "psycopg without prepared statements": _psycopg(prepare_threshold=None),
    "psycopg that prepares at once": _psycopg(prepare_threshold=0),
    "psycopg in a pipeline": _psycopg_in_a_pipeline,
    "psycopg async": _psycopg_async(),
    "psycopg async with autocommit": _psycopg_async(autocommit=True),
    "psycopg async with other rows": _psycopg_async(row_factory=class_row(dict)),
    "psycopg async without prepared statements": _psycopg_async(prepare_threshold=None),
    "psycopg async in a pipeline": _psycopg_async_in_a_pipeline,
    "SQLAlchemy connection": _sqlalchemy(lambda engine: engine.connect()),
    "SQLAlchemy session": _sqlalchemy(lambda engine: Session(engine)),
    "SQLAlchemy scoped session": _sqlalchemy(lambda engine: scoped_session(sessionmaker(engine))),
    "SQLAlchemy async connection on asyncpg": _sqlalchemy_async("asyncpg", lambda e: e.connect()),
    "SQLAlchemy async session on asyncpg": _sqlalchemy_async("asyncpg", lambda e: AsyncSession(e)),
    "SQLAlchemy async scoped session": _sqlalchemy_async("asyncpg", _scoped),
    "SQLAlchemy async connection on psycopg": _sqlalchemy_async("psycopg", lambda e: e.connect()),
    "SQLAlchemy async session on psycopg": _sqlalchemy_async("psycopg", lambda e: AsyncSession(e)),
}
