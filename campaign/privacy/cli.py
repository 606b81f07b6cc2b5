"""The command `campaign people erase`: put onto the group from here, above all slices that hold
somebody."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from campaign.db import db
from campaign.organizations.queries import organization_by_slug
from campaign.people.cli import people
from campaign.privacy import queries, services


@people.command()
@click.argument("email")
@click.option("--organization", "slug", metavar="SLUG", help="Only there; else everywhere.")
@click.option("--yes", is_flag=True, help="Do not ask; asked only at a terminal.")
@with_appcontext
def erase(email: str, slug: str | None, yes: bool) -> None:
    """Erase whoever has this e-mail address, and note it in the journal of erasures.

    Names, addresses and texts go; counts, wards and an anonymous trace of consents stay. It
    cannot be taken back.

    Example: campaign people erase maria@example.org --organization stop --yes
    """
    organization = organization_by_slug(slug) if slug else None
    if slug and organization is None:
        raise click.BadParameter(f"no organization is called {slug!r}", param_hint="--organization")
    where = organization.id if organization else None
    found = queries.count_address(email, where)
    if not any(found):
        raise click.ClickException("nobody here has that address")
    click.echo(f"people {found[0]}, unconfirmed signatures and answers {found[1]}")
    if not yes and sys.stdin.isatty():  # a program that calls this has made up its mind
        click.confirm("Erase them for good?", abort=True)
    erased = services.erase_address(email, where)
    db.session.commit()
    erased.delete_files()
    click.echo(
        f"erased people {erased.people}, signatures {erased.signatures}, files {len(erased.files)}"
    )
