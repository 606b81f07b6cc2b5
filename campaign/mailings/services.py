"""Changing messages: write, choose, schedule, send, pause, resume, stop.

What the text may not say and when nothing may be sent is decided here, for the console and the
command line alike; `Invalid` names the field it is about.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flask_babel import gettext as _
from sqlalchemy import update
from sqlalchemy.orm.attributes import flag_modified

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db, insert, uuid7
from campaign.designs import blocks, cards
from campaign.designs import queries as designs
from campaign.errors import Conflict, Invalid, NotFound
from campaign.mail import freezing
from campaign.mail import services as mail
from campaign.mail.letters import Letter
from campaign.mail.models import Batch
from campaign.mailings import delivery, emails, queries, rules, tasks, writing
from campaign.mailings.models import (
    Audience,
    Contest,
    ContestState,
    LinkClicks,
    Message,
    MessageLink,
    MessageState,
    Variant,
    VariantState,
)
from campaign.mailings.writing import Format
from campaign.organizations import queries as organization_queries
from campaign.organizations import services as organizations
from campaign.organizations.models import Organization
from campaign.worker import enqueue

TEST_KIND = "mailing-test"
FARTHEST = timedelta(days=366)
LOOK_NOTE_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDetails:
    """What is written about a message. `name` is for the team, the rest for its readers."""

    name: str = ""
    subject: str = ""
    preheader: str = ""
    body: str = ""
    from_name: str = ""
    reply_to: str = ""
    template_id: uuid.UUID | None = None
    format: str = Format.MARKDOWN


def create_message(
    organization_id: uuid.UUID,
    details: MessageDetails,
    *,
    author_id: uuid.UUID | None = None,
    audience: Audience | None = None,
) -> Message:
    """A new draft. Raises Invalid for a merge field that nobody can fill in, a block that nobody
    can read or that names what is not the organization's, HTML that does not end."""
    check_fields(details)
    check_body(organization_id, details.body, details.format)
    message = Message(
        id=uuid7(),
        organization_id=organization_id,
        author_id=author_id,
        audience=(audience or Audience()).dump(),
        state=MessageState.DRAFT,
        time_zone=db.session.get_one(Organization, organization_id).time_zone,
    )
    _write(message, details)
    db.session.add(message)
    db.session.flush()
    return message


def edit_message(message: Message, details: MessageDetails) -> None:
    """Change a draft. Raises Conflict once it is scheduled, Invalid as `create_message`."""
    _must_be_draft(message)
    check_fields(details)
    check_body(message.organization_id, details.body, details.format)
    _write(message, details)


def turn(
    organization: Organization, details: MessageDetails, *, author_id: uuid.UUID | None = None
) -> MessageDetails:
    """The same, to go on in the other way of writing; what it was before is kept as a draft.

    Markdown becomes HTML, blocks what they show now. HTML may stand in Markdown as it is. Raises
    Invalid where it cannot be kept as it was.
    """
    is_html = details.format == Format.HTML
    before = replace(
        details,
        name=_("%(name)s (before)", name=(details.name or details.subject)[:100]),
        format=Format.MARKDOWN if is_html else Format.HTML,
    )
    create_message(organization.id, before, author_id=author_id)
    if not is_html:
        return details
    draft = emails.Draft(body=details.body)
    return replace(details, body=emails.as_html(draft, organization))


def choose_audience(message: Message, audience: Audience) -> None:
    """Say who a draft is for. Raises Conflict once it is scheduled."""
    _must_be_draft(message)
    message.audience = audience.dump()


def copy_message(message: Message, *, author_id: uuid.UUID) -> Message:
    """A new draft with the same text, audience and variants."""
    copy = create_message(
        message.organization_id,
        MessageDetails(
            name=message.name,
            subject=message.subject,
            preheader=message.preheader,
            body=message.body,
            from_name=message.from_name,
            reply_to=message.reply_to,
            template_id=message.template_id,
            format=message.format,
        ),
        author_id=author_id,
        audience=message.chosen,
    )
    if message.contest is not None:
        copy.contest = _copy_contest(message.contest)
        db.session.flush()
    return copy


def _copy_contest(contest: Contest) -> Contest:
    """The same plan and variants, of which nothing has happened yet."""
    return Contest(
        size=contest.size,
        unit=contest.unit,
        measure=contest.measure,
        hours=contest.hours,
        is_automatic=contest.is_automatic,
        variants=[
            Variant(
                letter=variant.letter,
                own_subject=variant.own_subject,
                own_preheader=variant.own_preheader,
                own_body=variant.own_body,
                own_from_name=variant.own_from_name,
            )
            for variant in contest.variants
        ],
    )


