"""Forms: signing in public; writing, filtering and invalidating in the console."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Request, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateTimeLocalField, HiddenField, RadioField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional, ValidationError

from campaign.campaigns.models import SLUG, Campaign, Clinic
from campaign.clock import to_utc
from campaign.fields.forms import answered, asking, chooser, offer
from campaign.fields.models import CustomField
from campaign.fields.rules import ASKED
from campaign.people.door import CONSENT, PhoneNumber, PostalCode, plain_person, source_of
from campaign.petitions import rules
from campaign.petitions.models import Display, Petition, SignatureState
from campaign.petitions.queries import Filters, Rule, Sheet
from campaign.petitions.services import PetitionDetails, SignerDetails
from campaign.places.queries import normalize_postal_code
from campaign.web.fields import area, choice, count, day, email, hostile, text, tick
from campaign.web.forms import Form, TwoLanguages, spread
from campaign.web.languages import language, of_post

_DISPLAY_VALUES = frozenset(Display)
COMMENT_LIMIT = 1000
SUMMARY_LIMIT = 500
WORDING_LIMIT = 500
DIRECT = "-"
DISPLAYS = [
    SelectChoice(Display.HIDDEN.value, _l("No. Just count me.")),
    SelectChoice(Display.INITIAL.value, _l("My first name and ward, like “Maria, 20th Ward”")),
    SelectChoice(Display.FULL.value, _l("My full name")),
]

_CODE = re.compile(r"[A-Za-z0-9_-]{1,24}")


class SignForm(Form):
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
    email = email(_l("Email"))
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
    comment = area(_l("Why does this matter to you?"), limit=COMMENT_LIMIT, render_kw={"rows": 3})
    display = RadioField(
        _l("Show my name in public?"),
        choices=DISPLAYS,
        default=Display.HIDDEN,
        validate_choice=True,
    )
    language = HiddenField(_l("Language"))

    @classmethod
    def of(cls, sheet: Sheet, **values: Any) -> SignForm:
        """The form of a petition, without what it does not ask."""
        form = asking(cls, sheet.questions)(**values)
        if not sheet.asks_phone:
            del form.phone
        if not sheet.has_comments:
            del form.comment
        most = list(Display).index(Display(sheet.most_public))
        form.display.choices = DISPLAYS[: most + 1]
        form.language.data = language()
        given = form.display.data or Display.HIDDEN
        is_known = given in list(Display)
        form.display.data = rules.least(given, sheet.most_public) if is_known else given
        return form

    def details(self, signals: list[str], ip: str) -> SignerDetails:
        """What was typed, for the service."""
        return SignerDetails(
            first_name=self.first_name.data,
            last_name=self.last_name.data,
            email=self.email.data or "",
            postal_code=self.postal_code.data,
            phone=self.phone.data if "phone" in self else "",
            comment=self.comment.data if "comment" in self else "",
            display=self.display.data,
            answers=answered(self),
            **came_with(request),
            signals=signals,
            ip=ip,
        )


def plain_details(
    sheet: Sheet, given: Mapping[str, str], query: Mapping[str, str], accepted: str, ip: str
) -> SignerDetails | None:
    """The details of an ordinary post, read without a form: it is half of what signing costs.

    None wherever a form would have something to say or to change. Whatever this takes, the form
    takes, and reads alike; a test compares them on all kinds of posts.
    """
    person = plain_person(given)
    display = given.get("display", Display.HIDDEN.value)
    if person is None or display not in _DISPLAY_VALUES:
        return None
    if given.get("comment") or given.get("phone"):
        return None
    if any(given.get(ASKED + one.key) for one in sheet.questions):
        return None
    return SignerDetails(
        **person,
        display=rules.least(display, sheet.most_public),
        **_carried(given, query, accepted),
        ip=ip,
    )


def came_with(asked: Request) -> dict[str, Any]:
    """What a form brings besides what is typed: boxes, language, where the signer came from."""
    return _carried(asked.form, asked.args, asked.headers.get("Accept-Language", ""))


def _carried(given: Mapping[str, str], query: Mapping[str, str], accepted: str) -> dict[str, Any]:
    code = given.get("ref") or query.get("ref") or ""
    return {
        "consents": consents(given),
        "language": of_post(given, query, accepted),
        "source": source_of(given.get("source") or query.get("source") or ""),
        "referral_code": code if _CODE.fullmatch(code) else "",
    }


def consents(given: Mapping[str, str]) -> dict[str, str]:
    """The boxes ticked: organization's slug → what the page said about its wording."""
    return {
        name.removeprefix(CONSENT)[:80]: value[:80]
        for name, value in given.items()
        if name.startswith(CONSENT) and value
    }


