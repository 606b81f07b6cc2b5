"""Commands: `campaign people …`. Import, export and erase are put onto the group by the slices
above that do them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from campaign.organizations.queries import organization_by_slug
from campaign.people import queries


class NewFile(click.Path):
    """A file that a command makes: its folder must be there, which is said before any work."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            self.fail(f"cannot write into the folder {str(path.parent)!r}.", param, ctx)
        return path


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
