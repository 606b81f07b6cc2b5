"""Names in letters that a font lacks, written in letters that it has.

A clerk who reads out a list and a neighbor who looks for their line need something to go by. An
alphabet is spelled by the names that Unicode gives its letters: not how a scholar would write it,
but how its owner recognizes it. Signs of another kind are said to be there; pictures are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from flask_babel import gettext as _

_SPELLED = re.compile(
    r"(?:HANGUL SYLLABLE|ETHIOPIC SYLLABLE(?: GLOTTAL)?"
    r"|(?:HIRAGANA|KATAKANA|DEVANAGARI|BENGALI|GURMUKHI|GUJARATI|ORIYA|TAMIL|TELUGU|KANNADA|MALAYALAM|SINHALA) LETTER(?: SMALL)?) ([A-Z]+)"
)
_BY_NAME = re.compile(r"(?:ARABIC|HEBREW) LETTER (?:FINAL )?([A-Z]+)")
_VOWEL = re.compile(r" (?:VOWEL SIGN ([A-Z]+)|SIGN VIRAMA)$")
_NAMED = dict(
    pair.split(":")
    for pair in [
        "ALEF:a",
        "BEH:b",
        "PEH:p",
        "TEH:t",
        "THEH:th",
        "JEEM:j",
        "TCHEH:ch",
        "HAH:h",
        "KHAH:kh",
        "DAL:d",
        "THAL:dh",
        "REH:r",
        "ZAIN:z",
        "JEH:zh",
        "SEEN:s",
        "SHEEN:sh",
        "SAD:s",
        "DAD:d",
        "TAH:t",
        "ZAH:z",
        "AIN:a",
        "GHAIN:gh",
        "FEH:f",
        "QAF:q",
        "KAF:k",
        "KEHEH:k",
        "GAF:g",
        "LAM:l",
        "MEEM:m",
        "NOON:n",
        "HEH:h",
        "WAW:w",
        "YEH:y",
        "FARSI:y",
        "HAMZA:",
        "BET:b",
        "GIMEL:g",
        "DALET:d",
        "HE:h",
        "VAV:v",
        "ZAYIN:z",
        "HET:h",
        "TET:t",
        "YOD:y",
        "LAMED:l",
        "MEM:m",
        "NUN:n",
        "SAMEKH:s",
        "AYIN:a",
        "PE:p",
        "TSADI:ts",
        "QOF:q",
        "RESH:r",
        "SHIN:sh",
        "TAV:t",
    ]
)
_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Mn", "Me", "Mc"}
_PICTURES = {"So", "Sk", "Cn"}
_CHINESE, _OTHER = "\ue001", "\ue002"


def spell(text: str, has: Callable[[str], bool]) -> str:
    """`text` in letters that `has` says are there. Controls and marks without a letter go."""
    composed = unicodedata.normalize("NFC", text)
    found = " ".join(_word(word, has) for word in composed.split(" "))
    found = re.sub(f"{_CHINESE}+", "[" + _("Chinese characters") + "]", found)
    return re.sub(f"{_OTHER}+", "[" + _("other letters") + "]", found)


def _word(word: str, has: Callable[[str], bool]) -> str:
    found = ""
    for letter in word:
        vowel = _VOWEL.search(unicodedata.name(letter, ""))
        if vowel:  # it takes the place of the "a" that a consonant has by itself
            found = found.removesuffix("a") + (vowel[1] or "").lower()
        else:
            found += _written(letter, has)
    return found if any(map(has, word)) else found.capitalize()


def _written(letter: str, has: Callable[[str], bool]) -> str:
    kind = unicodedata.category(letter)
    if kind in _UNSEEN or has(letter):
        return "" if kind in _UNSEEN else letter
    plain = "".join(
        part
        for part in unicodedata.normalize("NFKD", letter)
        if unicodedata.category(part) not in _UNSEEN
    )
    if plain and all(map(has, plain)):
        return plain
    name = unicodedata.name(letter, "")
    spelled = _SPELLED.match(name)
    if spelled:
        return spelled[1].lower()
    named = _BY_NAME.match(name)
    if named and named[1] in _NAMED:
        return _NAMED[named[1]]
    if name.startswith("CJK"):
        return _CHINESE
    return "" if kind in _PICTURES or name.endswith("SOUND MARK") else _OTHER
