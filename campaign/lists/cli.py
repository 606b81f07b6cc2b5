"""Commands: `campaign lists …`."""

from __future__ import annotations

import click

from campaign.lists import queries
from campaign.organizations.models import Organization
from campaign.organizations.queries import organization_by_slug
from campaign.people.models import Person
from campaign.people.queries import tags_of_many
from campaign.tabular import json_line


@click.group()
def lists() -> None:
    """Lists of people."""


def find_organization(slug: str) -> Organization:
    """The organization of that slug, or wrong use of the command."""
    found = organization_by_slug(slug)
    if found is None:
        raise click.BadParameter(f"no organization is called {slug!r}", param_hint="--organization")
    return found


@lists.command()
@click.argument("name")
@click.option("--organization", "slug", required=True, metavar="SLUG")
def members(name: str, slug: str) -> None:
    """Print who is on a list (or in a segment) as JSON Lines.

    Example: campaign lists members "Woodlawn clinic" --organization stop
    """
    organization = find_organization(slug)
    list_ = queries.list_by_name(organization.id, name)
    segment = queries.segment_by_name(organization.id, name)
    if list_ is not None:
        found = queries.people_in_list(list_.id)
    elif segment is not None:
        found = queries.people_in_segment(segment)
    else:
        raise click.ClickException(f"{slug} has no list called {name!r}")
    for piece in queries.in_pieces(found):
        tags = tags_of_many([person.id for person in piece])
        for person in piece:
            click.echo(_member(person, [tag.name for tag in tags.get(person.id, [])]), nl=False)


def _member(person: Person, tags: list[str]) -> str:
    return json_line(
        {
            "id": str(person.id),
            "email": person.email or "",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "postal_code": person.postal_code,
            "phone": person.phone,
            "language": person.language,
            "tags": tags,
        }
    )