def delete_message(message: Message) -> None:
    """Put a draft away; `restore_message` brings it back."""
    _must_be_draft(message)
    message.deleted_at = clock.now()


def restore_message(message: Message) -> None:
    """Bring a deleted draft back."""
    message.deleted_at = None


def _must_be_draft(message: Message) -> None:
    if not message.is_draft or message.deleted_at is not None:
        raise Conflict(_("This message can no longer be changed."))


def _write(message: Message, details: MessageDetails) -> None:
    message.name = details.name
    message.subject = details.subject
    message.preheader = details.preheader
    is_html = details.format == Format.HTML
    message.body = writing.cleaned(details.body).html if is_html else details.body
    message.format = Format.HTML if is_html else Format.MARKDOWN
    message.from_name = details.from_name
    message.reply_to = details.reply_to
    _choose_template(message, details.template_id)


def _choose_template(message: Message, template_id: uuid.UUID | None) -> None:
    """A template of the organization; the one that a message has, also when it was put away."""
    if template_id is not None and template_id != message.template_id:
        try:
            designs.template_of(message.organization_id, template_id)
        except NotFound:
            raise Invalid(
                _("This template is no longer there. Choose another."), field="template_id"
            ) from None
    message.template_id = template_id


def check_body(
    organization_id: uuid.UUID, body: str, form: str = Format.MARKDOWN, *, field: str = "body"
) -> None:
    """Raises Invalid for blocks that nobody can read, for those that name what was never the
    organization's, for pictures of somebody else's, and for HTML that swallows its own rest.

    What was there and is gone or not public is a finding: the text is kept as it is.
    """
    language = db.session.get_one(Organization, organization_id).language
    known = cards.look_up(organization_id, [body], language)
    if known.strangers:
        raise Invalid(
            _("A picture in it is not from your library. Add it there first."), field=field
        )
    if form == Format.HTML:
        _check_pasted(body, field)
        return
    parsed = blocks.parse(body)
    said = [(problem.line, cards.problem_words(problem)) for problem in parsed.problems]
    for block in parsed.blocks:
        missing = known.missing(block)
        if missing is not None and not missing.is_known:
            said.append((block.line, cards.missing_words(block, missing)))
    if said:
        line, words = min(said)
        raise Invalid(_("Line %(line)s: %(words)s", line=line, words=words), field=field)


def _check_pasted(body: str, field: str) -> None:
    for broken in writing.breaks(body):
        if broken.is_fatal:
            raise Invalid(
                _(
                    "Line %(line)s: what begins with %(tag)s does not end, so the rest would be lost.",
                    line=broken.line,
                    tag=broken.tag,
                ),
                field=field,
            )
    if body.strip() and writing.is_empty(writing.cleaned(body).html, Format.HTML):
        raise Invalid(
            _("Of this HTML nothing remains to read. It may be a script or a form only."),
            field=field,
        )


def check_fields(details: MessageDetails) -> None:
    """Raises Invalid for a merge field that nobody can fill in."""
    for field, text in (
        ("subject", details.subject),
        ("preheader", details.preheader),
        ("body", details.body),
    ):
        for problem in writing.unknown_fields(text):
            place = (
                _("line %(line)s, character %(column)s", line=problem.line, column=problem.column)
                if field == "body"
                else _("character %(column)s", column=problem.column)
            )
            raise Invalid(
                _(
                    "We do not know {{ %(name)s }} (%(place)s). You can use: %(known)s.",
                    name=problem.name,
                    place=place,
                    known=", ".join(writing.FIELDS),
                ),
                field=field,
            )


# --- tests ---------------------------------------------------------------------------------------


def send_test(
    message: Message,
    organization: Organization,
    to: Sequence[User],
    values: Mapping[str, str],
    variants: Sequence[Variant] = (),
) -> int:
    """Send the message as it is to people of the team, marked as a test; returns to how many.

    With `variants` each of them, one e-mail a version. Raises Invalid where there is nothing to
    read yet.
    """
    tried: Sequence[Variant | None] = variants or (None,)
    sent = {
        user.id
        for variant in tried
        for user in to
        if _test(message, organization, user, values, variant)
    }
    message.tested_at, message.tested_mark = clock.now(), rules.words_mark(message)
    return len(sent)


