"""Forms of fields: what a field is, and what is known of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import Field, SelectMultipleField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from campaign.errors import Invalid
from campaign.fields import rules
from campaign.fields.models import LONGEST, CustomField, FieldKind, Question
from campaign.fields.services import FieldDetails
from campaign.web.fields import area, choice, text, tick
from campaign.web.forms import Form, TwoLanguages
from campaign.web.languages import LANGUAGES, language

KIND_NAMES = {
    FieldKind.TEXT: _l("Text"),
    FieldKind.NUMBER: _l("Number"),
    FieldKind.DATE: _l("Date"),
    FieldKind.CHOICE: _l("One of several choices"),
    FieldKind.YES_NO: _l("Yes or no"),
}


class FieldForm(TwoLanguages):
    """A field's words. The choices are lines; those in another language stand in the same order."""

    name_en = text(_l("Name"), limit=80)
    name_es = text(_l("Name"), limit=80)
    hint_en = text(_l("A line of explanation"), limit=200)
    hint_es = text(_l("A line of explanation"), limit=200)
    kind = choice(_l("What it holds"), [(kind.value, name) for kind, name in KIND_NAMES.items()])
    choices_en = area(_l("Choices, one on a line"), limit=8000)
    choices_es = area(_l("Choices, one on a line"), limit=8000)
    is_sensitive = tick(_l("This is sensitive"))

    @classmethod
    def of(cls, field: CustomField) -> FieldForm:
        """The form of a field that is there."""
        data: dict[str, Any] = {"kind": field.kind, "is_sensitive": field.is_sensitive}
        for code in LANGUAGES:
            data[f"name_{code}"] = field.name.get(code, "")
            data[f"hint_{code}"] = field.hint.get(code, "")
            lines = [option.words.get(code, "") for option in field.options]
            data[f"choices_{code}"] = "\n".join(lines) if any(lines) else ""
        return cls(data=data)

    def validate(self, extra_validators: Any = None) -> bool:
        is_valid = bool(super().validate(extra_validators))
        if not self.require_one("name", _("Give the field a name in at least one language.")):
            return False
        lines = [self._lines(code) for code in LANGUAGES]
        counts = {len(column) for column in lines if column}
        if self.kind.data == FieldKind.CHOICE and len(counts) > 1:
            self.add_error(
                "choices_es", _("Write as many lines as there are choices in the other language.")
            )
            return False
        return is_valid

    def _lines(self, code: str) -> list[str]:
        written = str(self[f"choices_{code}"].data or "").splitlines()
        return [" ".join(line.split())[:200] for line in written if line.strip()]

    def details(self) -> FieldDetails:
        """What was written."""
        columns = [self._lines(code) for code in LANGUAGES]
        rows = zip_longest(*columns, fillvalue="")
        return FieldDetails(
            name=self.words("name"),
            hint=self.words("hint"),
            kind=self.kind.data,
            choices=[
                {code: words for code, words in zip(LANGUAGES, row, strict=True) if words}
                for row in rows
            ],
            is_sensitive=self.is_sensitive.data,
        )


class _Readable:
    """What `rules.read` takes."""

    def __init__(self, field: CustomField | Question) -> None:
        self.field = field

    def __call__(self, form: Form, field: Field) -> None:
        try:
            rules.read(self.field, field.data or "", language())
        except Invalid as error:
            raise ValidationError(error.message) from None


AskingForm = TypeVar("AskingForm", bound=Form)


def asking(form: type[AskingForm], questions: Sequence[Question]) -> type[AskingForm]:
    """A public form that asks these questions besides; nobody has to answer one of them."""
    if not questions:
        return form
    lines = {rules.ASKED + one.key: _line(one, "", is_public=True) for one in questions}
    return type(form.__name__, (form,), lines)


def answered(form: Form) -> dict[str, str]:
    """What was typed into the lines of questions, by the questions' keys."""
    return {
        name.removeprefix(rules.ASKED): line.data or ""
        for name, line in form._fields.items()
        if name.startswith(rules.ASKED)
    }


def chooser(label: Any) -> SelectMultipleField:
    """Which fields a form asks, as boxes to tick; `offer` gives it the fields."""
    return SelectMultipleField(
        label,
        choices=[],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )


def offer(line: SelectMultipleField, fields: Sequence[CustomField]) -> None:
    """Let `chooser`'s boxes be these fields; those that are sensitive say so."""
    line.choices = [
        SelectChoice(
            field.id.hex,
            _("%(field)s (sensitive)", field=field.name.get_for(language()))
            if field.is_sensitive
            else field.name.get_for(language()),
        )
        for field in fields
    ]


def values_form(fields: Sequence[CustomField], values: Mapping[str, str]) -> Form:
    """A form with a line for each field; `values` are those stored, by the fields' keys."""
    lines = {field.key: _line(field, values.get(field.key, "")) for field in fields}
    made: type[Form] = type("ValuesForm", (Form,), lines)
    return made(data=dict(values))


def _line(field: CustomField | Question, stored: str, *, is_public: bool = False) -> Any:
    label, hint = field.name.get_for(language()), field.hint.get_for(language())
    if is_public and field.is_sensitive:
        hint = f"{hint} {_('Only owners and organizers read this.')}".strip()
    options: list[tuple[str, Any]] = []
    if field.kind == FieldKind.YES_NO:
        options = [("yes", _l("Yes")), ("no", _l("No"))]
    elif field.kind == FieldKind.CHOICE:
        options = [(one.value, rules.said(one, language())) for one in field.options]
        if stored and stored not in dict(options):
            options.append((stored, stored))
    if options:
        blank = _l("no answer") if is_public else _l("not known")
        more: dict[str, Any] = {"description": hint, "default": ""}
        if is_public:  # a post without the line leaves it out
            more |= {"validate_choice": False, "validators": (_Readable(field),)}
        return choice(label, [("", blank), *options], **more)
    extra: dict[str, str] = {"autocomplete": "off"}
    if field.kind == FieldKind.DATE:
        extra["type"] = "date"
    elif field.kind == FieldKind.NUMBER:
        extra["inputmode"] = "decimal"
    return text(
        label,
        limit=LONGEST,
        validators=(_Readable(field),),
        description=hint,
        render_kw=extra,
    )
