"""Numbers so small that they point at a person are not written.

The rule stands in docs/decisions/0014: what fewer than ten people did is not counted out to one,
two, three or four of them, and where people are told apart by something that others know of them,
no such number is written at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from flask import Flask
from flask_babel import gettext as _

from campaign.web.filters import number

FEWEST = 5
"""The smallest number that is written; none is written, too."""
SMALL = 10
"""Fewer people than these are a small group."""


class Veiled(StrEnum):
    """What stands in a number's place."""

    FEW = "few"  # 1 to 4
    HIDDEN = "hidden"  # it could be taken from a total, and the one that is veiled be known


Shown = int | Veiled


def veil(count: int) -> Shown:
    """A number about people who are told apart by what others know of them."""
    return Veiled.FEW if 0 < count < FEWEST else count


def veil_in(count: int, people: int) -> Shown:
    """A number of those `people` who did something."""
    return veil(count) if people < SMALL else count


def veil_column(counts: Sequence[int]) -> list[Shown]:
    """A column of `veil`s whose sum is known: a single veiled number never stands alone, for it
    would be the sum less the others."""
    shown = [veil(count) for count in counts]
    if shown.count(Veiled.FEW) == 1:
        others = [place for place, count in enumerate(counts) if count >= FEWEST]
        if others:
            shown[min(others, key=lambda place: counts[place])] = Veiled.HIDDEN
    return shown


def words(value: Shown | None) -> str:
    """As a page and a file write it."""
    if value is Veiled.FEW:
        return str(_("fewer than %(count)s", count=FEWEST))
    if value is Veiled.HIDDEN:
        return str(_("not shown"))
    return number(value)


def init_app(app: Flask) -> None:
    """Let every template write numbers so."""
    app.jinja_env.globals.update(few=words, veil_in=veil_in)
