"""Forms of the ladder pages: one for a ladder, one for each kind of step."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import time
from typing import Any

from babel.dates import format_time
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import IntegerField, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, NumberRange, StopValidation

from campaign.accounts.models import User
from campaign.ladders import rules
from campaign.ladders.models import Ladder, StepKind, Trigger
from campaign.ladders.queries import Things
from campaign.ladders.rules import Details, Otherwise, Side, Unit
from campaign.ladders.services import LadderDetails
from campaign.web.fields import area, choice, day, text, tick
from campaign.web.forms import Form, SharedForm, spread

BODY_LIMIT = 100_000
UNITS = [(Unit.DAYS.value, _l("days")), (Unit.HOURS.value, _l("hours"))]
Groups = dict[str, list[tuple[str, str]]]


def weekday_names() -> list[str]:
    """Monday to Sunday in the reader's language."""
    names = get_locale().days["format"]["wide"]
    return [str(names[day]) for day in range(7)]


def hour_name(hour: int) -> str:
    """An hour of the day as a clock says it there: "10:00 AM"."""
    return format_time(time(hour), "short", locale=get_locale())


def hour_names() -> list[tuple[int, str]]:
    """The hours of a day."""
    return [(hour, hour_name(hour)) for hour in range(24)]


def trigger_key(trigger: str, thing_id: uuid.UUID | None) -> str:
    """How a form writes what brings people in: "signed:0193…", "signed" for any petition."""
    return f"{trigger}:{thing_id.hex}" if thing_id else str(trigger)


def trigger_choices(things: Things) -> Groups:
    """Everything that can bring people in, by what it is about."""

    def of(trigger: Trigger, found: dict[uuid.UUID, str], words: str) -> list[tuple[str, str]]:
        return [
            (trigger_key(trigger, key), words.replace("…", _("“%(name)s”", name=name)))
            for key, name in found.items()
        ]

    groups: Groups = {
        _("Petitions"): [
            (Trigger.SIGNED.value, _("signs any petition, and confirms it")),
            *of(Trigger.SIGNED, things.petitions, _("signs …, and confirms it")),
        ],
        _("Events"): [
            (Trigger.COMING.value, _("says they come to any event, or may come")),
            (Trigger.ATTENDED.value, _("signs in at any event")),
            (Trigger.MISSED.value, _("misses any event they said they come to")),
            *of(Trigger.COMING, things.events, _("says they come to …, or may come")),
            *of(Trigger.ATTENDED, things.events, _("signs in at …")),
            *of(Trigger.MISSED, things.events, _("misses …, having said they come")),
        ],
        _("Tags"): of(Trigger.TAGGED, things.tags, _("gets the tag …")),
        _("Lists"): of(Trigger.LISTED, things.lists, _("is put on the list …")),
        _("Consent"): [(Trigger.CONSENTED.value, _("agrees to email from you"))],
    }
    return {name: choices for name, choices in groups.items() if choices}


