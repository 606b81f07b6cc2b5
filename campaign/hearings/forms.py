"""Forms: asking to speak and drafting in public; the body's rules and the speakers in the console."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any, Self

from babel.dates import get_day_names
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from campaign.errors import Invalid
from campaign.events.models import Event, Occurrence
from campaign.events.recurrence import offset_words, parse_offset
from campaign.events.services import RsvpDetails
from campaign.hearings import rules, writing
from campaign.hearings.models import Hearing, HearingTask, Testimony, Way
from campaign.hearings.rules import TaskDetails
from campaign.hearings.services import HearingDetails, TestimonyDetails
from campaign.people.door import PhoneNumber, PostalCode
from campaign.web.fields import NoHostileText, area, choice, clean, count, email, text, tick
from campaign.web.forms import Form, SharedForm, TwoLanguages, spread
from campaign.web.languages import known, language

TOPIC_LIMIT = 150
DAYS_BEFORE = range(8)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"(\d{1,2})[:.h](\d{2})")


def ways(label: Any, **options: Any) -> SelectMultipleField:
    """Boxes for the ways to testify."""
    return SelectMultipleField(
        label,
        choices=[SelectChoice(way.value, rules.WAY_NAMES[way]) for way in Way],
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
        **options,
    )


# --- a speaker ---------------------------------------------------------------------------------


class SpeakForm(Form):
    """What somebody says about their testimony."""

    way = RadioField(_l("How do you want to take part?"), choices=[])
    spoken = choice(_l("Language you speak in"), lambda: list(writing.language_names().items()))
    topic = text(
        _l("What you want to speak about"),
        limit=TOPIC_LIMIT,
        description=_l(
            "A few words. The organizers see them, to put the speakers in a good order."
        ),
    )
    wants_reader = tick(
        _l("If I cannot speak, somebody else may read my words"),
        description=_l("That person sees your draft. Nobody else does, not the organizers either."),
    )
    offers_to_read = tick(_l("I can read out the words of somebody who cannot speak"))

    @classmethod
    def of(cls, hearing: Hearing, testimony: Testimony | None = None, **values: Any) -> Self:
        """The form of a hearing, filled with what somebody said before."""
        given = values.pop("data", None) or {
            "way": testimony.way if testimony else (hearing.ways or [Way.IN_PERSON])[0],
            "spoken": testimony.language if testimony else language(),
            "topic": testimony.topic if testimony else "",
            "wants_reader": testimony.wants_reader if testimony else False,
            "offers_to_read": testimony.offers_to_read if testimony else False,
        }
        form = cls(data=given, **values)
        form.offer_ways(hearing)
        return form

    def offer_ways(self, hearing: Hearing) -> None:
        self.way.choices = [SelectChoice(way, rules.WAY_NAMES[way]) for way in hearing.ways]

    def validate_way(self, field: Any) -> None:
        if field.data not in [one.value for one in field.choices]:
            field.errors = []
            raise ValidationError(_("Please choose one of these."))

    def testimony(self) -> TestimonyDetails:
        """What was said, for the service."""
        return TestimonyDetails(
            way=self.way.data,
            language=self.spoken.data,
            topic=self.topic.data or "",
            wants_reader=self.wants_reader.data,
            offers_to_read=self.offers_to_read.data,
        )


class DraftForm(Form):
    """The words themselves."""

    draft = area(_l("Your words"), limit=rules.DRAFT_LIMIT, render_kw={"rows": "16"})


# --- the console -------------------------------------------------------------------------------


OF_THEM = {
    "way": _l("How they take part"),
    "topic": _l("What they speak about"),
    "spoken": _l("Language they speak in"),
    "wants_reader": _l("If they cannot speak, somebody else may read their words"),
    "offers_to_read": _l("They can read out the words of somebody who cannot speak"),
}
"""What the fields are called where an organizer writes about somebody else."""


class SpeakerForm(SpeakForm):
    """A speaker as an organizer writes them down."""

    minutes = count(_l("Minutes"))

    def validate_minutes(self, field: Any) -> None:
        _check_range(field, 1, rules.MOST_MINUTES)

    def testimony(self) -> TestimonyDetails:
        return TestimonyDetails(
            way=self.way.data,
            language=self.spoken.data,
            topic=self.topic.data or "",
            wants_reader=self.wants_reader.data,
            offers_to_read=self.offers_to_read.data,
            minutes=self.minutes.data,
        )

    @classmethod
    def of(cls, hearing: Hearing, testimony: Testimony | None = None, **values: Any) -> Self:
        form = super().of(hearing, testimony, **values)
        for name, label in OF_THEM.items():
            form[name].label.text = label
        form.wants_reader.description = _("That person sees the draft. You do not.")
        if form.minutes.data is None and not form.minutes.raw_data:
            form.minutes.data = testimony.minutes if testimony else hearing.minutes_each
        return form


class NewSpeakerForm(SpeakerForm):
    """Somebody an organizer puts on the list by hand."""

    first_name = text(_l("First name"), required=_l("Please write a first name."), limit=100)
    last_name = text(_l("Last name"), limit=100)
    email = email(_l("Email"))
    phone = text(_l("Phone"), limit=40, validators=(PhoneNumber(),))
    postal_code = text(_l("ZIP code"), limit=20, validators=(PostalCode(),))

    def person(self) -> RsvpDetails:
        """Who it is, for the service."""
        return RsvpDetails(
            first_name=self.first_name.data,
            last_name=self.last_name.data or "",
            email=self.email.data or "",
            phone=self.phone.data or "",
            postal_code=self.postal_code.data or "",
            language=known(self.spoken.data) or language(),
            channel="console",
        )


def _check_range(field: Any, least: int, most: int) -> None:
    if field.data is None or not least <= field.data <= most:
        raise ValidationError(
            _("Write a number from %(least)d to %(most)d.", least=least, most=most)
        )


class HearingForm(SharedForm):
    """What an organizer writes about the testimony of an event."""

    body_en = text(_l("Before whom"), limit=150)
    body_es = text(_l("Before whom"), limit=150)
    rules_note_en = area(_l("What speakers should know"), limit=5000)
    rules_note_es = area(_l("What speakers should know"), limit=5000)
    slot_count = count(_l("How many may speak"))
    minutes_each = count(_l("Minutes for each"))
    most_pages = count(_l("Pages of a written statement, at most"))
    ways = ways(_l("Ways to take part"))
    practice = choice(_l("Practice session"), [], default="")
    template = RadioField(
        _l("Begin with the rules of"),
        choices=[
            SelectChoice("chicago", _l("Chicago City Council")),
            SelectChoice("", _l("No rules: I write my own")),
        ],
        default="chicago",
    )

    @classmethod
    def of(
        cls, hearing: Hearing | None, practice_events: Sequence[Event], **values: Any
    ) -> HearingForm:
        """The form of a hearing; a new one has a template to choose."""
        form = cls(data=values_of(hearing), **values)
        here = language()
        form.practice.choices = [
            SelectChoice("", _l("None")),
            *(SelectChoice(row.id.hex, row.title.get_for(here)) for row in practice_events),
        ]
        if hearing is not None:
            del form.template
        return form

    def validate_slot_count(self, field: Any) -> None:
        if field.data is not None:
            _check_range(field, 0, rules.MOST_SLOTS)

    def validate_minutes_each(self, field: Any) -> None:
        _check_range(field, 1, rules.MOST_MINUTES)

    def validate_most_pages(self, field: Any) -> None:
        _check_range(field, 1, 100)

    def validate_ways(self, field: Any) -> None:
        if not field.data and not field.errors:
            raise ValidationError(_("Choose at least one."))

    def validate(self, extra_validators: Any = None) -> bool:
        fine = bool(super().validate(extra_validators))
        for field in (self.minutes_each, self.most_pages):
            if field.data is None and not field.errors:
                self.add_error(field.name, _("Please fill this in."))
                fine = False
        message = _("Write before whom, in at least one language.")
        return self.require_one("body", message) and fine

    def details(self, *, is_open: bool) -> HearingDetails:
        """What was written, for the service."""
        return HearingDetails(
            body=self.words("body"),
            rules_note=self.words("rules_note"),
            is_open=is_open,
            slot_count=self.slot_count.data,
            minutes_each=self.minutes_each.data,
            most_pages=self.most_pages.data,
            ways=tuple(self.ways.data),
            practice_event_id=uuid.UUID(self.practice.data) if self.practice.data else None,
        )


def values_of(hearing: Hearing | None) -> dict[str, Any]:
    if hearing is None:
        return {"minutes_each": 3, "most_pages": 2, "ways": list(Way), "template": "chicago"}
    practice = hearing.practice_event_id
    return {
        **spread(body=hearing.body, rules_note=hearing.rules_note),
        "slot_count": hearing.slot_count,
        "minutes_each": hearing.minutes_each,
        "most_pages": hearing.most_pages,
        "ways": list(hearing.ways),
        "practice": practice.hex if practice else "",
    }


# --- a task and its times ----------------------------------------------------------------------


def days() -> list[tuple[str, Any]]:
    """The days a task can be told from, in words."""
    names = get_day_names("wide", locale=get_locale() or "en")
    before = [(f"{n}d", _("%(days)s days before", days=n)) for n in DAYS_BEFORE]
    before[0] = ("0d", _("the day of the hearing"))
    before[1] = ("1d", _("the day before"))
    week = [(key, _("%(day)s of that week", day=names[n])) for n, key in enumerate(WEEKDAYS)]
    return [("", _("no time")), *before, *week]


def at_day(label: Any) -> Any:
    """The day of a task's time."""
    return choice(label, [], default="")


