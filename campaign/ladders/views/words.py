"""Ladders in words: a step as a sentence, and the codes of states, reasons and problems."""

from __future__ import annotations

from typing import Any

import flask_babel
from flask_babel import lazy_gettext as _l

from campaign.ladders import queries
from campaign.ladders.forms import hour_name, weekday_names
from campaign.ladders.models import Ladder, LadderStep, StepKind, Trigger
from campaign.ladders.queries import Things
from campaign.ladders.rules import Details, Otherwise, Side, Unit
from campaign.mail.merge import merge_text


def _(message: str, **values: Any) -> str:
    """The message in the reader's language."""
    return str(flask_babel.gettext(message, **values))


def ngettext(one: str, many: str, number: int) -> str:
    """The message for a number in the reader's language."""
    return str(flask_babel.ngettext(one, many, number))


KINDS: dict[StepKind, tuple[Any, Any]] = {
    StepKind.SEND: (_l("Send an email"), _l("To those who agreed to email from you.")),
    StepKind.WAIT: (_l("Wait some hours or days"), _l("Counted from the moment they get there.")),
    StepKind.WAIT_DAY: (
        _l("Wait until a day of the week"),
        _l("Like Tuesday at 10 in the morning, in your organization's time zone."),
    ),
    StepKind.WAIT_EVENT: (
        _l("Wait until an event"),
        _l("So many hours or days before or after it starts."),
    ),
    StepKind.IF: (
        _l("Go on only if"),
        _l("Asks a segment; everybody else stops or skips a step."),
    ),
    StepKind.TAG: (_l("Add a tag"), _l("So that you find them later.")),
    StepKind.LIST_ADD: (_l("Put them on a list"), ""),
    StepKind.LIST_REMOVE: (_l("Take them off a list"), ""),
    StepKind.FOLLOW_UP: (
        _l("Ask an organizer to follow up"),
        _l("It stands on the first page until somebody ticks it."),
    ),
    StepKind.STOP: (_l("Stop"), _l("Their way ends here.")),
}
"""Each kind of step: what it does, and a word more. In the order in which they are offered."""

STATES: dict[str, tuple[Any, str]] = {
    "draft": (_l("Draft"), "plain"),
    "on": (_l("On"), ""),
    "paused": (_l("Paused"), "warn"),
    "off": (_l("Off"), "plain"),
}
PROBLEMS: dict[str, Any] = {
    "no_steps": _l("There is no step yet."),
    "no_thing": _l("Nothing is chosen that begins it."),
    "thing_gone": _l(
        "What begins it is no longer there, or closed. Choose something else to begin with."
    ),
    "no_postal_address": _l(
        "Your profile has no postal address. The law asks for one in every mass email."
    ),
    "segment_gone": _l("This segment is no longer there. Choose another one."),
    "tag_gone": _l("This tag is no longer there. Choose another one."),
    "list_gone": _l("This list is no longer there. Choose another one."),
    "event_gone": _l("This event is no longer there, or cancelled. Choose another one."),
    "no_event": _l("No event brings people in here. Choose an event to wait for."),
}
REASONS: dict[str, Any] = {
    "no_address": _l("No email address"),
    "no_consent": _l("Has not agreed to email from you"),
    "bounced": _l("Address does not take mail"),
    "unsubscribed_everything": _l("Wants no mass email at all"),
    "unsubscribed": _l("Unsubscribed from you"),
    "enough": _l("Got enough mailings this week"),
    "already": _l("Had it already"),
    "erased": _l("Erased"),
    "not_in_segment": _l("Not in the segment"),
}


def state_words(state: str) -> tuple[str, str]:
    """A state and the kind of its tag."""
    words, kind = STATES[state]
    return str(words), kind


def problem_words(code: str) -> str:
    return str(PROBLEMS[code])


def reason_words(code: str) -> str:
    return str(REASONS.get(code, code))