class LadderForm(SharedForm):
    """What a ladder is called, what brings people in, and whether they may come again."""

    name = text(_l("Name for your team"), required=_l("Give the ladder a name."), limit=120)
    trigger = SelectField(_l("It begins when somebody …"))
    may_repeat = tick(_l("Somebody may go through it again"))

    def __init__(
        self, things: Things, *args: Any, ladder: Ladder | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        groups = trigger_choices(things)
        keys = {key for choices in groups.values() for key, _words in choices}
        if ladder is not None:
            key = trigger_key(ladder.trigger, ladder.trigger_id)
            if key not in keys:
                groups[_("Not there any more")] = [(key, _("(no longer there)"))]
        self.trigger.choices = groups

    def details(self) -> LadderDetails:
        trigger, _dot, thing_id = (self.trigger.data or "").partition(":")
        return LadderDetails(
            name=self.name.data or "",
            trigger=Trigger(trigger),
            trigger_id=uuid.UUID(thing_id) if thing_id else None,
            may_repeat=bool(self.may_repeat.data),
        )


# --- steps -----------------------------------------------------------------------------------------


class Amount(IntegerField):
    """A whole number; what cannot be read as one is said in our words."""

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata([value.strip() for value in valuelist])
        except ValueError:
            raise ValueError(_("Write a whole number, like 2.")) from None


def how_many(label: Any, least: int) -> Amount:
    """So many hours or days."""
    limits = NumberRange(
        min=least, max=999, message=_l("Write a whole number from %(min)s to %(max)s.")
    )
    return Amount(
        label,
        validators=[InputRequired(_l("Write a whole number, like 2.")), limits],
        render_kw={"inputmode": "numeric", "type": "text", "size": "4"},
    )


class Chosen:
    """Validator: one of the things must be chosen."""

    def __call__(self, form: Any, field: Any) -> None:
        if not field.data:
            field.errors[:] = []
            raise StopValidation(_("Choose one."))


class StepForm(SharedForm):
    """What all steps share: they are made of what can be named, and give `Details`."""

    def offer(self, things: Things) -> None:
        """Fill in what there is to choose from."""

    def details(self) -> Details:
        return Details()


class WaitForm(StepForm):
    amount = how_many(_l("How long"), 1)
    unit = choice(_l("Hours or days"), UNITS, default=Unit.DAYS.value)

    def details(self) -> Details:
        return Details(amount=self.amount.data or 0, unit=Unit(self.unit.data))


class WaitDayForm(StepForm):
    weekday = SelectField(_l("Day of the week"), coerce=int, default=0)
    hour = SelectField(_l("Time"), coerce=int, default=10)

    def offer(self, things: Things) -> None:
        self.weekday.choices = list(enumerate(weekday_names()))
        self.hour.choices = hour_names()

    def details(self) -> Details:
        return Details(weekday=self.weekday.data, hour=self.hour.data)


class WaitEventForm(StepForm):
    amount = how_many(_l("How long"), 0)
    unit = choice(_l("Hours or days"), UNITS, default=Unit.DAYS.value)
    side = choice(
        _l("Before or after"),
        [
            (Side.BEFORE.value, _l("before it starts")),
            (Side.AFTER.value, _l("after it starts")),
        ],
        default=Side.BEFORE.value,
    )
    event_id = SelectField(_l("Event"))

    def offer(self, things: Things) -> None:
        self.event_id.choices = [
            ("", _("the event that brought them in")),
            *((key.hex, name) for key, name in things.events.items()),
        ]

    def details(self) -> Details:
        return Details(
            amount=self.amount.data or 0,
            unit=Unit(self.unit.data),
            side=Side(self.side.data),
            event_id=uuid.UUID(self.event_id.data) if self.event_id.data else None,
        )


class IfForm(StepForm):
    segment_id = SelectField(_l("Go on only if they are in the segment"), validators=[Chosen()])
    otherwise = choice(
        _l("Everybody else"),
        [
            (Otherwise.STOP.value, _l("stops here")),
            (Otherwise.SKIP.value, _l("skips the next step")),
        ],
        default=Otherwise.STOP.value,
    )

    def offer(self, things: Things) -> None:
        self.segment_id.choices = _named(things.segments)

    def details(self) -> Details:
        return Details(
            segment_id=uuid.UUID(self.segment_id.data), otherwise=Otherwise(self.otherwise.data)
        )


class SendForm(StepForm):
    subject_en = text(_l("Subject"), limit=200)
    subject_es = text(_l("Subject"), limit=200)
    preheader_en = text(_l("First line in the inbox"), limit=150)
    preheader_es = text(_l("First line in the inbox"), limit=150)
    body_en = area(_l("Text"), limit=BODY_LIMIT)
    body_es = area(_l("Text"), limit=BODY_LIMIT)

    def details(self) -> Details:
        return Details(
            subject=self.words("subject"),
            preheader=self.words("preheader"),
            body=self.words("body"),
        )


class TagForm(StepForm):
    tag = text(_l("Tag"), required=_l("A tag needs a name."), limit=80)


class ListForm(StepForm):
    list_id = SelectField(_l("List"), validators=[Chosen()])

    def offer(self, things: Things) -> None:
        self.list_id.choices = _named(things.lists)

    def details(self) -> Details:
        return Details(list_id=uuid.UUID(self.list_id.data))


class AskForm(Form):
    """Something to do about a person, by when and by whom."""

    text = area(_l("What to do"), required=_l("Please write what to do."), limit=500)
    due_on = day(_l("By when"), required=True)
    assignee = choice(_l("Who"), [], default="")

    @classmethod
    def of(cls, team: Sequence[User]) -> AskForm:
        form = cls()
        form.assignee.choices = [
            SelectChoice("", _l("anybody of the team")),
            *(SelectChoice(user.id.hex, user.name or user.email) for user in team),
        ]
        return form


class FollowUpForm(StepForm):
    text = area(_l("What there is to do"), required=_l("Write what there is to do."), limit=500)
    amount = how_many(_l("Due after so many days"), 0)

    def details(self) -> Details:
        return Details(text=self.text.data or "", amount=self.amount.data or 0)


class StopForm(StepForm):
    """Nothing more to say."""


def _named(found: dict[uuid.UUID, str]) -> list[tuple[str, str]]:
    return [("", _("Choose …")), *((key.hex, name) for key, name in found.items())]


FORMS: dict[StepKind, type[StepForm]] = {
    StepKind.WAIT: WaitForm,
    StepKind.WAIT_DAY: WaitDayForm,
    StepKind.WAIT_EVENT: WaitEventForm,
    StepKind.IF: IfForm,
    StepKind.SEND: SendForm,
    StepKind.TAG: TagForm,
    StepKind.LIST_ADD: ListForm,
    StepKind.LIST_REMOVE: ListForm,
    StepKind.FOLLOW_UP: FollowUpForm,
    StepKind.STOP: StopForm,
}


def values_of(kind: StepKind, details: Details, things: Things) -> dict[str, Any]:
    """What the form of a step shows of it."""
    if kind == StepKind.SEND:
        return spread(subject=details.subject, preheader=details.preheader, body=details.body)
    if kind == StepKind.TAG:
        return {"tag": things.tags.get(details.tag_id, "") if details.tag_id else ""}
    values = {name: getattr(details, name) for name in rules.FIELDS[kind]}
    return {
        name: (value.hex if isinstance(value, uuid.UUID) else "" if value is None else value)
        for name, value in values.items()
    }
