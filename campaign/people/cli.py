"""Commands: `campaign people …`. Import, export and erase are put onto the group by the slices
above that do them."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from campaign.organizations.queries import organization_by_slug
from campaign.people import queries


@click.group()
def people() -> None:
    """People: count, import, export, erase."""


@people.command()
@click.option("--organization", "slug", required=True, metavar="SLUG")
@with_appcontext
def count(slug: str) -> None:
    """Print how many people an organization has, and how many may get its e-mail.

    Example: campaign people count --organization stop
    """
    organization = organization_by_slug(slug)
    if organization is None:
        raise click.BadParameter(f"no organization is called {slug!r}", param_hint="--organization")
    everybody, agreed = queries.count_people(organization.id)
    click.echo(f"people {everybody}, agreed to e-mail {agreed}")
