"""The forms with which events are written: in the console, and by volunteers who propose one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any

from babel import Locale
from babel.dates import get_day_names
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateTimeLocalField, RadioField, SelectMultipleField, TimeField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional, StopValidation, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from campaign import clock
from campaign.campaigns.models import Campaign, Clinic, Partnership
from campaign.db import Words
from campaign.events.models import (
    DEFAULT_REMINDERS,
    Access,
    AddressVisibility,
    Event,
    EventKind,
    Need,
    Occurrence,
    Shift,
    ShiftRole,
)
from campaign.events.recurrence import (
    MOST_DAYS_BEFORE,
    ORDINALS,
    WEEKDAYS,
    Frequency,
    Rule,
    all_zones,
    ordinal_word,
    parse,
    parse_offset,
    read_wall,
    resolve,
)
from campaign.events.scheduling import EventDetails, OccurrenceDetails, ShiftDetails
from campaign.events.words import ACCESS_NAMES, KIND_NAMES, NEED_NAMES, ROLE_NAMES
from campaign.fields.forms import chooser, offer
from campaign.fields.models import CustomField
from campaign.web.fields import (
    EARLIEST,
    LATEST,
    RequiredOnce,
    area,
    choice,
    day,
    email,
    text,
    tick,
)
from campaign.web.fields import count as whole
from campaign.web.forms import Form, SharedForm, TwoLanguages, spread
from campaign.web.languages import LANGUAGES, language

USUAL_MINUTES = 90
A_DAY = 24 * 60
DAY_ROWS = HOUR_ROWS = 3
SPOKEN = ("en", "es", "pl", "zh", "tl", "ar", "uk", "vi", "ko", "fr", "hi", "ur")
NEAR_ZONES = (
    *("America/Chicago", "America/New_York", "America/Denver", "America/Phoenix"),
    *("America/Los_Angeles", "America/Anchorage", "Pacific/Honolulu", "America/Puerto_Rico"),
)
TEXTS = (
    *("title", "summary", "text", "thanks", "own_wording", "directions", "access_note", "briefing"),
)
PLAIN = (
    *("slug", "zone", "is_all_day", "is_online", "online_url", "venue", "address", "city"),
    *("postal_code", "address_visibility", "languages", "access", "capacity"),
    *("has_waiting_list", "most_guests", "needs_asked", "asks_company", "asks_phone", "field_ids"),
    *("shows_count", "asks_after", "contact_name", "contact_email", "contact_phone", "kind"),
)
_URL = re.compile(r"https?://[^\s<>\"']+")
_HOURS = re.compile(r"\d{1,4}(?:[.,]\d{1,2})?", re.ASCII)


class Wall(DateTimeLocalField):
    """A day and a time as the clock on the wall shows them; an offset is no part of it."""

    data: Any  # a naive datetime, or None

    def process_formdata(self, valuelist: list[str]) -> None:
        if not "".join(valuelist).strip():
            self.data = None
            return
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(_("Write the day and the time like 2026-12-01 18:00.")) from None
        if self.data is not None and not EARLIEST <= self.data.date() <= LATEST:
            self.data = None
            raise ValueError(_("This day is too far away. Please check the year."))


class Clock(TimeField):
    """A time of the day."""

    def process_formdata(self, valuelist: list[str]) -> None:
        if not "".join(valuelist).strip():
            self.data = None
            return
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError(_("Write the time like 18:00.")) from None


class RequiredUnlessWrong(RequiredOnce):
    """What was typed and not understood has its own message already."""

    def __call__(self, form: Any, field: Any) -> None:
        if field.process_errors:
            raise StopValidation
        super().__call__(form, field)


def wall(label: Any, *, required: Any = False, **options: Any) -> Wall:
    return Wall(
        label,
        format=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        validators=[RequiredUnlessWrong(required) if required else Optional()],
        **options,
    )


def several(label: Any, choices: Any, **options: Any) -> SelectMultipleField:
    """Any number of a list, as boxes to tick. `choices` are pairs, or a function of none."""
    return SelectMultipleField(
        label,
        choices=lambda: [
            SelectChoice(str(value), name)
            for value, name in (choices() if callable(choices) else choices)
        ],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
        **options,
    )


def _weekdays() -> list[tuple[str, str]]:
    names = get_day_names("wide", locale=get_locale() or "en")
    return [(code, names[number].capitalize()) for number, code in enumerate(WEEKDAYS)]


def _spoken() -> list[tuple[str, str]]:
    here = Locale.parse(language())
    return [(code, here.languages[code].capitalize()) for code in SPOKEN]


def _zones() -> dict[str, list[tuple[str, str]]]:
    near = [(name, name.replace("_", " ")) for name in NEAR_ZONES]
    rest = sorted(name for name in all_zones() if "/" in name and not name.startswith("Etc/"))
    return {
        str(_("Common")): near,
        str(_("All")): [(name, name.replace("_", " ")) for name in (*rest, "UTC")],
    }


def _names(names: dict[str, Any], known: Any) -> list[tuple[str, Any]]:
    return [(one.value, names[one]) for one in known]


class HasLink:
    """A whole web address."""

    def __call__(self, form: Form, field: Any) -> None:
        if field.data and not _URL.fullmatch(field.data):
            raise ValidationError(_("Write a whole address that begins with https://."))


def link(label: Any) -> Any:
    return text(
        label,
        limit=300,
        validators=(HasLink(),),
        render_kw={"type": "url", "placeholder": "https://", "inputmode": "url"},
    )


# --- an event ----------------------------------------------------------------------------------


class EventForm(SharedForm):
    """All that can be said about an event. Only a title and a time are needed."""

    kept: list[str]

    title_en = text(_l("Title"), limit=150)
    title_es = text(_l("Title"), limit=150)
    kind = choice(_l("What it is"), _names(KIND_NAMES, EventKind), default=EventKind.MEETING)
    campaign = choice(_l("Campaign"), [])
    clinic = choice(_l("Clinic"), [], default="")
    starts = wall(_l("Begins"), required=_l("Say when it begins."))
    ends = wall(_l("Ends"))
    is_all_day = tick(_l("The whole day"))
    zone = choice(_l("Time zone"), [], validate_choice=False)
    is_online = tick(_l("It is online"))
    online_url = link(_l("Link to join"))
    venue = text(_l("Place"), limit=200)
    address = text(_l("Street and number"), limit=200)
    city = text(_l("City"), limit=200)
    postal_code = text(_l("ZIP code"), limit=20, render_kw={"autocomplete": "off"})

    slug = text(
        _l("Address of the page"),
        limit=80,
        description=_l("Small letters, digits and hyphens. Leave it empty and we suggest one."),
        render_kw={"autocapitalize": "none", "spellcheck": "false"},
    )
    summary_en = area(_l("In two sentences"), limit=500)
    summary_es = area(_l("In two sentences"), limit=500)
    text_en = area(_l("What happens there"))
    text_es = area(_l("What happens there"))
    thanks_en = area(_l("Thank-you"), limit=2000)
    thanks_es = area(_l("Thank-you"), limit=2000)
    own_wording_en = text(_l("Your own consent box"), limit=500)
    own_wording_es = text(_l("Your own consent box"), limit=500)

    repeats = RadioField(
        _l("Repeats"),
        choices=[
            SelectChoice("", _l("No, it is one event")),
            SelectChoice(Frequency.WEEKLY.value, _l("Every week, or every few weeks")),
            SelectChoice(Frequency.MONTHLY.value, _l("Every month, on a weekday of it")),
            SelectChoice(Frequency.DATES.value, _l("On dates I write down")),
        ],
        default="",
        validators=[Optional()],
        validate_choice=True,
    )
    interval = whole(_l("Every how many weeks or months"), default=1)
    weekdays = several(_l("On these days"), _weekdays)
    nth = choice(
        _l("Which of the month"),
        lambda: [(str(one), ordinal_word(one).capitalize()) for one in ORDINALS],
        default="1",
    )
    nth_day = choice(_l("Weekday"), _weekdays, default="MO")
    until = day(_l("Last day"))
    count = whole(_l("Or: how many dates"))
    dates = area(_l("Further dates"), limit=12_000, render_kw={"rows": 5})

    address_visibility = choice(
        _l("Who sees the street and the link"),
        [
            (AddressVisibility.ALL, _l("Everybody")),
            (AddressVisibility.COMING, _l("Only people who said they come, by email")),
        ],
        default=AddressVisibility.ALL,
    )
    directions_en = area(_l("How to get there"), limit=2000)
    directions_es = area(_l("How to get there"), limit=2000)
    languages = several(_l("Languages spoken there"), _spoken)
    access = several(_l("Access"), _names(ACCESS_NAMES, Access))
    access_note_en = area(_l("More about access"), limit=1000)
    access_note_es = area(_l("More about access"), limit=1000)

    capacity = whole(_l("Room for how many"))
    has_waiting_list = tick(_l("Let people wait in line when it is full"))
    most_guests = whole(_l("Most guests somebody may bring"))
    needs_asked = several(_l("Ask what people need"), _names(NEED_NAMES, Need))
    asks_company = tick(_l("Offer company on the way (buddies)"))
    asks_phone = tick(_l("Ask for a phone number"))
    field_ids = chooser(_l("Ask for your own fields, too"))
    shows_count = tick(_l("Show on the page how many come"))

    asks_after = tick(_l("Ask afterwards: did you come?"))
    contact_name = text(_l("Whom to ask"), limit=200)
    contact_email = email(_l("Email for questions"))
    contact_phone = text(_l("Phone for questions"), limit=40, render_kw={"type": "tel"})
    briefing_en = area(_l("Briefing of a sit-in"))
    briefing_es = area(_l("Briefing of a sit-in"))

    @classmethod
    def of(
        cls,
        campaigns: Sequence[Campaign],
        clinics: Sequence[Clinic],
        fields: Sequence[CustomField] = (),
        *,
        kept: Sequence[str] = (),
        **values: Any,
    ) -> EventForm:
        """The form with an organization's campaigns, clinics and fields to choose from.

        `kept` are the event's present reminders: those that no field can say stay as they are.
        """
        form = cls(**values)
        offer(form.field_ids, fields)
        here = language()
        form.campaign.choices = [
            SelectChoice(row.id.hex, row.title.get_for(here)) for row in campaigns
        ]
        form.clinic.choices = [
            SelectChoice("", _l("The whole campaign")),
            *(SelectChoice(row.id.hex, row.name) for row in clinics),
        ]
        form.zone.choices = _zones()
        if form.campaign.data is None and campaigns:
            form.campaign.data = campaigns[0].id.hex
        form.kept = [offset for offset in kept if offset not in _sayable(kept)]
        return form

    def validate_postal_code(self, field: Any) -> None:
        if field.data and not any(letter.isalnum() for letter in field.data):
            raise ValidationError(_("This does not look like a ZIP code. It should be like 60637."))

    def validate_zone(self, field: Any) -> None:
        if field.data not in all_zones():
            raise ValidationError(_("We know no such time zone. Choose one like America/Chicago."))

    def validate_slug(self, field: Any) -> None:
        if field.data and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", field.data):
            raise ValidationError(
                _("Use small letters, digits and hyphens, like vigil-at-woodlawn.")
            )

    def validate(self, extra_validators: Any = None) -> bool:
        fine = bool(super().validate(extra_validators))
        fine = self._reminders_are_whole() and fine
        return self.require_one("title", _("Write a title in at least one language.")) and fine

    def add_error(self, field: str, message: str) -> None:
        super().add_error("days_0" if field == "reminders" else field, message)

    def _reminders_are_whole(self) -> bool:
        fine = True
        for row in range(DAY_ROWS):
            days, at = self[f"days_{row}"], self[f"time_{row}"]
            if days.errors or at.errors:
                continue
            if days.data is not None and at.data is None:
                self.add_error(at.name, _("Write the time too, like 11:00."))
                fine = False
            elif days.data is None and at.data is not None:
                self.add_error(days.name, _("Write how many days before, or clear the time."))
                fine = False
            elif days.data is not None and days.data > MOST_DAYS_BEFORE:
                most = _("A reminder can be at most %(days)s days before.", days=MOST_DAYS_BEFORE)
                self.add_error(days.name, most)
                fine = False
            elif days.data == 0 and self.starts.data and at.data > self._begins_at():
                self.add_error(at.name, _("A reminder would come after the start."))
                fine = False
        return fine

    def _begins_at(self) -> time:
        return time() if self.is_all_day.data else self.starts.data.time()

    def reminders(self) -> list[str]:
        """The offsets of all rows that are filled in, and those that no row can say."""
        found = []
        for row in range(DAY_ROWS):
            days, at = self[f"days_{row}"].data, self[f"time_{row}"].data
            if days is not None and at is not None:
                found.append(f"{days}d@{at:%H:%M}")
        for row in range(HOUR_ROWS):
            hours = self[f"hours_{row}"].data
            if hours:
                found.append(f"{round(float(hours.replace(',', '.')) * 60)}m")
        return [*found, *self.kept]

    def rule(self) -> Rule | None:
        """How it repeats. Raises Invalid at the field of it that cannot be taken."""
        if not self.repeats.data:
            return None
        data: dict[str, Any] = {"frequency": self.repeats.data}
        if self.repeats.data == Frequency.DATES:
            data["dates"] = (self.dates.data or "").split("\n")
            data["dates"] = [line.strip() for line in data["dates"] if line.strip()]
            return parse(data)
        data["interval"] = 1 if self.interval.data is None else self.interval.data
        data["weekdays"] = self.weekdays.data or []
        if self.repeats.data == Frequency.MONTHLY:
            data["weekdays"] = [self.nth_day.data]
            data["ordinal"] = int(self.nth.data)
        data["until"] = self.until.data.isoformat() if self.until.data else None
        data["count"] = self.count.data
        return parse(data)

    def details(self) -> EventDetails:
        """What was written, for the service. Raises Invalid at the rule's fields."""
        starts, minutes = length(
            self.starts.data, self.ends.data, self.zone.data, all_day=self.is_all_day.data
        )
        return EventDetails(
            campaign_id=uuid.UUID(self.campaign.data),
            clinic_id=uuid.UUID(self.clinic.data) if self.clinic.data else None,
            starts=starts,
            duration_minutes=minutes,
            rule=self.rule(),
            reminders=self.reminders(),
            **self._plain(),
        )

    def _plain(self) -> dict[str, Any]:
        """What is taken as it was typed: a field left empty is "", but for a number."""
        plain = {name: self[name].data for name in PLAIN}
        numbers = {"capacity": plain["capacity"], "most_guests": plain["most_guests"] or 0}
        plain |= {name: "" for name, value in plain.items() if value is None} | numbers
        return plain | {name: self.words(name) for name in TEXTS}


