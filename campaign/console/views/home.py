"""Today: what is at stake, what needs somebody, how it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from flask import Blueprint, g, render_template, url_for
from flask_babel import gettext, ngettext
from flask_babel import gettext as _

from campaign import clock
from campaign.campaigns.models import Campaign
from campaign.console import queries
from campaign.console.queries import DateLine, MailHealth, MessageLine, PetitionLine
from campaign.ladders import queries as ladders
from campaign.mailings.models import Message, MessageState
from campaign.mailings.queries import progress
from campaign.mailings.reasons import pause_words
from campaign.mailings.rules import is_agreed, mark_of
from campaign.organizations.models import Permission
from campaign.petitions.models import PetitionState
from campaign.places import queries as places
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.filters import moment, number, relative_day, short_day
from campaign.web.languages import language

blueprint = Blueprint("console", __name__)


@dataclass(frozen=True, slots=True)
class Task:
    """A line of "Needs you today": what, a word more, and the button to do it."""

    title: str
    note: str
    label: str
    url: str


@blueprint.get("/organize/")
@allow(Permission.DASHBOARD)
def home() -> str:
    """The organizer's first page."""
    here, now = actor().organization_id, clock.now()
    zone = clock.zone(str(g.time_zone))
    today = now.astimezone(zone).date()
    campaign = queries.campaign_in_front(here, today)
    lines = queries.petition_lines(here, now)
    ids = [line.petition.id for line in lines]
    series = queries.signatures_a_day(ids, now, zone)
    dates = queries.dates_ahead(here, now) if actor().can(Permission.EVENTS_VIEW) else []
    return render_template(
        "console/home.html",
        today=today,
        title=headline(campaign, today),
        campaign=campaign,
        lines=lines,
        facts=facts(lines),
        tasks=list(tasks(lines, dates, now)),
        series=[(short_day(day), count) for day, count in series],
        annotations=landmarks(campaign, [day for day, _count in series]),
        shapes=places.map_shapes(queries.counts_by_district(ids), language=language()),
        petition_url=petition_url,
        last=last_mailing(),
        dates=dates,
        moving=[queries.message_line(row) for row in queries.messages_moving(here)],
    )


def headline(campaign: Campaign | None, today: date) -> str:
    """ "Council votes in 23 days", else the campaign's name, else "Today"."""
    if campaign is None:
        return str(_("Today"))
    if campaign.decision_on is not None and campaign.decision_on >= today:
        label = campaign.decision_label.get_for(language()) or str(_("The decision is"))
        return f"{label} {relative_day(campaign.decision_on)}"
    return campaign.title.get_for(language())


def facts(lines: Sequence[PetitionLine]) -> list[tuple[int, str, str]]:
    """The row of numbers."""
    signed = sum(line.count for line in lines)
    week = sum(line.week for line in lines)
    pending = sum(line.pending for line in lines)
    items = [
        (
            signed,
            ngettext("signature", "signatures", signed),
            _("+%(count)s this week", count=number(week)) if week else "",
        ),
        (pending, _("not confirmed yet"), ""),
    ]
    unverified = sum(line.unverified for line in lines)
    if unverified:
        items.append((unverified, _("without email, counted apart"), ""))
    if actor().can(Permission.PEOPLE_VIEW):
        items.append((queries.people_count(actor().organization_id), _("people you know"), ""))
    return items


def landmarks(campaign: Campaign | None, days: Sequence[date]) -> list[tuple[int, str]]:
    """The last thing that was done within the days of the chart, written above its bar."""
    if campaign is None:
        return []
    done = [row for row in queries.milestones_since(campaign.id, days[0]) if row.on in days]
    return [
        (days.index(row.on), f"{row.title.get_for(language())}, {short_day(row.on)}")
        for row in done[:1]
    ]


def last_mailing() -> MessageLine | None:
    """The last mailing with its figures, for those who may see mailings."""
    found = queries.last_message(actor().organization_id)
    return queries.message_line(found) if found is not None else None


