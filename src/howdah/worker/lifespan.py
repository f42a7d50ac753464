"""Resources that live as long as a worker process: what `@app.lifespan` yields."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from howdah.errors import ConfigurationError
from howdah.worker.log import logger
from howdah.worker.outcomes import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from howdah.context import Lifespan

__all__ = ["resources_of"]

# Seconds that the end of a lifespan may take.
_PATIENCE = 10.0


@asynccontextmanager
async def resources_of(lifespans: Sequence[Lifespan]) -> AsyncIterator[Mapping[str, Any]]:
    """Start the lifespans in their order, yield their resources, and end them in reverse.

    Raises `ConfigurationError` when one cannot start; then those before it are ended.
    """
    resources: dict[str, Any] = {}
    running: list[AsyncIterator[Mapping[str, Any]]] = []
    try:
        for lifespan in lifespans:
            generator = lifespan()
            resources |= await _started(_name(lifespan), generator)
            running.append(generator)
        yield resources
    finally:
        for generator in reversed(running):
            await _ended(generator)


async def _started(name: str, generator: AsyncIterator[Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        yielded = await anext(generator)
        return dict(yielded or {})
    except StopAsyncIteration:
        raise ConfigurationError(f"lifespan {name} yielded nothing", field="lifespan") from None
    except Exception as error:
        logger.debug("lifespan %s could not start", name, exc_info=True)
        raise ConfigurationError(
            f"lifespan {name} could not start: {type(error).__name__}: {one_line(str(error))}",
            field="lifespan",
        ) from error


async def _ended(generator: AsyncIterator[Mapping[str, Any]]) -> None:
    name = _name(generator)
    try:
        async with asyncio.timeout(_PATIENCE):
            await anext(generator)
    except StopAsyncIteration:
        return
    except TimeoutError:
        logger.error("lifespan %s did not end within %g s", name, _PATIENCE)
    except Exception:
        logger.exception("lifespan %s raised at its end", name)
    else:
        logger.error("lifespan %s yielded twice: the rest of it is not run", name)


def _name(thing: Any) -> str:
    return str(getattr(thing, "__qualname__", thing))
