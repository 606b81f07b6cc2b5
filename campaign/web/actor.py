"""Who is asking: a plain value that the guard sets once a request, so that no view asks twice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from flask import g

from campaign.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Actor:
    """A person at work for one organization, in one role, in one session."""

    user_id: uuid.UUID
    organization_id: uuid.UUID
    role: str
    permissions: frozenset[str]
    session_id: uuid.UUID | None = None
    is_fresh: bool = False

    def can(self, permission: str) -> bool:
        return permission in self.permissions


def set_actor(actor: Actor | None) -> None:
    g.actor = actor


def actor() -> Actor:
    """The actor of this request; raises Forbidden where the guard has set none."""
    found = g.get("actor")
    if not isinstance(found, Actor):
        raise Forbidden
    return found


def actor_or_none() -> Actor | None:
    found = g.get("actor")
    return found if isinstance(found, Actor) else None
