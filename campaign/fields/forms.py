"""Forms of fields: what a field is, and what is known of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import Field
from wtforms.validators import ValidationError

from campaign.errors import Invalid
from campaign.fields import rules
from campaign.fields.models import LONGEST, CustomField, FieldKind
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

    def __init__(self, field: CustomField) -> None:
        self.field = field

    def __call__(self, form: Form, field: Field) -> None:
        try:
            rules.read(self.field, field.data or "", language())
        except Invalid as error:
            raise ValidationError(error.message) from None


def values_form(fields: Sequence[CustomField], values: Mapping[str, str]) -> Form:
    """A form with a line for each field; `values` are those stored, by the fields' keys."""
    lines = {field.key: _line(field, values.get(field.key, "")) for field in fields}
    made: type[Form] = type("ValuesForm", (Form,), lines)
    return made(data=dict(values))


def _line(field: CustomField, stored: str) -> Any:
    label, hint = field.name.get_for(language()), field.hint.get_for(language())
    options: list[tuple[str, Any]] = []
    if field.kind == FieldKind.YES_NO:
        options = [("yes", _l("Yes")), ("no", _l("No"))]
    elif field.kind == FieldKind.CHOICE:
        options = [(one.value, rules.said(one, language())) for one in field.options]
        if stored and stored not in dict(options):
            options.append((stored, stored))
    if options:
        return choice(label, [("", _l("not known")), *options], description=hint)
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