for _row in range(DAY_ROWS):
    setattr(EventForm, f"days_{_row}", whole(_l("Days before")))
    setattr(
        EventForm,
        f"time_{_row}",
        Clock(_l("At"), format=["%H:%M", "%H:%M:%S"], validators=[Optional()]),
    )


class IsHours:
    """Hours before the start: a number, halves too, up to sixty days."""

    def __call__(self, form: Form, field: Any) -> None:
        if not field.data:
            return
        if not _HOURS.fullmatch(field.data) or not 0 < float(field.data.replace(",", ".")) <= 1440:
            raise ValidationError(_("Write hours as a number, like 3 or 1.5."))


for _row in range(HOUR_ROWS):
    setattr(
        EventForm,
        f"hours_{_row}",
        text(
            _l("Hours before"), limit=7, validators=(IsHours(),), render_kw={"inputmode": "decimal"}
        ),
    )


def length(
    starts: datetime, ends: datetime | None, zone: str, *, all_day: bool
) -> tuple[datetime, int]:
    """Where an event begins and for how many minutes it lasts.

    Without an end it is an hour and a half; a whole day is counted in days, whatever the hours.
    """
    if all_day:
        first = datetime.combine(starts.date(), time())
        last = (ends or starts).date()
        return first, ((last - starts.date()).days + 1) * A_DAY
    if ends is None:
        return starts, USUAL_MINUTES
    between = resolve(ends, zone).at - resolve(starts, zone).at
    return starts, int(between.total_seconds() // 60)


def values_of(event: Event) -> dict[str, Any]:
    """An event as the form shows it."""
    starts = read_wall(event.starts_wall)
    values: dict[str, Any] = spread(**{name: getattr(event, name) for name in TEXTS})
    values |= {name: getattr(event, name) for name in PLAIN}
    values |= {
        "campaign": event.campaign_id.hex,
        "clinic": event.clinic_id.hex if event.clinic_id else "",
        "starts": starts,
        "ends": end_wall(starts, event.duration_minutes, event.zone, all_day=event.is_all_day),
    }
    values |= reminder_values(event.reminders)
    values |= _rule_values(parse(event.recurrence)) if event.recurrence else {"repeats": ""}
    return values


def end_wall(starts: datetime, minutes: int, zone: str, *, all_day: bool) -> datetime:
    """What the clock shows at the end; of whole days, the last one."""
    if all_day:
        return starts + timedelta(minutes=minutes - A_DAY)
    end = resolve(starts, zone).at + timedelta(minutes=minutes)
    return end.astimezone(clock.zone(zone)).replace(tzinfo=None, fold=0)


def _rule_values(rule: Rule) -> dict[str, Any]:
    codes = [WEEKDAYS[number] for number in rule.weekdays]
    return {
        "repeats": rule.frequency.value,
        "interval": rule.interval,
        "weekdays": codes,
        "nth": str(rule.ordinal),
        "nth_day": codes[0] if codes else "MO",
        "until": rule.until,
        "count": rule.count,
        "dates": "\n".join(one.replace("T", " ") for one in rule.dates),
    }


def _sayable(offsets: Sequence[str]) -> list[str]:
    """The offsets that the form has rows for."""
    days = [one for one in offsets if parse_offset(one).days is not None]
    hours = [one for one in offsets if parse_offset(one).minutes]
    return [*days[:DAY_ROWS], *hours[:HOUR_ROWS]]


def reminder_values(offsets: Sequence[str]) -> dict[str, Any]:
    """Reminders as the rows show them, the empty rows among them."""
    values: dict[str, Any] = {f"hours_{row}": "" for row in range(HOUR_ROWS)}
    for row in range(DAY_ROWS):
        values |= {f"days_{row}": None, f"time_{row}": None}
    days = hours = 0
    for offset in _sayable(offsets):
        told = parse_offset(offset)
        if told.days is not None:
            values |= {f"days_{days}": told.days, f"time_{days}": told.at}
            days += 1
        elif told.minutes:
            values[f"hours_{hours}"] = f"{told.minutes / 60:.2f}".rstrip("0").rstrip(".")
            hours += 1
    return values


def new_values(now: datetime, zone: str, campaign: str | None) -> dict[str, Any]:
    """What a new event begins with: in a week at six, the usual reminders and questions."""
    begins = datetime.combine(now.date() + timedelta(days=7), time(18))
    return {
        "campaign": campaign,
        "starts": begins,
        "ends": begins + timedelta(minutes=USUAL_MINUTES),
        "zone": zone,
        "most_guests": 5,
        "has_waiting_list": True,
        "shows_count": True,
        "asks_after": True,
        **reminder_values(DEFAULT_REMINDERS),
    }


# --- one date, shifts, hosts -------------------------------------------------------------------


class DateForm(SharedForm):
    """What one date of a series has of its own."""

    starts = wall(_l("Begins"), required=_l("Say when it begins."))
    ends = wall(_l("Ends"))
    venue = text(_l("Place"), limit=200)
    address = text(_l("Street and number"), limit=200)
    online_url = link(_l("Link to join"))
    capacity = whole(_l("Room for how many"))
    note_en = area(_l("A note for this date"), limit=1000)
    note_es = area(_l("A note for this date"), limit=1000)

    def details(self, event: Event) -> OccurrenceDetails:
        starts, minutes = length(
            self.starts.data, self.ends.data, event.zone, all_day=event.is_all_day
        )
        return OccurrenceDetails(
            starts=starts,
            duration_minutes=minutes,
            venue=self.venue.data or None,
            address=self.address.data or None,
            online_url=self.online_url.data or None,
            capacity=self.capacity.data,
            note=self.words("note"),
        )


def date_values(row: Occurrence) -> dict[str, Any]:
    """One date as the form shows it; a place that is the event's stays empty."""
    starts = read_wall(row.starts_wall)
    zone, all_day = row.event.zone, row.event.is_all_day
    return {
        "starts": starts,
        "ends": end_wall(starts, row.duration_minutes, zone, all_day=all_day),
        "venue": row.venue or "",
        "address": row.address or "",
        "online_url": row.online_url or "",
        "capacity": row.capacity,
        **spread(note=row.note),
    }


class NoteForm(TwoLanguages):
    """Why something does not take place, in the words people get."""

    note_en = area(_l("What people should know"), limit=1000)
    note_es = area(_l("What people should know"), limit=1000)


class ShiftForm(SharedForm):
    """A part of an event that people sign up for."""

    role = choice(_l("Role"), _names(ROLE_NAMES, ShiftRole), default=ShiftRole.ANYBODY)
    name_en = text(_l("What it is called"), limit=100)
    name_es = text(_l("What it is called"), limit=100)
    starts_after = whole(_l("Begins how many minutes after the start"), default=0)
    minutes = whole(_l("How many minutes it lasts"))
    capacity = whole(_l("Room for how many"))

    def details(self) -> ShiftDetails:
        return ShiftDetails(
            role=self.role.data,
            name=self.words("name"),
            starts_after_minutes=self.starts_after.data or 0,
            duration_minutes=self.minutes.data,
            capacity=self.capacity.data,
        )


def shift_values(shift: Shift) -> dict[str, Any]:
    return {
        "role": shift.role,
        "starts_after": shift.starts_after_minutes,
        "minutes": shift.duration_minutes,
        "capacity": shift.capacity,
        **spread(name=shift.name),
    }


class PartnerHostForm(Form):
    """An organization of the campaign that invites along."""

    partner = choice(_l("Organization"), [])

    @classmethod
    def of(cls, partners: Sequence[Partnership], **values: Any) -> PartnerHostForm:
        form = cls(**values)
        form.partner.choices = [
            SelectChoice(row.partner_id.hex, row.partner.name) for row in partners
        ]
        return form


class VolunteerHostForm(Form):
    """A volunteer who invites along."""

    name = text(_l("Name"), required=_l("Write a name."), limit=100)
    email = email(_l("Email"), required=_l("Write an email address."))
    language = choice(_l("Language"), lambda: list(LANGUAGES.items()), default="en")


class DeclineForm(Form):
    """A word to the volunteer whose proposal is declined."""

    word = area(_l("A word to them"), limit=2000)


# --- proposing ---------------------------------------------------------------------------------


class ProposeForm(Form):
    """What a volunteer proposes. An organizer completes the rest."""

    campaign = choice(_l("For which campaign"), [])
    title = text(_l("What is it called?"), required=_l("Give it a name."), limit=150)
    kind = choice(_l("What is it?"), _names(KIND_NAMES, EventKind), default=EventKind.MEETING)
    about = area(_l("What happens there?"), limit=5000, render_kw={"rows": 4})
    starts = wall(_l("When does it begin?"), required=_l("Say when it begins."))
    ends = wall(_l("When does it end?"))
    venue = text(_l("Where?"), required=_l("Say where it is, or write “online”."), limit=200)
    address = text(_l("Street and number"), limit=200)
    city = text(_l("City"), limit=200)
    postal_code = text(_l("ZIP code"), limit=20)
    name = text(
        _l("Your name"),
        required=_l("Please write your name."),
        limit=100,
        render_kw={"autocomplete": "name"},
    )
    email = email(_l("Your email"), required=_l("Please write your email address."))
    phone = text(_l("Your phone"), limit=40, render_kw={"type": "tel", "autocomplete": "tel"})

    @classmethod
    def of(cls, campaigns: Sequence[Campaign], **values: Any) -> ProposeForm:
        form = cls(**values)
        here = language()
        form.campaign.choices = [
            SelectChoice(row.slug, row.title.get_for(here)) for row in campaigns
        ]
        return form

    def details(self, campaign: Campaign, zone: str) -> EventDetails:
        starts, minutes = length(self.starts.data, self.ends.data, zone, all_day=False)
        return EventDetails(
            campaign_id=campaign.id,
            kind=self.kind.data,
            title=Words({language(): self.title.data}),
            text=Words({language(): self.about.data} if self.about.data else {}),
            zone=zone,
            starts=starts,
            duration_minutes=minutes,
            venue=self.venue.data,
            address=self.address.data or "",
            city=self.city.data or "",
            postal_code=self.postal_code.data or "",
            languages=[language()],
        )
