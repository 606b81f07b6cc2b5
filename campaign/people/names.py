"""How a person is found again: names without accents and case, phones by their last digits.

Searching compares keys that are kept in indexed columns, so that a million people answer as
quickly as a hundred. These functions make the keys and are used alike for writing and asking.
"""

from __future__ import annotations

import re
import unicodedata

WORD_LIMIT = 40
WORDS_LIMIT = 12
HIGHEST = "\U0010ffff"

_WORDS = re.compile(r"[^\W_]+")
_NOT_DIGITS = re.compile(r"[^0-9]")


def fold(text: str) -> str:
    """`text` for comparing: "García-López" and "garcia lopez" are one."""
    if text.isascii():
        return " ".join(_WORDS.findall(text.lower().replace("'", "")))
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(_WORDS.findall(plain.replace("'", "").replace("’", "")))


def search_key(first_name: str, last_name: str) -> str:
    """The folded "last first" of a person: what lists are ordered and compared by."""
    return fold(f"{last_name} {first_name}")[:420].strip()


def words(key: str) -> list[str]:
    """The different words of a search key, cut to a length that an index holds."""
    return list(dict.fromkeys(word[:WORD_LIMIT] for word in key.split()))[:WORDS_LIMIT]


def phone_key(phone: str) -> str:
    """The digits from last to first: people remember and type the end of a number."""
    return _NOT_DIGITS.sub("", unicodedata.normalize("NFKC", phone))[::-1][:20]


def agree(one: str, other: str) -> bool:
    """Whether two names (or parts of a name) do not contradict each other: alike, or one blank."""
    folded, wanted = fold(one), fold(other)
    return not folded or not wanted or folded == wanted


def tag_key(name: str) -> str:
    """What makes two spellings one tag; a tag of signs alone (an emoji) keeps them."""
    return (fold(name) or " ".join(name.split()).casefold())[:80]
