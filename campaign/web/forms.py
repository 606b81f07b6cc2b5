"""The base of every form. The token is checked once for all routes (`web/csrf.py`), so forms
here only have fields; `form.is_posted_and_valid()` is the one question a view asks."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import get_locale
from flask_wtf import FlaskForm
from wtforms.i18n import get_translations

from campaign.web.csrf import SAFE


class Form(FlaskForm):
    """A form bound to the request: posted values on an unsafe method, else the given object."""

    class Meta(FlaskForm.Meta):
        csrf = False
        locales = ("en", "es")

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
