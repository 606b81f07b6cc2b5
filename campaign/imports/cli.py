"""Commands: `campaign people import`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from campaign.db import db
from campaign.errors import Invalid
from campaign.imports import delivery, rules, services
from campaign.imports.models import Import
from campaign.lists.cli import find_organization
from campaign.lists.services import get_or_create_list
from campaign.organizations.models import Organization
from campaign.people.cli import NewFile, people
from campaign.tabular import CsvReader, Unreadable


def _read_mapping(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    pairs = {}
    for text in given:
        column, equals, name = text.rpartition("=")
        if not equals or not column:
            raise click.BadParameter(f"write COLUMN=FIELD, not {text!r}")
        pairs[column.strip()] = name.strip()
    return pairs


@people.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--organization", "slug", required=True, metavar="SLUG")
@click.option("--basis", required=True, metavar="TEXT", help="Why you may write to these people.")
@click.option("--list", "list_name", default="", metavar="NAME", help="Put them on this list.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    callback=_read_mapping,
    metavar="COLUMN=FIELD",
    help=f"What a column holds: {', '.join(rules.Field)} or {rules.IGNORED}.",
)
@click.option("--dry-run", is_flag=True, help="Say what would happen and save nothing.")
@click.option(
    "--report",
    type=NewFile(),
    help="Write a CSV with row, verdict and reason for every row.",
)
def import_people(
    *,
    file: Path,
    slug: str,
    basis: str,
    list_name: str,
    mapping: dict[str, str],
    dry_run: bool,
    report: Path | None,
) -> None:
    """Bring in people from a CSV file with a header line, of any size.

    Columns named first_name, last_name, email, postal_code, phone and tags are recognized; the
    same file again adds nobody twice. Rows that cannot be taken are refused one by one.

    \b
    Example:
      campaign people import signers.csv --organization stop \\
          --basis "Signed our paper sheets in June" --list "Paper signers"
    """
    organization = find_organization(slug)
    with file.open("rb") as opened:
        try:
            reader = CsvReader(opened)
        except Unreadable as error:
            raise click.ClickException(rules.reason_unreadable(error)) from None
        try:
            rules.map_columns(reader.header, mapping)
            found = _begin(organization, file, basis, list_name, mapping)
        except Invalid as error:
            raise click.UsageError(str(error.message)) from None
        tally = _run(found, reader, file.stat().st_size, dry_run=dry_run, report=report)
        reader.close()
    click.echo(str(tally))
    if tally.suppressed:
        click.echo(
            f"{tally.suppressed} of them are on the do-not-mail list and stay on it.", err=True
        )
    if dry_run:
        click.echo("This was a dry run: nothing was saved.", err=True)


def _begin(
    organization: Organization, file: Path, basis: str, list_name: str, mapping: dict[str, str]
) -> Import:
    list_ = get_or_create_list(organization.id, list_name) if list_name else None
    found = services.draft_import(
        organization.id,
        filename=file.name,
        path="",
        basis=basis,
        list_id=list_.id if list_ is not None else None,
        mapping=mapping,
    )
    found.start()
    services.note_import(found)
    return found


def _run(
    found: Import, reader: CsvReader, size: int, *, dry_run: bool, report: Path | None
) -> delivery.Tally:
    """Work in all rows: each batch is committed, or at the end all taken back."""
    import_id = found.id
    out = report.open("w+b") if report is not None else None
    importer = delivery.Importer(import_id, reader, out)
    if not dry_run:
        delivery.claim(import_id)
        db.session.commit()
    with tqdm(
        total=size, unit="B", unit_scale=True, desc="Importing", disable=not sys.stderr.isatty()
    ) as bar:
        for _tally in importer.batches():
            if not dry_run:
                db.session.commit()
            bar.update(min(reader.tell(), size) - bar.n)
    if dry_run:
        db.session.rollback()
    else:
        delivery.finish(import_id)
        db.session.commit()
    if out is not None:
        out.close()
    return importer.tally