def _test(
    message: Message,
    organization: Organization,
    user: User,
    values: Mapping[str, str],
    variant: Variant | None,
) -> bool:
    """Queue one test; False where the address takes no mail."""
    said = message.wording if variant is None else variant.wording
    if not said.subject.strip() or not said.body.strip():
        raise Invalid(_("Write a subject and a text first."))
    draft = emails.Draft.of(message).worded(said)
    letter: Letter = emails.marked_as_test(
        emails.render_message(draft, organization, is_test=True),
        variant.name if variant is not None else "",
    )
    delivery_id = mail.queue_email(
        user.email,
        mail.freeze_letter(letter),
        organization_id=organization.id,
        kind=TEST_KIND,
        values=values,
        sender=sender_of(message, organization, variant),
    )
    return delivery_id is not None


def sender_of(
    message: Message, organization: Organization, variant: Variant | None = None
) -> mail.Sender:
    """From whom a message comes: its own words first, else the organization's profile."""
    profile = organizations.sender_of(organization)
    said = message.wording if variant is None else variant.wording
    return mail.Sender(
        name=said.from_name or profile.name,
        email=profile.email,
        reply_to=message.reply_to or profile.reply_to,
    )


def try_links(message: Message) -> bool:
    """Have the links of a message tried soon; False where that is under way already."""
    if queries.waits_for_links(message):
        return False
    message.links_asked_at = clock.now()
    flag_modified(message, "updated_at")
    enqueue(tasks.try_links, message.id)
    return True


# --- time ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """The instant of a wall time. `oddity` is "gap" where the clocks jump over that time (it
    then means the same minutes after the jump), "fold" where it comes twice (then the first),
    "quiet" where it was moved to the end of the quiet hours."""

    at: datetime
    oddity: str = ""


def resolve_wall_time(wall: datetime, zone_name: str) -> Moment:
    """What a clock on the wall means in a zone. Raises ValueError for an unknown zone."""
    zone = clock.zone(zone_name)
    at = clock.to_utc(wall, zone_name)
    if at.astimezone(zone).replace(tzinfo=None) != wall:
        return Moment(at, "gap")
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return Moment(at, "fold" if first != second else "")


# --- on its way ----------------------------------------------------------------------------------


def schedule_message(
    message: Message, wall: datetime, zone_name: str, *, user_id: uuid.UUID
) -> Moment:
    """draft or scheduled → scheduled at a wall time in a zone.

    Raises Invalid for a time that is over or too far away and for what `_check_ready` says.
    """
    try:
        moment = resolve_wall_time(wall, zone_name)
    except ValueError:
        raise Invalid(_("We do not know this time zone."), field="zone") from None
    except OverflowError:
        raise Invalid(_("This date is too far away."), field="on") from None
    if moment.at <= clock.now():
        raise Invalid(_("This time is over. Choose a later one."), field="on")
    if moment.at > clock.now() + FARTHEST:
        raise Invalid(_("This date is too far away."), field="on")
    _check_ready(message)
    if message.state == MessageState.SCHEDULED:
        message.move(MessageState.DRAFT)
    message.move(MessageState.SCHEDULED)
    message.sent_by = user_id
    start = rules.timetable(message, _organization(message), moment.at).due(0)
    message.scheduled_at, message.time_zone = start, zone_name
    _note(message, "mailing.schedule", user_id, at=start.isoformat())
    return Moment(start, "quiet" if start != moment.at else moment.oddity)


def unschedule_message(message: Message, *, user_id: uuid.UUID) -> None:
    """scheduled → draft. Raises Conflict when it is on its way."""
    if message.state != MessageState.SCHEDULED or message.is_due(clock.now()):
        raise Conflict(_("This message is already on its way."))
    message.move(MessageState.DRAFT)
    message.scheduled_at = None
    _note(message, "mailing.unschedule", user_id)


def send_message(message: Message, *, user_id: uuid.UUID | None = None) -> None:
    """Send now: due at once, and somebody is woken to freeze the audience. In quiet hours "now"
    is when they end, unless the message goes out even so.

    Raises Conflict when it is on its way already, Invalid as `_check_ready` says.
    """
    _check_ready(message)
    if message.state != MessageState.SCHEDULED:
        message.move(MessageState.SCHEDULED)
    message.sent_by = user_id
    message.scheduled_at = rules.timetable(message, _organization(message), clock.now()).due(0)
    _note(message, "mailing.send", user_id)
    enqueue(tasks.start_message, message.id)


def set_pace(message: Message, per_hour: int | None, *, ignores_quiet: bool, included: int) -> None:
    """How many get it in an hour, and whether at night as well. Raises Conflict when it is on its
    way, Invalid for a pace at which it would take more than two weeks."""
    if not may_be_sent(message):
        raise Conflict(_("This message is already on its way."))
    if per_hour is not None:
        table = rules.Timetable(
            clock.now(), per_hour, None if ignores_quiet else rules.Quiet.of(_organization(message))
        )
        least = -(-included // int(rules.LONGEST_SPREAD / timedelta(hours=1)))
        if per_hour < max(1, least) or table.due(included) - clock.now() > rules.LONGEST_SPREAD:
            raise Invalid(
                _("At this pace it would take more than two weeks. Please choose a larger number."),
                field="per_hour",
            )
    message.per_hour, message.ignores_quiet = per_hour, ignores_quiet
    flag_modified(message, "updated_at")


def may_be_sent(message: Message) -> bool:
    """Whether it still waits for somebody's word: a draft, or scheduled for later."""
    waits = message.state in {MessageState.DRAFT, MessageState.SCHEDULED}
    return waits and not message.is_due(clock.now())


