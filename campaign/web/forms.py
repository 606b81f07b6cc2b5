"""The base of every form. The token is checked once for all routes (`web/csrf.py`), so forms
here only have fields; `form.is_posted_and_valid()` is the one question a view asks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask import request
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, Field, HiddenField, SelectMultipleField
from wtforms.i18n import get_translations

from campaign import clock
from campaign.db import Words
from campaign.tokens import fingerprint
from campaign.web.actor import actor
from campaign.web.csrf import SAFE
from campaign.web.filters import moment
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

    def label_of(self, field: Field) -> str:
        """What a field is called where it stands alone, as in the list of errors."""
        return str(field.label.text)

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

    def label_of(self, field: Field) -> str:
        """The label of a text that is there in several languages names which it is."""
        name, _line, code = field.name.rpartition("_")
        if code in LANGUAGES and all(f"{name}_{other}" in self for other in LANGUAGES):
            return f"{field.label.text} ({LANGUAGES[code]})"
        return super().label_of(field)

    def require_one(self, name: str, message: str) -> bool:
        """Whether `name` is there in at least one language; else an error at the first."""
        if self.words(name):
            return True
        self.add_error(f"{name}_{next(iter(LANGUAGES))}", message)
        return False


LastTime = tuple[datetime, uuid.UUID, str] | None
"""When something was last done, and the id and the name of who did it, as far as is known."""


class SharedForm(TwoLanguages):
    """A form for what several people write: none of them undoes another's change unseen.

    It carries a mark of what was stored when it was opened. The mark covers what its fields show
    and nothing else, so an answer that comes in meanwhile is in nobody's way. A form that brings
    no mark is taken as it comes.
    """

    seen = HiddenField()

    def is_mine(self, stored: Mapping[str, Any], last: Callable[[], LastTime]) -> bool:
        """Whether saving undoes nothing that was changed since the form was opened.

        `stored` are the values as they are now, read under the lock of their row. Otherwise the
        top says who it was, as far as `last` knows, and where the two differ; what was typed
        stays. The form is marked anew, so that sending it once more is a decision and is taken.
        Whoever wrote just what is stored (a button pressed twice) undoes nothing.
        """
        mark = fingerprint(json.dumps(stored, sort_keys=True, default=str))
        at, _dot, opened = (self.seen.data or "").partition(" ")
        self.seen.data = f"{clock.now().isoformat()} {mark}"
        if request.method in SAFE or opened in ("", mark):
            return True
        differing = self._differing(stored)
        if not differing:
            return True
        said = [
            _said(last(), since=at),
            _("Nothing is saved yet, and all you wrote is still here."),
            _("It differs in: %(fields)s.", fields=", ".join(differing)),
            _("Look at the other version in a new tab. If yours is right, save again."),
        ]
        self.add_error("", " ".join(said))
        return False

    def _differing(self, stored: Mapping[str, Any]) -> list[str]:
        """The labels of the fields that say something else than what is stored.

        A box not ticked is not sent; any other field that is not sent was not on the page.
        """
        labels = [
            self.label_of(field)
            for name, field in self._fields.items()
            if name in stored
            and (name in request.form or isinstance(field, BooleanField | SelectMultipleField))
            and _plain(field.data) != _plain(stored[name])
        ]
        return list(dict.fromkeys(labels))


def _said(last: LastTime, *, since: str) -> str:
    """Who changed it. What was done before the form was opened is not what stands in its way."""
    if last is None or last[0].isoformat() < since:
        return str(_("This was changed after you opened the page."))
    at, user_id, name = last
    if user_id == actor().user_id:
        return str(_("You changed this in another window on %(when)s.", when=moment(at)))
    return str(
        _(
            "%(name)s changed this on %(when)s, after you opened the page.",
            name=name,
            when=moment(at),
        )
    )


def _plain(value: Any) -> object:
    """A value without the difference between nothing, an empty text and a box not ticked."""
    if isinstance(value, list | tuple):
        return sorted(map(str, value)) or ""
    return "" if value is None or value is False else str(value).replace("\r\n", "\n")


def spread(**texts: Words | None) -> dict[str, str]:
    """Field values from texts: `title` becomes `title_en` and `title_es`."""
    return {
        f"{name}_{code}": words.get(code, "") if words else ""
        for name, words in texts.items()
        for code in LANGUAGES
    }