def at_time(label: Any) -> StringField:
    """A time of the clock on the wall."""
    return StringField(
        label,
        filters=[clean],
        validators=[Optional(), NoHostileText()],
        render_kw={"type": "time", "maxlength": "8"},
    )


class TaskForm(TwoLanguages):
    """A rule of the body as something to do."""

    title_en = text(_l("What to do"), limit=150)
    title_es = text(_l("What to do"), limit=150)
    text_en = area(_l("How"), limit=2000)
    text_es = area(_l("How"), limit=2000)
    opens_day = at_day(_l("From: day"))
    opens_time = at_time(_l("From: time"))
    closes_day = at_day(_l("Until: day"))
    closes_time = at_time(_l("Until: time"))
    first_day = at_day(_l("First reminder: day"))
    first_time = at_time(_l("First reminder: time"))
    second_day = at_day(_l("Second reminder: day"))
    second_time = at_time(_l("Second reminder: time"))
    third_day = at_day(_l("Third reminder: day"))
    third_time = at_time(_l("Third reminder: time"))
    ways = ways(_l("Whom it concerns"))

    TIMES = ("opens", "closes", "first", "second", "third")

    @classmethod
    def of(cls, task: HearingTask | None, occurrence: Occurrence | None, **values: Any) -> TaskForm:
        """The form of a task; times in minutes, which only programs write, stay as they are."""
        form = cls(data=_task_values(task), **values)
        form.occurrence = occurrence
        for name in cls.TIMES:
            field = form[f"{name}_day"]
            kept = field.object_data or ""
            extra = [(kept, offset_words(kept))] if kept.endswith("m") else []
            field.choices = [SelectChoice(*pair) for pair in [*days(), *extra]]
        return form

    def offset(self, name: str) -> str:
        """The offset of a pair of fields, "" for none. Raises Invalid at the time."""
        day, time = self[f"{name}_day"].data or "", self[f"{name}_time"].data or ""
        if not day or day.endswith("m"):
            return day
        found = _TIME.match(time)
        if found is None:
            raise Invalid(_("Write a time, like 08:00."), field=f"{name}_time")
        text = f"{day}@{int(found[1]):02}:{found[2]}"
        try:
            parse_offset(text)
        except Invalid:
            raise Invalid(_("Write a time, like 08:00."), field=f"{name}_time") from None
        return text

    def validate_ways(self, field: Any) -> None:
        if not field.data and not field.errors:
            raise ValidationError(_("Choose at least one."))

    def validate(self, extra_validators: Any = None) -> bool:
        fine = bool(super().validate(extra_validators))
        fine = self.require_one("title", _("Write it in at least one language.")) and fine
        for name in self.TIMES:
            try:
                self.offset(name)
            except Invalid as error:
                self.add_error(error.field, error.message)
                fine = False
        return fine and self._closes_after_it_opens()

    def _closes_after_it_opens(self) -> bool:
        opens, closes = self.offset("opens"), self.offset("closes")
        if self.occurrence is None or not opens or not closes:
            return True
        if rules.due_at(opens, self.occurrence) < rules.due_at(closes, self.occurrence):
            return True
        self.add_error("closes_time", _("For this hearing it would end before it begins."))
        return False

    def details(self) -> TaskDetails:
        """What was written, for the service."""
        reminders = (self.offset(name) for name in self.TIMES[2:])
        return TaskDetails(
            title=self.words("title"),
            text=self.words("text"),
            opens=self.offset("opens"),
            closes=self.offset("closes"),
            reminders=tuple(one for one in reminders if one),
            ways=tuple(self.ways.data),
        )


def _task_values(task: HearingTask | None) -> dict[str, Any]:
    if task is None:
        return {"ways": list(Way)}
    reminders = [*task.reminders, "", "", ""]
    offsets = dict(zip(TaskForm.TIMES, (task.opens, task.closes, *reminders), strict=False))
    values: dict[str, Any] = {
        **spread(title=task.title, text=task.text),
        "ways": list(task.ways),
    }
    for name, offset in offsets.items():
        values[f"{name}_day"], _at, values[f"{name}_time"] = offset.partition("@")
    return values
