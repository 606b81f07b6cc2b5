"""Commands: `campaign mailings …`."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import Any

import click
import orjson
from flask import Flask, current_app
from tqdm import tqdm

from campaign.db import db, is_postgres
from campaign.errors import CampaignError
from campaign.lists import queries as lists
from campaign.mail import delivery as mail
from campaign.mail import sweeping
from campaign.mail.statements import PROVIDER_ERRORS
from campaign.mailings import delivery, queries, services, shown, writing
from campaign.mailings.models import Audience, Choice, ChoiceKind, Message, MessageState
from campaign.mailings.queries import Progress
from campaign.mailings.services import MessageDetails
from campaign.organizations.models import Organization
from campaign.organizations.queries import organization_by_slug
from campaign.web.fields import hostile
from campaign.worker import doorbell

SUBJECT_LIMIT = 200
BODY_LIMIT = 100_000
LOOK_SECONDS = 0.5
SWEEP_SECONDS = 15.0


@click.group()
def mailings() -> None:
    """Mass e-mail: write, send, watch."""


def find_organization(slug: str) -> Organization:
    """The organization of that slug, or wrong use of the command."""
    found = organization_by_slug(slug)
    if found is None:
        raise click.BadParameter(f"no organization is called {slug!r}", param_hint="--organization")
    return found


def find_message(message_id: uuid.UUID) -> Message:
    found = queries.message_by_id(message_id)
    if found is None:
        raise click.ClickException(f"there is no message {message_id}")
    return found


@mailings.command()
@click.option("--organization", "slug", required=True, metavar="SLUG")
@click.option("--subject", required=True, metavar="TEXT")
@click.option(
    "--body",
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="The text in Markdown; - reads it from standard input.",
)
@click.option("--list", "list_names", multiple=True, metavar="NAME", help="Write to this list.")
@click.option(
    "--segment", "segment_names", multiple=True, metavar="NAME", help="Write to this segment."
)
@click.option("--name", default="", metavar="TEXT", help="What your team calls it.")
def create(
    *,
    slug: str,
    subject: str,
    body: Path,
    list_names: tuple[str, ...],
    segment_names: tuple[str, ...],
    name: str,
) -> None:
    """Write a draft; its id is the last line that is printed.

    The text may hold merge fields, like {{ first_name|friend }}.

    \b
    Example:
      campaign mailings create --organization stop --subject "Come on Monday" \\
          --body letter.md --list "Woodlawn clinic"
    """
    organization = find_organization(slug)
    if not list_names and not segment_names:
        raise click.UsageError("say who gets it: --list NAME or --segment NAME")
    details = MessageDetails(name=name.strip(), subject=subject.strip(), body=_read(body))
    _check("subject", details.subject, SUBJECT_LIMIT)
    _check("name", details.name, SUBJECT_LIMIT)
    _check("body", details.body, BODY_LIMIT, lines=True)
    choices = [
        *(_choice(organization, ChoiceKind.LIST, list_name) for list_name in list_names),
        *(_choice(organization, ChoiceKind.SEGMENT, segment) for segment in segment_names),
    ]
    try:
        message = services.create_message(
            organization.id, details, audience=Audience(include=tuple(choices))
        )
    except CampaignError as error:
        raise click.ClickException(error.message) from None
    db.session.commit()
    click.echo(str(message.id))


def _read(path: Path) -> str:
    try:
        with click.open_file(str(path), "r", encoding="utf-8-sig") as file:
            return str(file.read()).replace("\r\n", "\n").strip()
    except UnicodeDecodeError:
        raise click.ClickException(f"{path} is not UTF-8 text") from None


def _check(what: str, text: str, limit: int, *, lines: bool = False) -> None:
    problem = hostile(text, lines=lines)
    if problem:
        raise click.ClickException(f"{what}: {problem}")
    if len(text) > limit:
        raise click.ClickException(f"{what}: keep it under {limit} characters")
    if what != "name" and not text:
        raise click.ClickException(f"{what}: there is nothing in it")


def _choice(organization: Organization, kind: ChoiceKind, name: str) -> Choice:
    find = lists.list_by_name if kind is ChoiceKind.LIST else lists.segment_by_name
    found = find(organization.id, name)
    if found is None:
        raise click.ClickException(f"{organization.slug} has no {kind} called {name!r}")
    return Choice(kind, found.id)


@mailings.command()
@click.argument("message_id", metavar="ID", type=click.UUID)
@click.option("--wait", is_flag=True, help="Show progress until it is done.")
def send(message_id: uuid.UUID, wait: bool) -> None:
    """Send a message now; sending one that is sent already mails nobody.

    With --wait this command sends along with the workers, so it ends also where none is running.

    Example: campaign mailings send 0199c2f0-7d1c-7c6e-8a51-3f2b9c1d4e5f --wait
    """
    message = find_message(message_id)
    if message.state == MessageState.STOPPED:
        raise click.ClickException("this message was stopped for good")
    if message.state == MessageState.PAUSED:
        raise click.ClickException("this message is paused; go on with it in the console")
    if services.may_be_sent(message):
        _warn(message)
        try:
            services.send_message(message)
        except CampaignError as error:
            raise click.ClickException(error.message) from None
        db.session.commit()
    elif message.state == MessageState.SENT:
        click.echo("sent already: nobody is mailed again", err=True)
    _freeze(message_id)
    if wait:
        _wait(message_id)
    state = queries.progress(find_message(message_id))
    click.echo(_summary(state))
    doorbell.flush()


def _warn(message: Message) -> None:
    """Say what in the text the console would have held it for: an operator's word counts more."""
    for finding in writing.findings(
        message.subject,
        message.preheader,
        message.body,
        form=message.format,
        known=shown.known_for(message),
        pages=shown.pages_for(message),
    ):
        if finding.level == writing.Level.STOP:
            click.echo(f"warning: {finding.code.replace('_', ' ')} {finding.detail}", err=True)


