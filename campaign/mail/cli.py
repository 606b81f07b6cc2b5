"""Commands: `campaign mail …`, for operators. They print JSON."""

from __future__ import annotations

import json
import sys
import uuid

import click

from campaign.db import db, reading


@click.group()
def mail() -> None:
    """See what waits, prove that nothing was lost or sent twice, and queue again."""


@mail.command()
def verify() -> None:
    """Recompute every promise of the outbox by SQL; exit 1 when one is broken.

    \b
    Example:
      campaign mail verify && echo "every e-mail is accounted for"
    """
    from campaign.mail import queries

    with reading():
        report = queries.invariants()
        db.session.commit()
    click.echo(json.dumps(report, indent=2))
    sys.exit(0 if report["ok"] else 1)


@mail.command()
def status() -> None:
    """Print what waits, how old it is, and what the provider asked for.

    \b
    Example:
      campaign mail status | jq .oldest_due_seconds
    """
    from campaign.mail import queries, rates

    with reading():
        report = queries.outbox_status()
        report["provider_wait_seconds"] = round(rates.wait_seconds(), 1)
        db.session.commit()
    click.echo(json.dumps(report, indent=2))


@mail.command()
@click.option("--batch", "batch_id", type=click.UUID, help="Only this batch.")
@click.option(
    "--state",
    type=click.Choice(["failed", "unknown_final"]),
    default="failed",
    show_default=True,
    help="Which ones to send again.",
)
def requeue(batch_id: uuid.UUID | None, state: str) -> None:
    """Queue again what failed, or what stayed unknown; prints how many.

    E-mails of unknown fate may have arrived: with `--state unknown_final` some people may get
    theirs twice.

    \b
    Example:
      campaign mail requeue --batch 0192f0c1-7a55-7c3e-9a64-0e6a3c1b2d4f --state unknown_final
    """
    from campaign.mail import services

    count = services.requeue(batch_id=batch_id, state=state)
    db.session.commit()
    click.echo(json.dumps({"requeued": count}))
