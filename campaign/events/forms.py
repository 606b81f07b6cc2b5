"""Forms: answering in public, changing an answer behind its link."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Request, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, RadioField, SelectMultipleField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from campaign.errors import Invalid
from campaign.events import queries, words
from campaign.events.models import MOST_GUESTS, Company, Event, Occurrence, Rsvp, RsvpState, Shift
from campaign.events.queries import Sheet
from campaign.events.services import Change, RsvpDetails, check_guests
from campaign.fields import queries as fields
from campaign.fields.forms import answered, asking
from campaign.fields.rules import ASKED
from campaign.people.door import PhoneNumber, PostalCode, consents_in, plain_person, source_of
from campaign.web.fields import area, choice, count, email, text
from campaign.web.forms import Form
from campaign.web.languages import LANGUAGES, language, of_post

# --- the public form ---------------------------------------------------------------------------

NOTE_LIMIT = 500
WISH_LIMIT = 300
STATUS_NAMES = {
    RsvpState.ACCEPTED: _l("Yes, I am coming"),
    RsvpState.TENTATIVE: _l("Maybe"),
    RsvpState.DECLINED: _l("No, I cannot come"),
}
STATUSES = frozenset(STATUS_NAMES)
THEY = {
    RsvpState.ACCEPTED: _l("Yes, they are coming"),
    RsvpState.TENTATIVE: _l("Maybe"),
    RsvpState.DECLINED: _l("No, they cannot come"),
}
OF_THEM = {
    "status": _l("Are they coming?"),
    "guests": _l("How many guests do they bring?"),
    "needs": _l("What would help them to come?"),
    "shift": _l("Do they lend a hand?"),
}


class _AnswerForm(Form):
    """What an answer says, to give and to change it."""

    most_guests = MOST_GUESTS

    status = RadioField(
        _l("Are you coming?"),
        choices=[SelectChoice(state.value, name) for state, name in STATUS_NAMES.items()],
        default=RsvpState.ACCEPTED.value,
        validate_choice=True,
    )
    guests = count(_l("How many guests do you bring?"), default=0, has_limits=False)
    needs = SelectMultipleField(
        _l("What would help you to come?"),
        choices=[],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    needs_note = area(_l("Anything else we should know"), limit=NOTE_LIMIT, render_kw={"rows": 2})
    shift = RadioField(_l("Lend a hand?"), choices=[], default="", validate_choice=True)

    def ask_for(self, event: Event, occurrence: Occurrence, mine: Rsvp | None = None) -> None:
        """Keep what this event asks, with its needs and its shifts to choose from."""
        self.most_guests = max(event.most_guests, mine.guests if mine else 0)
        if not event.most_guests and not (mine and mine.guests):
            del self.guests
        if event.needs_asked:
            self.needs.choices = [
                SelectChoice(need, words.NEED_NAMES[need])
                for need in event.needs_asked
                if need in words.NEED_NAMES
            ]
        else:
            del self.needs, self.needs_note
        shifts = queries.shifts_of(event.id)
        if not shifts:
            del self.shift
            return
        taken = queries.shifts_taken(occurrence.id)
        self.shift.choices = [
            SelectChoice("", _l("No, thank you")),
            *(
                SelectChoice(
                    one.id.hex,
                    shift_words(
                        one, occurrence, taken, is_mine=mine is not None and mine.shift_id == one.id
                    ),
                )
                for one in shifts
            ),
        ]

    def speak_of_them(self) -> None:
        """Ask about somebody else: whoever fills this in works for the organization."""
        for name, label in OF_THEM.items():
            if name in self:
                self[name].label.text = label
        self.status.choices = [SelectChoice(state.value, name) for state, name in THEY.items()]

    def validate_guests(self, field: Any) -> None:
        try:
            check_guests(field.data or 0, self.most_guests)
        except Invalid as error:
            raise ValidationError(str(error.message)) from None

    @property
    def guest_count(self) -> int:
        return int(self.guests.data or 0) if "guests" in self else 0

    @property
    def need_list(self) -> list[str]:
        return list(self.needs.data or ()) if "needs" in self else []

    @property
    def note(self) -> str:
        return str(self.needs_note.data or "") if "needs_note" in self else ""

    @property
    def shift_id(self) -> uuid.UUID | None:
        chosen = self.shift.data if "shift" in self else ""
        return uuid.UUID(chosen) if chosen else None


def shift_words(
    shift: Shift, occurrence: Occurrence, taken: Mapping[uuid.UUID, int], *, is_mine: bool = False
) -> str:
    """A shift as it is offered: what, from when to when, and how many places are left.

    Whoever has a place in it is not told that it is full: theirs is among those taken.
    """
    here = language()
    parts = [shift.name.get_for(here) or str(words.ROLE_NAMES[shift.role])]
    hours = queries.shift_hours(shift, occurrence, here)
    if hours:
        parts.append(hours)
    if shift.capacity is not None and not is_mine:
        left = max(shift.capacity - taken.get(shift.id, 0), 0)
        parts.append(_("%(num)d left", num=left) if left else _("full"))
    return " · ".join(parts)


_ON_PAGE = ("status", "first_name", "last_name", "email", "postal_code", "phone")


def _place_on_page(name: str) -> int:
    """Where the public page has a field: what it asks of everybody first, then what an event asks
    besides, in the order of the form."""
    return _ON_PAGE.index(name) if name in _ON_PAGE else len(_ON_PAGE)


class RsvpForm(_AnswerForm):
    """The public form. The consent boxes are read from the request: each page has its own."""

    first_name = text(
        _l("First name"),
        required=_l("Please write your first name."),
        limit=100,
        render_kw={"autocomplete": "given-name"},
    )
    last_name = text(
        _l("Last name"),
        required=_l("Please write your last name."),
        limit=100,
        render_kw={"autocomplete": "family-name"},
    )
    email = email(_l("Email"), required=_l("Please write your email address."))
    postal_code = text(
        _l("ZIP code"),
        required=_l("Please write your ZIP code."),
        limit=20,
        validators=(PostalCode(),),
        render_kw={"autocomplete": "postal-code"},
    )
    phone = text(
        _l("Phone"),
        limit=40,
        validators=(PhoneNumber(),),
        render_kw={"type": "tel", "autocomplete": "tel"},
    )
    company = RadioField(
        _l("Would you rather not come alone?"),
        choices=[SelectChoice(str(key), name) for key, name in words.COMPANY_NAMES.items()],
        default=Company.NONE.value,
        validate_choice=True,
    )
    company_wish = text(_l("What should we know to find the right company?"), limit=WISH_LIMIT)
    language = HiddenField(_l("Language"))

    @classmethod
    def of(cls, occurrence: Occurrence, **values: Any) -> RsvpForm:
        """The form of a date, without what its event does not ask."""
        event = occurrence.event
        asked = fields.questions(event.organization_id, event.field_ids)
        form = asking(cls, asked)(**values)
        form.ask_for(event, occurrence)
        if not event.asks_phone:
            del form.phone
        if not event.asks_company:
            del form.company, form.company_wish
        form.language.data = language()
        return form

    def __iter__(self) -> Iterator[Any]:
        """The fields as the page has them: the first wrong one gets the focus, and the list of
        what is wrong follows the page."""
        return iter(sorted(super().__iter__(), key=lambda field: _place_on_page(field.short_name)))

    def details(self, signals: list[str], ip: str) -> RsvpDetails:
        """What was answered, for the service."""
        return RsvpDetails(
            first_name=self.first_name.data,
            last_name=self.last_name.data,
            email=self.email.data or "",
            postal_code=self.postal_code.data,
            phone=self.phone.data or "" if "phone" in self else "",
            status=self.status.data,
            guests=self.guest_count,
            needs=self.need_list,
            needs_note=self.note,
            shift_id=self.shift_id,
            company=self.company.data if "company" in self else Company.NONE,
            company_wish=self.company_wish.data or "" if "company_wish" in self else "",
            answers=answered(self),
            **came_with(request),
            signals=signals,
            ip=ip,
        )


PLAIN = frozenset({"phone", "needs_note", "company_wish", "shift", "needs"})


def plain_details(sheet: Sheet, asked: Request, signals: list[str], ip: str) -> RsvpDetails | None:
    """The details of an ordinary answer, read without a form: it is half of what one costs.

    None wherever a form would have something to say or to change.
    """
    given = asked.form
    person = plain_person(given)
    status = given.get("status", RsvpState.ACCEPTED.value)
    guests = given.get("guests", "0") or "0"
    if person is None or status not in STATUSES or any(given.get(name) for name in PLAIN):
        return None
    if any(given.get(ASKED + one.key) for one in sheet.questions):
        return None
    if not guests.isascii() or not guests.isdigit() or int(guests[:9]) > sheet.most_guests:
        return None
    if given.get("company", Company.NONE.value) != Company.NONE.value:
        return None
    return RsvpDetails(
        **person,
        status=status,
        guests=int(guests[:9]),
        **came_with(asked),
        signals=signals,
        ip=ip,
    )


def came_with(asked: Request) -> dict[str, Any]:
    """What a form brings besides what is typed: boxes, language, where the visitor came from."""
    given, query = asked.form, asked.args
    return {
        "consents": consents_in(given),
        "language": of_post(given, query, asked.headers.get("Accept-Language", "")),
        "source": source_of(given.get("source") or query.get("source") or ""),
    }


class ChangeForm(_AnswerForm):
    """What may be changed behind the link of an answer."""

    @classmethod
    def of(cls, rsvp: Rsvp, *, is_new: bool = False) -> ChangeForm:
        """The form of an answer; `is_new`: as it stands, whatever was posted."""
        values: dict[str, Any] = {
            "status": RsvpState.ACCEPTED if rsvp.state == RsvpState.WAITING else rsvp.state,
            "guests": rsvp.guests,
            "needs": rsvp.needs,
            "needs_note": rsvp.needs_note,
            "shift": rsvp.shift_id.hex if rsvp.shift_id else "",
        }
        form = cls(data=values, **({"formdata": None} if is_new else {}))
        form.ask_for(rsvp.occurrence.event, rsvp.occurrence, rsvp)
        return form

    def change(self) -> Change:
        return Change(
            status=self.status.data,
            guests=self.guest_count,
            needs=self.need_list,
            needs_note=self.note,
            shift_id=self.shift_id,
        )


# --- the console -------------------------------------------------------------------------------


class AnswerForm(RsvpForm):
    """An answer that somebody of the team writes down: an e-mail is not asked of everybody."""

    email = email(_l("Email"), render_kw={"autocomplete": "off"})
    last_name = text(_l("Last name"), limit=100, render_kw={"autocomplete": "off"})
    postal_code = text(
        _l("ZIP code"), limit=20, validators=(PostalCode(),), render_kw={"autocomplete": "off"}
    )
    language = choice(_l("Language"), lambda: list(LANGUAGES.items()))
    channel = choice(
        _l("How did they answer?"),
        [
            ("phone", _l("By phone")),
            ("paper", _l("On a list")),
            ("talk", _l("In a conversation")),
        ],
        default="phone",
    )

    @classmethod
    def of(cls, occurrence: Occurrence, **values: Any) -> AnswerForm:
        """The form of a date. Anybody may be rung back, so the phone is always asked."""
        form, event = cls(**values), occurrence.event
        form.ask_for(event, occurrence)
        form.speak_of_them()
        del form.company, form.company_wish
        if not form.language.data:
            form.language.data = language()
        return form

    def check_consents(self) -> bool:
        """Whoever agrees to e-mail needs an address: it is there that they confirm."""
        if consents_in(request.form) and not self.email.data:
            self.add_error("email", _("They agreed to email: please write the address."))
            return False
        return True

    def by_hand(self) -> RsvpDetails:
        """What was told, for the service."""
        return RsvpDetails(
            first_name=self.first_name.data,
            last_name=self.last_name.data or "",
            email=self.email.data or "",
            postal_code=self.postal_code.data or "",
            phone=self.phone.data or "",
            status=self.status.data,
            guests=self.guest_count,
            needs=self.need_list,
            needs_note=self.note,
            shift_id=self.shift_id,
            consents=consents_in(request.form),
            language=self.language.data,
            channel=self.channel.data,
        )