def _freeze(message_id: uuid.UUID) -> None:
    """Put the audience together here, beside any worker that does the same."""
    while delivery.build_outbox(message_id):
        db.session.commit()
    db.session.commit()


def _wait(message_id: uuid.UUID) -> None:
    """Send and watch until nobody works on the message any more."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    over = threading.Event()
    lanes = mail.lanes() if is_postgres() else 1
    threads = [
        threading.Thread(target=_lane, args=(app, over), name=f"lane-{number}", daemon=True)
        for number in range(lanes)
    ]
    swept = time.monotonic()
    with tqdm(desc="sending", unit=" e-mails", disable=None) as bar:
        for thread in threads:
            thread.start()
        try:
            while True:
                state = _look(message_id)
                bar.total, bar.n = state.total, state.done
                bar.refresh()
                if not state.is_moving and not _probes(state):
                    break
                if time.monotonic() - swept > SWEEP_SECONDS:
                    sweeping.sweep()
                    swept = time.monotonic()
                time.sleep(LOOK_SECONDS)
        finally:
            over.set()
            for thread in threads:
                thread.join(timeout=60)
    delivery.follow(message_id)
    db.session.commit()
    if state.state in {MessageState.PAUSED, MessageState.STOPPED}:
        raise click.ClickException(f"the message is {state.state}: {_summary(state)}")


def _probes(state: Progress) -> bool:
    """Whether mail has paused it by itself and tries single e-mails until it goes again."""
    return state.state == MessageState.PAUSED and state.pause_reason == PROVIDER_ERRORS


def _look(message_id: uuid.UUID) -> Progress:
    db.session.expire_all()
    message = find_message(message_id)
    if message.state in {MessageState.SCHEDULED, MessageState.CALCULATING}:
        _freeze(message_id)
        message = find_message(message_id)
    state = queries.progress(message)
    db.session.rollback()
    return state


def _lane(app: Flask, over: threading.Event) -> None:
    """Send what is due, as a worker does, until told that it is over."""
    with app.app_context():
        while not over.is_set():
            mail.work(bulk=True, seconds=LOOK_SECONDS * 2)
            db.session.remove()
            over.wait(0.1)


def _summary(state: Progress) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in state.counts.items())
    return f"{state.state}: {state.total} people{f' ({counts})' if counts else ''}"


@mailings.command()
@click.argument("message_id", metavar="ID", type=click.UUID)
def status(message_id: uuid.UUID) -> None:
    """Print the state of a message as JSON.

    `total` are all whom the audience named when it was frozen, `recipients` those of them for
    whom an e-mail was made. `counts` adds up to `total`, `reasons` to those who did not get it:
    people left out at the start are in both, as suppressed and with their reason.

    Example: campaign mailings status 0199c2f0-7d1c-7c6e-8a51-3f2b9c1d4e5f
    """
    message = find_message(message_id)
    click.echo(orjson.dumps(describe(message), option=orjson.OPT_INDENT_2).decode())


def describe(message: Message) -> dict[str, Any]:
    """The answer of `status`."""
    state = queries.progress(message)
    counts = dict(state.counts)
    excluded = message.excluded_count if message.is_out else 0
    if excluded:
        counts["suppressed"] = counts.get("suppressed", 0) + excluded
    return {
        "id": str(message.id),
        "state": state.state,
        "pause_reason": state.pause_reason,
        "total": state.total + excluded,
        "recipients": state.total,
        "counts": dict(sorted(counts.items())),
        "reasons": queries.not_sent_reasons(message) if message.is_out else {},
        "scheduled_at": message.scheduled_at,
        "started_at": message.started_at,
        "finished_at": message.finished_at,
    }
