"""The base of every form. The token is checked once for all routes (`web/csrf.py`), so forms
here only have fields; `form.is_posted_and_valid()` is the one question a view asks."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import get_locale
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms.i18n import get_translations

from campaign.db import Words
from campaign.web.csrf import SAFE
from campaign.web.languages import LANGUAGES


class Form(FlaskForm):
    """A form bound to the request: posted values on an unsafe method, else the given object."""

    class Meta(FlaskForm.Meta):
        csrf = False
        locales = ("en", "es")

        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            """Values come from a posted form alone: a body of JSON, which Flask-WTF would take,
            too, holds anything, and no field expects a number or a list."""
            if request.is_json and not isinstance(formdata, MultiDict):
                return None
            return super().wrap_formdata(form, formdata)

        def get_translations(self, form: Any) -> Any:
            locale = get_locale()
            return get_translations([locale.language if locale else "en"])

    def is_posted_and_valid(self) -> bool:
        """Whether this is a POST whose every field is fine. Errors are then at the fields."""
        return request.method not in SAFE and bool(self.validate())

    def add_error(self, field: str, message: str) -> None:
        """Put a message of the service at its field, or at the top for the whole form."""
        if field and field in self._fields:
            target = self._fields[field]
            target.errors = [*target.errors, message]
        else:
            self.form_errors.append(message)


class TwoLanguages(Form):
    """A form whose texts are there once for each language: `title_en`, `title_es`."""

    def words(self, name: str) -> Words:
        """What was written under `name`, languages left empty left out."""
        pairs = ((code, str(self[f"{name}_{code}"].data or "")) for code in LANGUAGES)
        return Words({code: value for code, value in pairs if value})

    def require_one(self, name: str, message: str) -> bool:
        """Whether `name` is there in at least one language; else an error at the first."""
        if self.words(name):
            return True
        self.add_error(f"{name}_{next(iter(LANGUAGES))}", message)
        return False


def spread(**texts: Words | None) -> dict[str, str]:
    """Field values from texts: `title` becomes `title_en` and `title_es`."""
    return {
        f"{name}_{code}": words.get(code, "") if words else ""
        for name, words in texts.items()
        for code in LANGUAGES
    }
