"""Commands: `campaign people export`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
from tqdm import tqdm

from campaign.db import db, uuid7
from campaign.errors import Invalid
from campaign.exports import delivery, queries, services
from campaign.exports.models import Export, ExportKind
from campaign.lists.models import List, Segment
from campaign.lists.queries import list_by_name, segment_by_name
from campaign.organizations.models import Organization
from campaign.organizations.queries import organization_by_slug
from campaign.people.cli import NewFile, people


def _find(slug: str, option: str) -> Organization:
    found = organization_by_slug(slug)
    if found is None:
        raise click.BadParameter(f"no organization is called {slug!r}", param_hint=option)
    return found


@people.command("export")
@click.option("--organization", "slug", required=True, metavar="SLUG", help="Whose people.")
@click.option(
    "--partner",
    default="",
    metavar="SLUG",
    help="Only those who agree, at this moment, to hear from this organization by e-mail.",
)
@click.option("--list", "list_name", default="", metavar="NAME", help="Only those on this list.")
@click.option(
    "--segment", "segment_name", default="", metavar="NAME", help="Only those in this segment."
)
@click.option(
    "--columns",
    default="",
    metavar="NAMES",
    help="Which columns, in this order, with commas between: email,first_name,field:shirt.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(delivery.FORMATS),
    default="csv",
    help="csv or xlsx (formulas guarded), or jsonl (OSDI people).",
)
@click.option(
    "--output",
    type=NewFile(),
    help="A file instead of the standard output; it appears when it is whole.",
)
def export_people(
    *,
    slug: str,
    partner: str,
    list_name: str,
    segment_name: str,
    columns: str,
    form: str,
    output: Path | None,
) -> None:
    """Write out people as CSV, XLSX or JSON Lines, any number of them.

    \b
    Examples:
      campaign people export --organization stop --partner nurses --output nurses.csv
      campaign people export --organization stop --list Walkers --format xlsx \\
          --columns first_name,last_name,phone --output walkers.xlsx
    """
    lead = _find(slug, "--organization")
    reader = _find(partner, "--partner") if partner else lead
    if partner and (list_name or segment_name or columns):
        raise click.UsageError("a partner's file has its own people and columns")
    if list_name and segment_name:
        raise click.UsageError("give --list or --segment, not both")
    export = Export(
        id=uuid7(),
        organization_id=reader.id,
        lead_id=lead.id,
        kind=ExportKind.PARTNER if partner else ExportKind.PEOPLE,
        reason="command line",
        format=form,
        filters=services.filters_of(_chosen(lead, list_name, segment_name)),
        columns=[name.strip() for name in columns.split(",") if name.strip()],
    )
    try:
        services.check_columns(export)
    except Invalid as error:
        raise click.BadParameter(str(error.message), param_hint="--columns") from None
    db.session.add(export)
    db.session.flush()
    export.expected_count = queries.count(delivery.whom(export))
    if output is None:
        _write(export, sys.stdout.buffer, is_shown=False)
    else:
        part = output.with_name(f".{output.name}.{export.id.hex}.part")
        try:
            with os.fdopen(
                os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb"
            ) as file:
                _write(export, file, is_shown=sys.stderr.isatty(), folder=output.parent)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, output)
        finally:
            part.unlink(missing_ok=True)
    services.note_command_export(export)
    db.session.commit()
    click.echo(f"{export.row_count} people exported.", err=True)


def _chosen(lead: Organization, list_name: str, segment_name: str) -> List | Segment | None:
    if list_name:
        list_ = list_by_name(lead.id, list_name)
        if list_ is None:
            raise click.BadParameter(f"no list is called {list_name!r}", param_hint="--list")
        return list_
    if segment_name:
        segment = segment_by_name(lead.id, segment_name)
        if segment is None:
            message = f"no segment is called {segment_name!r}"
            raise click.BadParameter(message, param_hint="--segment")
        return segment
    return None


def _write(export: Export, file: BinaryIO, *, is_shown: bool, folder: Path | None = None) -> None:
    sealed = delivery.Sealed(file)
    with tqdm(total=export.expected_count, desc="Exporting", disable=not is_shown) as bar:
        for count in _written(export, sealed, folder):
            export.row_count += count
            bar.update(count)
    export.checksum = sealed.checksum


def _written(export: Export, file: delivery.Sealed, folder: Path | None) -> Iterator[int]:
    if export.kind == ExportKind.PARTNER:
        for known in delivery.write_shared(export, file, folder):
            delivery.remember(export.id, known)
            yield len(known)
        return
    if delivery.is_everybody(export):
        pieces = delivery.pieces_of_all(export.lead_id)
    else:
        delivery.freeze(export)
        pieces = delivery.pieces_written_down(export.id, export.lead_id)
    for held in delivery.write_own(export, pieces, file, folder):
        yield len(held)
