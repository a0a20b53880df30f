"""`PUT /location` as a team would write it: FastAPI, asyncpg, a table of PostgreSQL. Run by uvicorn; `DSN` says where.

Each answer comes after the commit of its row (PostgreSQL's default: fsynced).
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg  # type: ignore[import-untyped,import-not-found,unused-ignore]  # installed for the benchmark only
from fastapi import FastAPI  # type: ignore[import-not-found,unused-ignore]
from pydantic import BaseModel  # type: ignore[import-not-found,unused-ignore]

_TABLE = (
    "CREATE TABLE IF NOT EXISTS fixes (user_id text, at timestamp, lat float8, long float8, accuracy float8, "
    "speed float8, PRIMARY KEY (user_id, at))"
)
_INSERT = "INSERT INTO fixes VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"


class Fix(BaseModel):  # type: ignore[misc,unused-ignore]
    """A fix as the benchmark's clients send it."""

    timestamp: datetime
    lat: float
    long: float
    accuracy: float
    speed: float
    user_id: str


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DSN"], min_size=16, max_size=16) as pool:
        await pool.execute(_TABLE)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan)


@app.put("/location")
async def put_location(fix: Fix) -> dict[str, bool]:
    """Store a fix."""
    values = (fix.user_id, fix.timestamp, fix.lat, fix.long, fix.accuracy, fix.speed)
    await app.state.pool.execute(_INSERT, *values)
    return {"stored": True}
