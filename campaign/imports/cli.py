"""Commands: `campaign people import`."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO, cast

import click
from tqdm import tqdm

from campaign.db import db
from campaign.errors import Invalid
from campaign.imports import delivery, queries, rules, services
from campaign.imports.models import Import, ImportState
from campaign.lists.cli import find_organization
from campaign.lists.services import get_or_create_list
from campaign.organizations.models import Organization
from campaign.people.cli import NewFile, people
from campaign.tabular import CsvReader, Unreadable
from campaign.workbooks import is_workbook, workbook_to_csv


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
@click.option("--tag", "tags", multiple=True, metavar="NAME", help="Put this tag on all of them.")
@click.option("--source", default="", metavar="TEXT", help="Where they came from.")
@click.option("--dry-run", is_flag=True, help="Say what would happen and save nothing.")
@click.option("--resume", is_flag=True, help="Go on with this file where it was stopped.")
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
    tags: tuple[str, ...],
    source: str,
    dry_run: bool,
    resume: bool,
    report: Path | None,
) -> None:
    """Bring in people from a CSV or XLSX file with a header line, of any size.

    Columns named first_name, last_name, email, postal_code, phone and tags are recognized, and so
    are the files of Action Network, NationBuilder, CiviCRM, Mailchimp, EveryAction and Google
    Contacts; the same file again adds nobody twice. Rows that cannot be taken are refused one by
    one. Ctrl-C stops after the present thousand; --resume goes on from there.

    \b
    Example:
      campaign people import signers.csv --organization stop \\
          --basis "Signed our paper sheets in June" --list "Paper signers"
    """
    organization = find_organization(slug)
    with TemporaryFile() as scratch:
        try:
            table = _as_table(file, scratch)
            reader = CsvReader(table)
        except Unreadable as error:
            raise click.ClickException(rules.reason_unreadable(error)) from None
        try:
            rules.map_columns(reader.header, mapping, delivery.questions_of(organization.id))
            details = services.FileDetails(
                filename=file.name, basis=basis, source=source, tags=tags
            )
            found = _begin(
                organization, details, list_name, mapping, is_trial=dry_run, is_resumed=resume
            )
        except Invalid as error:
            raise click.UsageError(str(error.message)) from None
        reader.close()
        size = table.seek(0, os.SEEK_END)
        table.seek(0)
        reader = CsvReader(table)
        tally = _run(found, reader, size, report=report, is_resumed=resume)
        reader.close()
    click.echo(str(tally))
    if tally.suppressed:
        click.echo(
            f"{tally.suppressed} of them are on the do-not-mail list and stay on it, or left the"
            " mailings of whoever had them before.",
            err=True,
        )
    if dry_run:
        click.echo("This was a dry run: nothing was saved.", err=True)


def _as_table(file: Path, scratch: IO[bytes]) -> BinaryIO:
    """The file itself, or the CSV of a workbook."""
    if not is_workbook(file):
        return cast(BinaryIO, file.open("rb"))
    with file.open("rb") as book:
        for _rows in workbook_to_csv(book, cast(BinaryIO, scratch)):
            pass
    scratch.seek(0)
    return cast(BinaryIO, scratch)


def _begin(
    organization: Organization,
    details: services.FileDetails,
    list_name: str,
    mapping: dict[str, str],
    *,
    is_trial: bool,
    is_resumed: bool,
) -> Import:
    if is_resumed:
        found = queries.stopped(organization.id, services.said_name(details.filename))
        if found is None:
            raise Invalid(
                f"no import of a file called {details.filename} was stopped. (One that was cut off"
                " can be taken up five minutes later.)"
            )
        found.state = ImportState.QUEUED
        return found
    list_ = get_or_create_list(organization.id, list_name) if list_name and not is_trial else None
    found = services.draft_import(
        organization.id,
        replace(details, list_id=list_.id if list_ is not None else None),
        mapping=mapping,
    )
    found.start(is_trial=is_trial)
    if not is_trial:
        services.note_import(found)
    return found


def _run(
    found: Import, reader: CsvReader, size: int, *, report: Path | None, is_resumed: bool
) -> delivery.Tally:
    """Work in all rows; each batch is committed. Of a trial nothing stays."""
    import_id, is_trial = found.id, found.is_trial
    goes_on = is_resumed and report is not None and report.exists()
    out = report.open("r+b" if goes_on else "w+b") if report is not None else None
    if not goes_on:
        found.report_size = 0  # a report of the rows from here on
    importer = delivery.Importer(import_id, reader, out)
    db.session.flush()
    delivery.claim(import_id)
    db.session.commit()
    hide = not sys.stderr.isatty()
    with tqdm(total=size, unit="B", unit_scale=True, desc="Importing", disable=hide) as bar:
        try:
            for _tally in importer.batches():
                db.session.commit()
                bar.update(min(reader.tell(), size) - bar.n)
        except KeyboardInterrupt:
            _stop(import_id, is_trial=is_trial)
    if is_trial:
        db.session.delete(db.session.get_one(Import, import_id))
    else:
        delivery.finish(import_id)
    db.session.commit()
    if out is not None:
        out.close()
    return importer.tally


def _stop(import_id: uuid.UUID, *, is_trial: bool) -> None:
    """Ctrl-C: the batch at hand is taken back, those before it are in."""
    db.session.rollback()
    found = db.session.get_one(Import, import_id)
    done = found.done_count
    if is_trial:
        db.session.delete(found)
    else:
        found.stop()
    db.session.commit()
    raise click.ClickException(
        "stopped: nothing was saved."
        if is_trial
        else f"stopped after {done} rows. The same command with --resume goes on from there."
    )
