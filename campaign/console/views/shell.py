"""What every console page stands in: navigation, organizations to switch to, the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from flask import Flask, g, request, url_for
from flask_babel import gettext as _

from campaign import clock
from campaign.console import queries
from campaign.events import desk as events
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


OF_EVENTS = tuple(
    f"/organize/{part}/" for part in ("checkin", "dates", "speakers", "hearing-tasks", "briefings")
)
"""Where an organizer is at work on an event, though its address begins otherwise."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation."""

    label: str
    url: str
    permission: str
    count: int | None = None
    is_current: bool = False
    also: tuple[str, ...] = ()

    def marked(self, path: str) -> Entry:
        """This entry, current when `path` is its page or one below, or begins like one of
        `also`."""
        address = self.url.partition("?")[0]  # the language one chose is kept in links
        below = address.rstrip("/") + "/"
        is_home = self.url == url_for("console.home")
        here = (
            path == address if is_home else f"{path.rstrip('/')}/".startswith((below, *self.also))
        )
        return replace(self, is_current=here)


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
            "can": can,
            "navigation": Later(navigation),
            "organizations": Later(workplaces),
            "account_url": url_for("account.profile"),
            "logout_url": url_for("accounts.logout"),
        }


def can(permission: str) -> bool:
    """Whether the person of this page may do something: for buttons that only some need."""
    found = actor_or_none()
    return found is not None and found.can(permission)


def workplaces() -> list[Workplace]:
    """The organizations this person works for."""
    found = actor_or_none()
    return [
        Workplace(
            id=row.organization_id,
            name=row.organization.name,
            url=url_for("organizations.switch", organization_id=row.organization_id),
            is_current=found is not None and row.organization_id == found.organization_id,
        )
        for row in organizations.memberships_of(g.account_user.id)
    ]


def navigation() -> list[list[Entry]]:
    """The navigation of this role: only what it may open."""
    found = actor_or_none()
    if found is None:
        return []
    here = found.organization_id
    work = [
        Entry(_("Today"), url_for("console.home"), Permission.DASHBOARD),
        Entry(_("Campaigns"), url_for("organize_campaigns.campaigns"), Permission.DASHBOARD),
        Entry(
            _("Petitions"),
            url_for("organize_petitions.petitions"),
            Permission.PETITIONS_VIEW,
            count=queries.open_petition_count(here),
        ),
        Entry(
            _("Events"),
            url_for("organize_events.events"),
            Permission.EVENTS_VIEW,
            count=events.upcoming_event_count(here, clock.now()),
            also=OF_EVENTS,
        ),
        Entry(
            _("Mailings"),
            url_for("mailings.mailings"),
            Permission.MAILINGS_VIEW,
            also=("/organize/results/",),
        ),
        Entry(_("Ladders"), url_for("ladders.index"), Permission.MAILINGS_VIEW),
        Entry(_("Legal support"), url_for("legal.index"), Permission.ARRESTS_VIEW),
    ]
    known = [
        Entry(
            _("People"),
            url_for("table.index"),
            Permission.PEOPLE_VIEW,
            count=queries.people_count(here) if found.can(Permission.PEOPLE_VIEW) else None,
        ),
        Entry(_("Lists"), url_for("lists.index"), Permission.LISTS_EDIT),
        Entry(_("Segments"), url_for("segments.index"), Permission.LISTS_EDIT),
        Entry(_("Numbers"), url_for("numbers.index"), Permission.PEOPLE_VIEW),
        Entry(_("Fields"), url_for("fields.index"), Permission.FIELDS_EDIT),
        Entry(_("Exports"), url_for("exports.index"), Permission.PEOPLE_EXPORT),
    ]
    shared = [Entry(_("Shared with us"), url_for("partner.index"), Permission.PARTNER_VIEW)]
    house = [
        Entry(
            _("Team and settings"),
            url_for("organizations.profile"),
            Permission.ORGANIZATION_EDIT,
        )
    ]
    groups = [
        [entry.marked(request.path) for entry in group if found.can(entry.permission)]
        for group in (work, known, shared, house)
    ]
    return [group for group in groups if group]
