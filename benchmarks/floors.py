"""The least code that does the same work: what the product is measured against.

Served by the same server with the same threads as the product. FLOOR_DATABASE_URL names a
PostgreSQL database, FLOOR_SQLITE a file.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid

import psycopg
from flask import Flask, redirect, request
from werkzeug.wrappers import Response

app = Flask(__name__)
here = threading.local()
one_writer = threading.Lock()

TABLE = """CREATE TABLE IF NOT EXISTS floor (id {uuid} PRIMARY KEY, petition TEXT, email TEXT,
first_name TEXT, last_name TEXT, postal_code TEXT, UNIQUE (petition, email))"""


@app.get("/hello")
def hello() -> str:
    return "hello"


def _values(petition: str) -> tuple[object, ...]:
    form = request.form
    return (
        uuid.uuid4(),
        petition,
        form["email"],
        form["first_name"],
        form["last_name"],
        form["postal_code"],
    )


@app.post("/postgres/<petition>")
def postgres(petition: str) -> Response:
    """One INSERT by psycopg on a connection of this thread, committed."""
    if not hasattr(here, "postgres"):
        here.postgres = psycopg.connect(os.environ["FLOOR_DATABASE_URL"], autocommit=True)
    here.postgres.execute("INSERT INTO floor VALUES (%s,%s,%s,%s,%s,%s)", _values(petition))
    return redirect(f"/p/{petition}/thanks", 303)


@app.post("/sqlite/<petition>")
def sqlite(petition: str) -> Response:
    """One INSERT by sqlite3 on a connection of this thread, durable (WAL, synchronous=FULL)."""
    if not hasattr(here, "sqlite"):
        here.sqlite = sqlite3.connect(os.environ["FLOOR_SQLITE"], isolation_level=None, timeout=15)
        here.sqlite.execute("PRAGMA journal_mode=WAL")
        here.sqlite.execute("PRAGMA synchronous=FULL")
    values = _values(petition)
    with one_writer:
        here.sqlite.execute("BEGIN IMMEDIATE")
        here.sqlite.execute("INSERT INTO floor VALUES (?,?,?,?,?,?)", (str(values[0]), *values[1:]))
        here.sqlite.execute("COMMIT")
    return redirect(f"/p/{petition}/thanks", 303)


def prepare() -> None:
    """Make the floor's table where the environment says."""
    if os.environ.get("FLOOR_DATABASE_URL"):
        with psycopg.connect(os.environ["FLOOR_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(TABLE.format(uuid="UUID"))
    if os.environ.get("FLOOR_SQLITE"):
        with sqlite3.connect(os.environ["FLOOR_SQLITE"]) as file:
            file.execute("PRAGMA journal_mode=WAL")
            file.execute(TABLE.format(uuid="TEXT"))


if __name__ == "__main__":
    prepare()
