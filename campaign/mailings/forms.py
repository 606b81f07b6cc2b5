"""Forms of the mailing pages: what was typed, in shape."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateField, HiddenField, SelectField, SelectMultipleField, TimeField
from wtforms.validators import InputRequired
from wtforms.widgets import CheckboxInput, ListWidget

from campaign import clock
from campaign.accounts.models import User
from campaign.designs.models import Template
from campaign.mailings.emails import Draft
from campaign.mailings.models import Audience, Choice, ChoiceKind, Contest, Measure, Message, Unit
from campaign.mailings.queries import Option
from campaign.mailings.services import MessageDetails
from campaign.mailings.variants import Plan
from campaign.mailings.writing import Format
from campaign.web.fields import area, choice, count, email, text, tick
from campaign.web.forms import Form

BODY_LIMIT = 100_000
NEAR_ZONES = (
    "America/Chicago",
    "America/New_York",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
    "America/Puerto_Rico",
)


class MessageForm(Form):
    """What is written."""

    name = text(_l("Name for your team"), limit=120)
    subject = text(_l("Subject"), limit=200)
    preheader = text(_l("First line in the inbox"), limit=150)
    from_name = text(_l("From"), limit=120)
    reply_to = email(_l("Answers go to"))
    body = area(_l("Text"), limit=BODY_LIMIT)
    template_id = choice(_l("Template"), choices=[], validate_choice=False)
    format = choice(
        _l("Written in"),
        [(Format.MARKDOWN, _l("Text with marks and blocks")), (Format.HTML, _l("HTML"))],
        default=Format.MARKDOWN.value,
        validate_choice=False,
    )
    format_was = HiddenField()
    turns = tick(_l("Yes, go on like this"))

    @property
    def is_turning(self) -> bool:
        """Whether what is written is to be taken for something else than it was until now."""
        was, now = (self.format_was.data == Format.HTML, self.format.data == Format.HTML)
        return bool(self.format_was.data and (self.body.data or "").strip()) and was != now

    def offer(self, templates: Sequence[Template], message: Message | None) -> None:
        """Let it choose among the templates, and the one the message has."""
        default = next((one for one in templates if one.is_default), None)
        first = _("Default: %(name)s", name=default.name) if default else _("None yet")
        self.template_id.choices = [
            ("", first),
            *((one.id.hex, one.name) for one in templates if one is not default),
        ]
        if default is not None and message is not None and message.template_id == default.id:
            self.template_id.choices.append((default.id.hex, default.name))
        if not self.is_submitted() and message is not None:
            self.template_id.data = message.template_id.hex if message.template_id else ""

    def offer_gone(self, template: Template) -> None:
        """Let it keep a template that was put away."""
        self.template_id.choices.append(
            (template.id.hex, _("%(name)s (put away)", name=template.name))
        )

    def details(self) -> MessageDetails:
        return MessageDetails(
            name=self.name.data or "",
            subject=self.subject.data or "",
            preheader=self.preheader.data or "",
            body=(self.body.data or "").replace("\r\n", "\n"),
            from_name=self.from_name.data or "",
            reply_to=self.reply_to.data or "",
            template_id=own_id(self.template_id.data or ""),
            format=Format.HTML if self.format.data == Format.HTML else Format.MARKDOWN,
        )

    def draft(self) -> Draft:
        """What stands in the form, for a preview that saves nothing."""
        details = self.details()
        return Draft(
            details.subject,
            details.preheader,
            details.body,
            details.template_id,
            details.format,
        )


class AudienceForm(Form):
    """Two columns of ticks: whom to write to, whom to leave out."""

    include = SelectMultipleField(_l("Write to"))
    exclude = SelectMultipleField(_l("Leave out"))

    def __init__(self, groups: dict[ChoiceKind, list[Option]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keys = [option.choice.key for options in groups.values() for option in options]
        self.include.choices = [(key, key) for key in (ChoiceKind.EVERYBODY.value, *keys)]
        self.exclude.choices = [(key, key) for key in keys]

    def chosen(self) -> Audience:
        """The choices that are ours to make; anything else was forged and chooses nobody."""
        return Audience(
            self._choices(self.include),
            self._choices(self.exclude),
        )

    @staticmethod
    def _choices(field: Any) -> tuple[Choice, ...]:
        known = {key for key, _name in field.choices}
        found = (Choice.read(key) for key in dict.fromkeys(field.data or ()) if key in known)
        return tuple(choice for choice in found if choice is not None)


class TrialForm(Form):
    """Who of the team gets a test."""

    to = SelectMultipleField(
        _l("Send a test to"),
        coerce=str,
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
        validators=[InputRequired(_l("Choose somebody."))],
    )

    def __init__(self, users: Sequence[User], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.to.choices = [
            (user.id.hex, f"{user.name} ({user.email})" if user.name else user.email)
            for user in users
        ]
        self.users = {user.id.hex: user for user in users}

    def chosen(self) -> list[User]:
        return [self.users[key] for key in self.to.data or ()]


class VersionsForm(Form):
    """The plan of an A/B test, and in each version what differs: `a_subject`, `b_body`."""

    size = count(_l("How many test"), has_limits=False)
    unit = choice(
        _l("People or percent"), [(Unit.PERCENT, _l("percent of all")), (Unit.PEOPLE, _l("people"))]
    )
    hours = count(_l("Hours until it is decided"), has_limits=False)
    measure = choice(
        _l("What decides"),
        [
            (Measure.ACTIONS, _l("the most signatures and event answers")),
            (Measure.CLICKS, _l("the most links followed")),
            (Measure.UNSUBSCRIBES, _l("the fewest who unsubscribe")),
        ],
    )
    how = choice(
        _l("By itself or by hand"),
        [("auto", _l("by itself.")), ("hand", _l("when one of us says so."))],
    )

    @classmethod
    def of(cls, contest: Contest) -> VersionsForm:
        """The form of a contest, with fields for each of its versions."""
        fields: dict[str, Any] = {}
        data: dict[str, Any] = {
            "size": contest.size,
            "unit": contest.unit,
            "hours": contest.hours,
            "measure": contest.measure,
            "how": "auto" if contest.is_automatic else "hand",
        }
        for variant in contest.variants:
            for name, made in (
                ("subject", text(_l("Subject"), limit=200)),
                ("preheader", text(_l("First line in the inbox"), limit=150)),
                ("from_name", text(_l("From"), limit=120)),
                ("body", area(_l("Text"), limit=BODY_LIMIT)),
            ):
                fields[f"{variant.letter}_{name}"] = made
                data[f"{variant.letter}_{name}"] = getattr(variant, f"own_{name}")
        kind: type[VersionsForm] = type("VersionsForm", (cls,), fields)
        return kind(data=data)

    def label_of(self, field: Any) -> str:
        letter, line, _rest = field.name.partition("_")
        label = super().label_of(field)
        if not line:
            return label
        return str(_("Version %(letter)s: %(label)s", letter=letter.upper(), label=label))

    def plan(self) -> Plan:
        return Plan(
            size=self.size.data or 0,
            unit=Unit(self.unit.data),
            measure=Measure(self.measure.data),
            hours=self.hours.data or 0,
            is_automatic=self.how.data == "auto",
        )

    def wordings(self, contest: Contest) -> dict[str, MessageDetails]:
        """What was written in each version, by letter."""

        def own(letter: str, name: str) -> str:
            return str(self[f"{letter}_{name}"].data or "").replace("\r\n", "\n")

        return {
            variant.letter: MessageDetails(
                subject=own(variant.letter, "subject"),
                preheader=own(variant.letter, "preheader"),
                body=own(variant.letter, "body"),
                from_name=own(variant.letter, "from_name"),
            )
            for variant in contest.variants
        }


class LookNoteForm(Form):
    """What the second pair of eyes would change."""

    note = area(_l("What should change?"), limit=1000, required=True)


class PaceForm(Form):
    """How fast a mailing goes out, and whether at night."""

    per_hour = count(
        _l("How many get it in an hour"),
        description=_l("Leave it empty, and all get it as fast as it goes."),
    )
    ignores_quiet = tick(_l("Send it in quiet hours as well"))


class ScheduleForm(Form):
    """A wall time and the zone it is meant in."""

    on = DateField(_l("Day"), validators=[InputRequired(_l("Choose a day."))])
    at = TimeField(
        _l("Time"),
        format=["%H:%M", "%H:%M:%S"],
        validators=[InputRequired(_l("Choose a time."))],
    )
    zone = SelectField(_l("Time zone"))

    def __init__(self, message: Message, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone.choices = {
            str(_l("Near")): [
                (name, name.replace("_", " "))
                for name in dict.fromkeys((message.time_zone, *NEAR_ZONES))
            ],
            str(_l("All")): [(name, name.replace("_", " ")) for name in all_zones()],
        }
        if not self.zone.data:
            self.zone.data = message.time_zone

    def wall(self) -> datetime:
        """The time as it stands on a wall: naive, to be read in `zone`."""
        return datetime.combine(self.on.data, self.at.data)


@lru_cache(maxsize=1)
def all_zones() -> tuple[str, ...]:
    """The zones of places, by name."""
    areas = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Pacific/")
    return tuple(sorted(name for name in available_timezones() if name.startswith(areas)))


def suggestion(message: Message) -> dict[str, Any]:
    """Tomorrow at ten in the message's zone: a time at which people read."""
    zone = clock.zone(message.time_zone)
    at = message.scheduled_at.astimezone(zone) if message.scheduled_at else None
    day = at.date() if at else clock.now().astimezone(zone).date() + timedelta(days=1)
    return {
        "on": day,
        "at": at.time().replace(second=0, microsecond=0) if at else time(10),
        "zone": message.time_zone,
    }


def own_id(value: str) -> uuid.UUID | None:
    """An id from an address, or None."""
    try:
        return uuid.UUID(value)
    except ValueError:
        return None