def _check_ready(message: Message, *, is_for_a_look: bool = False) -> None:
    """What no door lets through: nothing to read, nobody to read it, a field nobody can fill, no
    postal address, which the law asks for in every mass e-mail (CAN-SPAM, 15 U.S.C. 7704)."""
    if not may_be_sent(message):
        raise Conflict(_("This message is already on its way."))
    for wording in message.wordings:
        if not wording.subject.strip():
            raise Invalid(_("Write a subject first."), field="subject")
        if not wording.body.strip():
            raise Invalid(_("Write a text first."), field="body")
    if len(set(message.wordings)) < len(message.wordings):
        raise Invalid(_("Two versions say the same. Change one, or take it out."))
    if not message.chosen.include:
        raise Invalid(_("Choose who gets it first."), field="include")
    if not _organization(message).postal_address.strip():
        raise Invalid(
            _("Your profile has no postal address. The law asks for one in every mass email."),
            field="postal_address",
        )
    for wording in message.wordings:
        check_fields(
            MessageDetails(subject=wording.subject, preheader=wording.preheader, body=wording.body)
        )
        check_body(message.organization_id, wording.body, message.format)
    gone = queries.what_is_gone(message)
    if gone is not None:
        raise Invalid(
            _("Line %(line)s: %(words)s", line=gone.line, words=gone.detail), field="body"
        )
    if not is_for_a_look and queries.needs_second_look(message, _organization(message)):
        raise Invalid(_("So many people get this that somebody else has to agree first."))


def _organization(message: Message) -> Organization:
    return db.session.get_one(Organization, message.organization_id)


# --- a second pair of eyes -----------------------------------------------------------------------


def ask_for_look(message: Message, *, user_id: uuid.UUID) -> None:
    """Ask the others of the team who may send to read it and to agree.

    Raises Conflict when it is on its way, Invalid as `_check_ready` says.
    """
    _check_ready(message, is_for_a_look=True)
    message.look_asked_by, message.look_asked_at = user_id, clock.now()
    message.look_mark, message.look_note = rules.mark_of(message), ""
    _note_look(message, "mailing.look_asked", user_id)
    others = [
        user for user in organization_queries.senders(message.organization_id) if user.id != user_id
    ]
    emails.tell_of_look("asked", message, _organization(message), others, by=_name(user_id))


def agree_to(message: Message, mark: str, *, user_id: uuid.UUID) -> None:
    """The second person has read what `mark` stands for. Raises Conflict where it was changed
    since, and where it is the person who asked."""
    _check_looker(message, mark, user_id)
    message.agreed_by, message.agreed_at, message.agreed_mark = user_id, clock.now(), mark
    message.look_note = ""
    _note_look(message, "mailing.agreed", user_id)
    _answer_look("agreed", message, user_id)


def send_back(message: Message, mark: str, note: str, *, user_id: uuid.UUID) -> None:
    """The second person would rather see it changed, and says how. Raises as `agree_to`, and
    Invalid without a word."""
    _check_looker(message, mark, user_id)
    if not note.strip():
        raise Invalid(_("Write what should change."), field="note")
    message.look_note = note.strip()[:LOOK_NOTE_LIMIT]
    message.agreed_mark = ""
    _note_look(message, "mailing.sent_back", user_id)
    _answer_look("sent_back", message, user_id)


def _check_looker(message: Message, mark: str, user_id: uuid.UUID) -> None:
    if not may_be_sent(message):
        raise Conflict(_("This message is already on its way."))
    if not message.look_mark or mark != message.look_mark or mark != rules.mark_of(message):
        raise Conflict(_("It was changed since you read it. Please look again."))
    if not rules.may_agree(message, user_id):
        raise Conflict(_("You asked for this look, so somebody else has to take it."))


