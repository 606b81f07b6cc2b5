"""Reading a whole database as text: to prove that somebody left no trace."""

from __future__ import annotations

import unicodedata
from typing import Any

from sqlalchemy import select

from campaign.db import Model, db


def everything() -> dict[str, str]:
    """Each table's rows as one folded text, read past the ORM."""
    db.session.expire_all()
    found: dict[str, str] = {}
    for table in Model.metadata.sorted_tables:
        rows = db.session.execute(select(table)).all()
        found[table.name] = folded("\n".join(repr(tuple(map(_text, row))) for row in rows))
    return found


def traces_of(*words: str) -> dict[str, list[str]]:
    """Table → which of `words` stand in it, in any case and spelling of accents."""
    tables = everything()
    found = {
        name: [word for word in words if folded(word) in text] for name, text in tables.items()
    }
    return {name: hits for name, hits in found.items() if hits}


def folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