# --- the console -------------------------------------------------------------------------------


class PetitionForm(TwoLanguages):
    """What an organizer writes about a petition."""

    campaign = choice(_l("Campaign"), [])
    clinic = choice(_l("Clinic"), [], default="")
    title_en = text(_l("Title"), limit=150)
    title_es = text(_l("Title"), limit=150)
    slug = text(
        _l("Address"),
        limit=80,
        description=_l("Small letters, digits and hyphens. Leave it empty and we suggest one."),
        render_kw={"autocapitalize": "none", "spellcheck": "false"},
    )
    summary_en = area(_l("In two sentences"), limit=SUMMARY_LIMIT)
    summary_es = area(_l("In two sentences"), limit=SUMMARY_LIMIT)
    text_en = area(_l("The story and the demand"))
    text_es = area(_l("The story and the demand"))
    target_en = text(_l("To whom"), limit=150)
    target_es = text(_l("To whom"), limit=150)
    own_wording_en = text(_l("Your own consent box"), limit=WORDING_LIMIT)
    own_wording_es = text(_l("Your own consent box"), limit=WORDING_LIMIT)
    thanks_en = area(_l("Thank-you"), limit=2000)
    thanks_es = area(_l("Thank-you"), limit=2000)
    next_label_en = text(_l("Next step: its button"), limit=80)
    next_label_es = text(_l("Next step: its button"), limit=80)
    next_url = text(
        _l("Next step: its address"),
        limit=300,
        render_kw={"type": "url", "placeholder": "https://"},
    )
    result_en = area(_l("What came of it"), limit=5000)
    result_es = area(_l("What came of it"), limit=5000)
    goal = count(_l("First goal"))
    closes_on = day(_l("Last day for signing"))
    most_public = choice(
        _l("Most that may be shown of a name"),
        [
            (Display.FULL, _l("The full name, if the signer wants")),
            (Display.INITIAL, _l("First name and ward, if the signer wants")),
            (Display.HIDDEN, _l("Nothing: everybody is only counted")),
        ],
        default=Display.FULL,
    )
    has_comments = tick(_l("Ask why it matters to them"))
    asks_phone = tick(_l("Ask for a phone number"))
    field_ids = chooser(_l("Ask for your own fields, too"))

    @classmethod
    def of(
        cls,
        campaigns: Sequence[Campaign],
        clinics: Sequence[Clinic],
        fields: Sequence[CustomField],
        **values: Any,
    ) -> PetitionForm:
        """The form with an organization's campaigns, clinics and fields to choose from."""
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
        return form

    def validate_slug(self, field: Any) -> None:
        if field.data and not SLUG.fullmatch(field.data):
            raise ValidationError(_("Use small letters, digits and hyphens, like keep-woodlawn."))

    def validate_next_url(self, field: Any) -> None:
        if field.data and not re.fullmatch(r"https?://[^\s<>\"']+|/[^\s<>\"']*", field.data):
            raise ValidationError(_("Write a whole address that begins with https://."))

    def validate_goal(self, field: Any) -> None:
        if not field.data:
            raise ValidationError(_("Write a whole number from 1, like 100."))

    def validate(self, extra_validators: Any = None) -> bool:
        fine = bool(super().validate(extra_validators))
        return self.require_one("title", _("Write a title in at least one language.")) and fine

    def details(self, zone: ZoneInfo) -> PetitionDetails:
        """What was written, for the service. The last day ends at midnight in `zone`."""
        closes_at = None
        if self.closes_on.data is not None:
            closes_at = start_of(self.closes_on.data + timedelta(days=1), zone)
        return PetitionDetails(
            campaign_id=uuid.UUID(self.campaign.data),
            clinic_id=uuid.UUID(self.clinic.data) if self.clinic.data else None,
            slug=self.slug.data or "",
            **{name: self.words(name) for name in WORDS},
            next_url=self.next_url.data or "",
            goal=self.goal.data,
            most_public=self.most_public.data,
            has_comments=self.has_comments.data,
            asks_phone=self.asks_phone.data,
            field_ids=self.field_ids.data or (),
            closes_at=closes_at,
        )


