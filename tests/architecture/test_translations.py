"""Everything that is said in English is said in every other language, too."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from campaign.web.languages import DEFAULT, LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
OTHERS = sorted(set(LANGUAGES) - {DEFAULT})
KEYWORDS = {
    "_": None,
    "_l": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "lazy_ngettext": (1, 2),
}
PLACEHOLDER = re.compile(r"%\((\w+)\)[sdif]")


@cache
def spoken() -> dict[str, str]:
    """Every marked text and where it stands, as `pybabel extract -F pyproject.toml` finds it."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["babel"]
    methods = [(one["pattern"], one["method"]) for one in mappings["mappings"]]
    found: dict[str, str] = {}
    for folder in ("campaign", "templates"):
        here = [(p.removeprefix(f"{folder}/"), m) for p, m in methods if p.startswith(folder)]
        for file, line, text, _comments, _context in extract_from_dir(
            str(ROOT / folder), method_map=here, keywords=KEYWORDS
        ):
            key = text[0] if isinstance(text, tuple) else text
            if key:
                found.setdefault(key, f"{folder}/{file}:{line}")
    return found


@cache
def catalog(language: str) -> dict[str, Message]:
    path = ROOT / "campaign" / "translations" / language / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return {
            message.id[0] if isinstance(message.id, (tuple, list)) else message.id: message
            for message in read_po(file, locale=language)
            if message.id
        }


def strings(message: Message) -> list[str]:
    return list(message.string) if isinstance(message.string, (tuple, list)) else [message.string]


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_in_english(language: str) -> None:
    done = catalog(language)
    assert len(spoken()) > 100
    missing = {
        text: place
        for text, place in spoken().items()
        if text not in done or done[text].fuzzy or not all(strings(done[text]))
    }
    assert missing == {}


@pytest.mark.parametrize("language", OTHERS)
def test_placeholders_are_kept(language: str) -> None:
    """Each form has those of the English one it stands for: a singular may do without its number,
    and a plural that lost it says nothing."""
    for text, message in catalog(language).items():
        forms = list(message.id) if isinstance(message.id, (tuple, list)) else [text]
        for place, string in enumerate(strings(message)):
            wanted = set(PLACEHOLDER.findall(forms[min(place, len(forms) - 1)]))
            given = set(PLACEHOLDER.findall(string))
            assert given == wanted or (len(forms) > 1 and given ^ wanted == {"num"}), text


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_translated_that_nobody_says(language: str) -> None:
    assert sorted(set(catalog(language)) - set(spoken())) == []