def trigger_words(ladder: Ladder, things: Things) -> str:
    """What brings people in, as a sentence."""
    key = ladder.trigger_id
    gone = _("(no longer there)")
    known = things.petitions | things.events | things.tags | things.lists
    name = _("“%(name)s”", name=known[key]) if key in known else gone
    trigger = Trigger(ladder.trigger)
    if key is None and trigger not in {Trigger.TAGGED, Trigger.LISTED}:
        return str(_ANY[trigger])
    return str(_ONE[trigger]) % {"name": name}


_ANY: dict[Trigger, Any] = {
    Trigger.SIGNED: _l("When somebody signs any petition, and confirms it"),
    Trigger.COMING: _l("When somebody says they come to any event, or may come"),
    Trigger.ATTENDED: _l("When somebody signs in at any event"),
    Trigger.MISSED: _l("When somebody misses any event they said they come to"),
    Trigger.CONSENTED: _l("When somebody agrees to email from you"),
}
_ONE: dict[Trigger, Any] = {
    Trigger.SIGNED: _l("When somebody signs %(name)s, and confirms it"),
    Trigger.COMING: _l("When somebody says they come to %(name)s, or may come"),
    Trigger.ATTENDED: _l("When somebody signs in at %(name)s"),
    Trigger.MISSED: _l("When somebody misses %(name)s, having said they come"),
    Trigger.TAGGED: _l("When somebody gets the tag %(name)s"),
    Trigger.LISTED: _l("When somebody is put on the list %(name)s"),
    Trigger.CONSENTED: _l("When somebody agrees to email from you"),
}


def step_words(step: LadderStep, things: Things, language: str) -> str:
    """A step as a sentence that anybody can read."""
    details = queries.details_of(step)
    match StepKind(step.kind):
        case StepKind.WAIT:
            return _wait_words(details)
        case StepKind.WAIT_DAY:
            return _(
                "Wait until %(day)s, %(time)s",
                day=weekday_names()[details.weekday],
                time=hour_name(details.hour),
            )
        case StepKind.WAIT_EVENT:
            return _event_words(details, things)
        case StepKind.IF:
            name = _name(things.segments, details.segment_id)
            if details.otherwise == Otherwise.STOP:
                return _("Go on only if in the segment %(name)s; everybody else stops", name=name)
            return _(
                "If not in the segment %(name)s, skip the next step",
                name=name,
            )
        case StepKind.SEND:
            subject = merge_text(details.subject.get_for(language), {})
            return _("Send “%(subject)s”", subject=subject)
        case StepKind.TAG:
            return _("Add the tag %(name)s", name=_name(things.tags, details.tag_id))
        case StepKind.LIST_ADD:
            return _("Put them on the list %(name)s", name=_name(things.lists, details.list_id))
        case StepKind.LIST_REMOVE:
            return _("Take them off the list %(name)s", name=_name(things.lists, details.list_id))
        case StepKind.FOLLOW_UP:
            return _("Ask an organizer: %(text)s", text=details.text)
        case StepKind.STOP:
            return _("Stop here")


def _name(found: dict[Any, str], key: Any) -> str:
    return _("“%(name)s”", name=found[key]) if key in found else _("(no longer there)")


def _wait_words(details: Details) -> str:
    if details.unit == Unit.HOURS:
        return ngettext("Wait %(num)s hour", "Wait %(num)s hours", details.amount)
    return ngettext("Wait %(num)s day", "Wait %(num)s days", details.amount)


def _event_words(details: Details, things: Things) -> str:
    event = (
        _name(things.events, details.event_id)
        if details.event_id
        else _("the event that brought them in")
    )
    if not details.amount:
        return _("Wait until %(event)s starts", event=event)
    if details.unit == Unit.HOURS:
        long = ngettext("%(num)s hour", "%(num)s hours", details.amount)
    else:
        long = ngettext("%(num)s day", "%(num)s days", details.amount)
    if details.side == Side.BEFORE:
        return _("Wait until %(long)s before %(event)s starts", long=long, event=event)
    return _("Wait until %(long)s after %(event)s starts", long=long, event=event)