WORDS = (*("title", "summary", "text", "target", "own_wording", "thanks", "next_label", "result"),)


def start_of(when: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day in a zone."""
    return datetime.combine(when, time(), tzinfo=zone).astimezone(UTC)


def values_of(petition: Petition, zone: ZoneInfo) -> dict[str, Any]:
    """A petition as the form shows it."""
    values: dict[str, Any] = spread(**{name: getattr(petition, name) for name in WORDS})
    plain = ("slug", "next_url", "goal", "most_public", "has_comments", "asks_phone", "field_ids")
    for name in plain:
        values[name] = getattr(petition, name)
    values["campaign"] = petition.campaign_id.hex
    values["clinic"] = petition.clinic_id.hex if petition.clinic_id else ""
    if petition.closes_at is not None:
        values["closes_on"] = (petition.closes_at - timedelta(seconds=1)).astimezone(zone).date()
    return values


def moment(label: Any) -> Any:
    """A day and a time, as a clock on the wall shows them."""
    return DateTimeLocalField(
        label,
        format=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        validators=[Optional()],
    )


class IsNetwork:
    """An IP address, or a network like 203.0.113.0/24."""

    def __call__(self, form: Form, field: Any) -> None:
        if not field.data:
            return
        try:
            ipaddress.ip_network(field.data, strict=False)
        except ValueError:
            raise ValidationError(
                _l("This is no IP address. It should be like 203.0.113.9 or 203.0.113.0/24.")
            ) from None


class InvalidateForm(Form):
    """Which signatures to take out of the count, and why."""

    name = text(_l("Full name"), limit=200)
    email = text(_l("Email"), limit=254)
    domain = text(_l("Email domain"), limit=200)
    ip = text(_l("IP address or network"), limit=64, validators=(IsNetwork(),))
    postal_code = text(_l("ZIP code"), limit=20)
    from_at = moment(_l("Signed from"))
    until_at = moment(_l("Signed before"))
    reason = text(_l("Why"), limit=300)

    def rule(self, zone: ZoneInfo) -> Rule:
        """The rule, times of the clock on the wall of `zone`."""
        return Rule(
            name=" ".join((self.name.data or "").split()),
            email=self.email.data or "",
            domain=(self.domain.data or "").lower().lstrip("@"),
            ip=self.ip.data or "",
            postal_code=normalize_postal_code(self.postal_code.data),
            from_at=to_utc(self.from_at.data, zone.key) if self.from_at.data else None,
            until_at=to_utc(self.until_at.data, zone.key) if self.until_at.data else None,
        )


def filters_from(arguments: Mapping[str, str], zone: ZoneInfo) -> Filters:
    """What the address of a page filters by; what is not understood is left out."""
    source = arguments.get("source")
    return Filters(
        state=arguments.get("state", "") if arguments.get("state") in set(SignatureState) else "",
        source=None if not source else "" if source == DIRECT else source_of(source),
        district_id=_uuid(arguments.get("ward", "")),
        from_at=_day(arguments.get("from", ""), zone),
        until_at=_day(arguments.get("until", ""), zone, days=1),
        text="" if hostile(arguments.get("q", "")) else arguments.get("q", "")[:100].strip(),
    )


def _uuid(value: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(value)
    except ValueError:
        return None


def _day(value: str, zone: ZoneInfo, days: int = 0) -> datetime | None:
    try:
        found = date.fromisoformat(value)
        return start_of(found + timedelta(days=days), zone)
    except (ValueError, OverflowError):
        return None
