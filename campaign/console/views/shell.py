"""What every console page stands in: navigation, organizations to switch to, the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from flask import Flask, g, request, url_for
from flask_babel import gettext as _

from campaign.organizations import queries as organizations
from campaign.organizations.models import Permission
from campaign.web.actor import actor_or_none

Item = TypeVar("Item")


class Later(Generic[Item]):
    """A list that is made when a template asks for it: an error page never does."""

    def __init__(self, make: Callable[[], list[Item]]) -> None:
        self._make = make
        self._items: list[Item] | None = None

    def _all(self) -> list[Item]:
        if self._items is None:
            self._items = self._make()
        return self._items

    def __iter__(self) -> Iterator[Item]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation."""

    label: str
    url: str
    is_current: bool = False
    count: int | None = None
    children: tuple[Entry, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Workplace:
    """An organization to switch to."""

    id: Any
    name: str
    url: str
    is_current: bool


def init_app(app: Flask) -> None:
    """Give the console's templates their frame; other pages get nothing, at no cost."""

    @app.context_processor
    def frame() -> dict[str, Any]:
        if "account_user" not in g:
            return {}
        return {
            "current_user": g.account_user,
            "membership": g.get("membership"),
            "navigation": Later(navigation),
            "organizations": Later(workplaces),
            "account_url": "/organize/account",
            "logout_url": url_for("accounts.logout"),
        }


def workplaces() -> list[Workplace]:
    """The organizations this person works for."""
    found = actor_or_none()
    return [
        Workplace(
            id=row.organization_id,
            name=row.organization.name,
            url=f"/organize/switch/{row.organization_id}",
            is_current=found is not None and row.organization_id == found.organization_id,
        )
        for row in organizations.memberships_of(g.account_user.id)
    ]


def navigation() -> list[list[Entry]]:
    """The navigation of this role: only what it may open."""
    found = actor_or_none()
    if found is None:
        return []
    spec: list[list[tuple[str, str, str, int | None]]] = [
        [
            (_("Today"), "/organize/", Permission.DASHBOARD, None),
            (_("Campaigns"), "/organize/campaigns/", Permission.DASHBOARD, None),
            (_("Petitions"), "/organize/petitions/", Permission.PETITIONS_VIEW, None),
            (_("Mailings"), "/organize/mailings/", Permission.MAILINGS_VIEW, None),
        ],
        [
            (_("People"), "/organize/people/", Permission.PEOPLE_VIEW, None),
            (_("Lists"), "/organize/lists/", Permission.LISTS_EDIT, None),
        ],
        [(_("Shared with us"), "/partner/", Permission.PARTNER_VIEW, None)],
        [(_("Team and settings"), "/organize/organization", Permission.TEAM_MANAGE, None)],
    ]
    groups = [
        [
            Entry(label, url, is_current=_is_here(url), count=count)
            for label, url, permission, count in group
            if found.can(permission)
        ]
        for group in spec
    ]
    return [group for group in groups if group]


def _is_here(url: str) -> bool:
    if url == "/organize/":
        return request.path == url
    return request.path.startswith(url.rstrip("/"))
