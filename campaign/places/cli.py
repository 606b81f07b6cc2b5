"""Commands about districts: `campaign places …`."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from campaign.db import db
from campaign.errors import Invalid
from campaign.places import services

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def places() -> None:
    """Districts and the postal codes that lie in them."""


@places.command("load")
@click.option("--districts", type=FILE, default=services.CHICAGO_WARDS, help="GeoJSON, WGS 84.")
@click.option(
    "--postal-codes",
    type=FILE,
    default=services.CHICAGO_POSTAL_CODES,
    help="CSV: postal_code, code (of the district), area_share.",
)
@click.option("--kind", default="ward", show_default=True, help="What the districts are.")
@with_appcontext
def load(districts: Path, postal_codes: Path, kind: str) -> None:
    """Load districts and the shares of postal codes; without files, the wards of Chicago.

    Safe to repeat: districts keep their ids, and none is removed. The demo does this by itself.

    \b
    Example: campaign places load --districts wards.geojson --postal-codes zips.csv
    """
    try:
        areas = services.load_districts(districts.read_bytes(), kind)
        shares = services.load_postal_codes(postal_codes.read_bytes(), kind)
    except Invalid as error:
        raise click.ClickException(str(error.message)) from error
    db.session.commit()
    click.echo(f"{areas} districts and {shares} shares of postal codes are loaded.")
