"""Lists, segments and imports."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from campaign.db import db
from campaign.lists import services
from campaign.lists.models import List, Segment
from campaign.lists.rules import Clause, Group, Match
from campaign.organizations.models import Organization
from campaign.people.models import Person

_numbers = itertools.count(1)


def make_list(organization: Organization, people: Sequence[Person] = (), name: str = "") -> List:
    """A list with `people` on it."""
    list_ = services.create_list(organization.id, name or f"List {next(_numbers)}")
    services.add_to_list(list_, [person.id for person in people])
    db.session.commit()
    return list_


def make_segment(
    organization: Organization, *clauses: Clause | Group, match: Match = Match.ALL, name: str = ""
) -> Segment:
    """A segment of these rules; without any it finds everybody."""
    segment = services.save_segment(
        organization.id, name or f"Segment {next(_numbers)}", Group(match, clauses)
    )
    db.session.commit()
    return segment
