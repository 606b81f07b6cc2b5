"""Forms of the results."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict

from campaign.results.queries import MOST_COMPARED, SORTS
from campaign.web.fields import hostile, text
from campaign.web.forms import Form

WORDS_LIMIT = 80


class AgainForm(Form):
    """What those read in their inbox who did not act the first time."""

    subject = text(_l("New subject"), required=True, limit=200)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which mailings somebody wants to see side by side, in what order; found in an address.

    Whatever makes no sense is left aside: an address is typed, shared and cut.
    """

    ids: tuple[uuid.UUID, ...] = ()
    sort: str = "-sent"
    words: str = ""

    @classmethod
    def of(cls, args: MultiDict[str, str]) -> Wish:
        ids = tuple(dict.fromkeys(_ids(args.getlist("id"))))[:MOST_COMPARED]
        sort, words = args.get("sort", ""), args.get("q", "").strip()[:WORDS_LIMIT]
        return cls(
            ids=ids,
            sort=sort if sort.removeprefix("-") in SORTS else "-sent",
            words="" if hostile(words) else words,
        )


def _ids(values: Sequence[str]) -> list[uuid.UUID]:
    found = []
    for value in values:
        try:
            found.append(uuid.UUID(value))
        except ValueError:
            continue
    return found
