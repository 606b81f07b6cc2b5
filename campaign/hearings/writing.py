"""How long a written testimony takes to say, and how many pages it fills."""

from __future__ import annotations

import math
import re

from babel import Locale
from flask_babel import get_locale

READING_ALOUD = {
    "en": 228,
    "es": 218,
    "ar": 138,
    "de": 179,
    "fr": 195,
    "he": 187,
    "it": 188,
    "ja": 193,
    "pl": 166,
    "pt": 181,
    "ru": 184,
    "tr": 166,
    "zh": 158,
}
"""Words a minute when practised readers read aloud (Trauzettel-Klosinski and Dietz, "Standardized
Assessment of Reading Performance: The New International Reading Speed Texts IReST", 2012)."""

ENGLISH_PACE = 130
"""Words of English a minute before a council: slower than reading to oneself, with pauses, nerves
and an amplifier. Other languages keep their distance to English as it was measured."""

SIGNS_A_WORD = {"zh": 1.6, "ja": 2.3}
"""How many signs stand for a word where none are set apart (the same texts)."""

WORDS_A_PAGE = 450
"""Letter paper, 12 points, a line and a half apart, one-inch margins."""

_WORD = re.compile(r"[^\W_]+(?:['’.,:-][^\W_]+)*")
_SIGN = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def words_in(text: str, language: str = "en") -> int:
    """How many words a text has; "3:30" and "don't" are one each."""
    signs = len(_SIGN.findall(text))
    plain = len(_WORD.findall(_SIGN.sub(" ", text)))
    return plain + math.ceil(signs / SIGNS_A_WORD.get(language, 1.6))


def pace(language: str) -> int:
    """Words a minute for somebody who testifies in a language; English's for one we do not know."""
    base = language.lower().split("-")[0]
    known = READING_ALOUD.get(base, READING_ALOUD["en"])
    return round(ENGLISH_PACE * known / READING_ALOUD["en"])


def minutes_for(text: str, language: str) -> float:
    """How long it takes to say, in minutes, rounded up to the half: better short than cut off."""
    return math.ceil(2 * words_in(text, language) / pace(language)) / 2


def pages_for(text: str, language: str = "en") -> int:
    """How many pages it fills as a statement on paper."""
    return math.ceil(words_in(text, language) / WORDS_A_PAGE)


def language_names() -> dict[str, str]:
    """The languages somebody may speak in, by their names in the reader's own: ours come first."""
    names = Locale(str((get_locale() or Locale("en")).language)).languages
    others = sorted(set(READING_ALOUD) - {"en", "es"}, key=lambda code: str(names[code]))
    return {
        code: str(names[code])[:1].upper() + str(names[code])[1:] for code in ("en", "es", *others)
    }