def tasks(
    lines: Sequence[PetitionLine], dates: Sequence[DateLine], now: datetime
) -> Iterator[Task]:
    """What needs somebody who may do it, the most pressing first."""
    if actor().can(Permission.MAILINGS_SEND):
        yield from mail_tasks(queries.mail_health(actor().organization_id, now))
    if actor().can(Permission.SIGNATURES_MODERATE):
        yield from signature_tasks(lines)
    if actor().can(Permission.EVENTS_EDIT):
        yield from proposal_tasks()
    if actor().can(Permission.ANSWERS_EDIT):
        yield from date_tasks(dates)
    if actor().can(Permission.PEOPLE_EDIT):
        yield from follow_up_tasks(now)
    if actor().can(Permission.MAILINGS_EDIT):
        yield from ladder_tasks()
    if actor().can(Permission.MAILINGS_EDIT):
        for message, trouble in queries.messages_in_trouble(actor().organization_id, now):
            yield trouble_task(message, trouble)
        for message in queries.messages_that_wait(actor().organization_id, now):
            yield message_task(message)
    if actor().can(Permission.PETITIONS_EDIT):
        yield from draft_tasks(lines)
    if actor().can(Permission.ORGANIZATION_EDIT):
        yield from setting_tasks()


def mail_tasks(health: MailHealth) -> Iterator[Task]:
    """E-mail that does not flow."""
    if health.late_count and health.oldest_due_at is not None:
        yield Task(
            ngettext(
                "%(num)s email should have left by now",
                "%(num)s emails should have left by now",
                health.late_count,
            ),
            _("The oldest waits since %(when)s.", when=moment(health.oldest_due_at)),
            _("See mailings"),
            url_for("mailings.mailings"),
        )
    if health.unknown_count:
        yield Task(
            ngettext(
                "Of %(num)s email nobody knows whether it arrived",
                "Of %(num)s emails nobody knows whether they arrived",
                health.unknown_count,
            ),
            _("They were not sent again, so that nobody gets one twice."),
            _("See mailings"),
            url_for("mailings.mailings"),
        )


def signature_tasks(lines: Sequence[PetitionLine]) -> Iterator[Task]:
    """Signatures and comments that wait for a look."""
    for line in lines:
        name = line.petition.title.get_for(language())
        if line.review:
            yield Task(
                ngettext(
                    "%(num)s signature waits for a look",
                    "%(num)s signatures wait for a look",
                    line.review,
                ),
                name,
                _("Look"),
                petition_url(line, "review"),
            )
        if line.comments:
            yield Task(
                ngettext(
                    "%(num)s comment waits to be read",
                    "%(num)s comments wait to be read",
                    line.comments,
                ),
                name,
                _("Read"),
                petition_url(line, "comments"),
            )


def petition_url(line: PetitionLine, page: str = "petition") -> str:
    """Where a petition, its comments or its review are."""
    return url_for(f"organize_petitions.{page}", petition_id=line.petition.id)


def proposal_tasks() -> Iterator[Task]:
    """Events that volunteers would like to host."""
    for event in queries.proposed_events(actor().organization_id):
        yield Task(
            _("Somebody would like to host “%(name)s”", name=event.title.get_for(language())),
            _("Nobody sees it until you say yes."),
            _("Look"),
            url_for("organize_events.event", event_id=event.id),
        )


def date_tasks(dates: Sequence[DateLine]) -> Iterator[Task]:
    """People who come and need something that nobody has seen to yet."""
    for line in dates:
        if line.needs:
            event = line.occurrence.event
            yield Task(
                ngettext(
                    "%(num)s person needs something to come",
                    "%(num)s people need something to come",
                    line.needs,
                ),
                f"{event.title.get_for(language())}, "
                + moment(line.occurrence.starts_at, zone=event.zone),
                _("See to it"),
                url_for("organize_answers.needs", occurrence_id=line.occurrence.id),
            )