def _note_look(message: Message, action: str, user_id: uuid.UUID) -> None:
    """Log it; the message itself was not written anew, and a test of it stays valid."""
    flag_modified(message, "updated_at")
    _note(message, action, user_id)


def _answer_look(what: str, message: Message, user_id: uuid.UUID) -> None:
    asker = db.session.get(User, message.look_asked_by)
    if asker is not None:
        emails.tell_of_look(what, message, _organization(message), [asker], by=_name(user_id))


def _name(user_id: uuid.UUID) -> str:
    return db.session.get_one(User, user_id).name


# --- under way -----------------------------------------------------------------------------------


def pause_message(message: Message, *, user_id: uuid.UUID) -> None:
    """sending → paused: no new request to the provider begins."""
    message.move(MessageState.PAUSED)
    for batch in _batches(message, queries.live_batches):
        mail.pause(batch, "organizer")
    if message.contest is not None:
        message.contest.hold(clock.now())
    _note(message, "mailing.pause", user_id)


def resume_message(message: Message, *, user_id: uuid.UUID) -> None:
    """paused → sending: it goes on with those who have not been written to. Variants that were
    stopped stay so, unless all of them were: then they go on, and may be stopped again."""
    if message.state == MessageState.PAUSED:
        message.move(MessageState.SENDING)
    elif message.state != MessageState.SENDING:
        raise Conflict
    contest = message.contest
    if contest is not None:
        contest.go_on(clock.now())
        if contest.is_testing and not contest.running:
            for variant in contest.variants:
                variant.move(VariantState.RUNNING)
                variant.stopped_for, variant.stopped_at = "", None
                variant.forgiven = queries.harm_of(variant)
    live = _batches(message, queries.live_batches)
    for batch in live:
        mail.resume(batch)
    if message.per_hour is not None:
        due = delivery.turn_of(message, clock.now(), of=len(live))
        for batch in live:
            mail.spread(batch, due)
    message.told = {}
    _note(message, "mailing.resume", user_id)


def stop_message(message: Message, *, user_id: uuid.UUID) -> None:
    """Stop for good: what has not left is cancelled, and the rest of a test gets nothing."""
    message.move(MessageState.STOPPED)
    message.finished_at = clock.now()
    freezing.drop_slices(queries.batch_ids(message))
    cancelled = sum(mail.stop(batch) for batch in _batches(message, queries.batches_of))
    contest = message.contest
    if contest is not None:
        if contest.state != ContestState.OVER:
            message.excluded = queries.left_out(message, untold="stopped")
        contest.move(ContestState.STOPPED)
    _note(message, "mailing.stop", user_id, cancelled=cancelled)


def send_again(message: Message, *, user_id: uuid.UUID) -> int:
    """Send once more to those of whom nobody knows whether they got it; returns how many."""
    if message.state not in {MessageState.SENT, MessageState.SENDING}:
        raise Conflict
    count = sum(mail.send_again(batch) for batch in _batches(message, queries.live_batches))
    if count and message.state == MessageState.SENT:
        message.move(MessageState.SENDING)
        message.finished_at = None
    _note(message, "mailing.again", user_id, count=count)
    return count


def _batches(message: Message, some: Callable[[Message], list[Batch]]) -> list[Batch]:
    """Its batches, locked; raises Conflict where there is none yet."""
    found = some(message)
    if not queries.batch_ids(message):
        raise Conflict
    for batch in sorted(found, key=lambda row: row.id):
        db.session.refresh(batch, with_for_update=True)
    return found


def _note(message: Message, action: str, user_id: uuid.UUID | None, **details: object) -> None:
    organizations.record(
        action,
        organization_id=message.organization_id,
        user_id=user_id,
        subject_kind="message",
        subject_id=message.id,
        details=details,
    )


def count_click(link_id: uuid.UUID) -> None:
    """One more for a link, and for this quarter of an hour; rows say how often, never who."""
    now = clock.now()
    since = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    clicks = insert(LinkClicks.__table__).values(link_id=link_id, since=since, count=1)
    db.session.execute(
        clicks.on_conflict_do_update(
            index_elements=["link_id", "since"], set_={"count": LinkClicks.__table__.c.count + 1}
        )
    )
    db.session.execute(
        update(MessageLink)
        .where(MessageLink.id == link_id)
        .values(click_count=MessageLink.click_count + 1)
        .execution_options(synchronize_session=False)
    )