def ladder_tasks() -> Iterator[Task]:
    """Ladders that somebody cannot enter or go on in."""
    for ladder, is_step in ladders.stuck_ladders(actor().organization_id):
        yield Task(
            _("“%(name)s” is stuck", name=ladder.name),
            _("Somebody inside cannot go on.") if is_step else _("Nobody can enter any more."),
            _("See what is missing"),
            url_for("ladders.ladder", ladder_id=ladder.id),
        )


def follow_up_tasks(now: datetime) -> Iterator[Task]:
    """People whom this user, or anybody of the team, is asked to call or visit."""
    me = actor()
    count = ladders.count_open_follow_ups(me.organization_id, now, user_id=me.user_id)
    if count:
        yield Task(
            ngettext(
                "%(num)s person waits to hear from you",
                "%(num)s people wait to hear from you",
                count,
            ),
            _("A ladder or one of your team asks you to follow up."),
            _("Follow up"),
            url_for("ladders.follow_ups", of="me"),
        )


def message_task(message: Message) -> Task:
    """A mailing that was stopped on the way, goes out soon, or is not finished."""
    name = message.name or message.subject or gettext("A mailing")
    if message.state == MessageState.PAUSED:
        note = pause_words(progress(message).pause_reason)
        title, label = _("“%(name)s” is paused", name=name), _("Go on or stop")
    elif message.state == MessageState.SCHEDULED:
        title = _("“%(name)s” goes out soon", name=name)
        note, label = moment(message.scheduled_at), _("Look once more")
    elif message.look_mark and message.look_mark == mark_of(message) and not message.look_note:
        return look_task(message, name)
    else:
        title, label = _("“%(name)s” is not sent yet", name=name), _("Write on")
        note = _("A draft, changed %(when)s.", when=relative_day(message.updated_at))
    return Task(title, note, label, url_for("mailings.message", message_id=message.id))


def trouble_task(message: Message, trouble: str) -> Task:
    """A mailing on its way, or a few days out, that wants somebody."""
    name = message.title or gettext("A mailing")
    url = url_for("mailings.message", message_id=message.id)
    if trouble == "choose":
        note = _("The time of its test is over. Until you choose, the others get nothing.")
        return Task(_("“%(name)s”: which version goes on?", name=name), note, _("Choose"), url)
    if trouble == "stopped":
        note = _("Too many marked it as spam, or too much of it came back. The others go on.")
        return Task(_("A version of “%(name)s” was stopped", name=name), note, _("See it"), url)
    note = _("More than one person in a thousand marked it as spam.")
    return Task(_("“%(name)s” is called spam", name=name), note, _("See it"), url)


def look_task(message: Message, name: str) -> Task:
    """A mailing that a second person reads, or has read."""
    url = url_for("mailings.confirm", message_id=message.id)
    if is_agreed(message):
        return Task(_("“%(name)s” may go out", name=name), "", _("Send it"), url)
    if message.look_asked_by == actor().user_id:
        note = _("You asked %(when)s.", when=relative_day(message.look_asked_at))
        return Task(_("“%(name)s” waits for a second look", name=name), note, _("See it"), url)
    return Task(_("“%(name)s” waits for your look", name=name), "", _("Read it"), url)


def draft_tasks(lines: Sequence[PetitionLine]) -> Iterator[Task]:
    """Petitions that nobody can sign yet."""
    for line in lines:
        if line.petition.state == PetitionState.DRAFT:
            name = line.petition.title.get_for(language())
            yield Task(
                _("“%(name)s” is not published yet", name=name),
                _("Nobody can sign it so far."),
                _("Go on"),
                petition_url(line),
            )


def setting_tasks() -> Iterator[Task]:
    """What the organization must say before it can write to people."""
    organization = g.membership.organization
    if not organization.postal_address.strip() or not organization.sender_email.strip():
        yield Task(
            _("Mailings need your postal address and a sender"),
            _("The law asks for the address below every mailing."),
            _("Fill them in"),
            url_for("organizations.profile"),
        )
