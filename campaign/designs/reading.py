"""How hard a text is to read: the Flesch-Kincaid grade in English, INFLESZ in Spanish.

Both ask how long the sentences are and how many syllables a word has. English is by Kincaid et
al. (1975); Spanish by Szigriszt-Pazos (1993) on the scale INFLESZ of Barrio-Cantalejo et al.
(2008), which was made for what patients get to read. Spanish syllables follow from the spelling.
English ones do not and are estimated: over sixty thousand words of running text the sum was
within two in a hundred of a pronouncing dictionary's, less than half a grade, which is not worth
the dictionary.

It is a hint. A short text says nothing (one long name moves it by grades), and no number knows
whether a sentence makes sense.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

FEWEST_WORDS = 100
"""Both formulas were made on samples of a hundred words."""
MOST_WORDS = 20_000
COMFORTABLE_GRADE = 8
"""Half of all adults in the United States read at this grade or below (PIAAC)."""
COMFORTABLE_EASE = 55
"""INFLESZ calls what is below somewhat hard."""
LOWEST_GRADE, HIGHEST_GRADE = 1, 18


class Language(StrEnum):
    """The languages whose texts are measured."""

    ENGLISH = "en"
    SPANISH = "es"


class Ease(StrEnum):
    """The steps of INFLESZ."""

    VERY_EASY = "very easy"
    EASY = "easy"
    NORMAL = "normal"
    HARD = "hard"
    VERY_HARD = "very hard"


_STEPS = ((80.0, Ease.VERY_EASY), (65.0, Ease.EASY), (55.0, Ease.NORMAL), (40.0, Ease.HARD))


@dataclass(frozen=True, slots=True)
class Reading:
    """How hard the part of a text in one language is. `grade` is for English, `ease` (0 to 100,
    more is easier) for Spanish; the other is None."""

    language: Language
    words: int
    longest: str
    grade: int | None = None
    ease: float | None = None

    @property
    def step(self) -> Ease:
        """What INFLESZ calls it."""
        ease = self.ease or 0.0
        return next((step for least, step in _STEPS if ease > least), Ease.VERY_HARD)

    @property
    def is_comfortable(self) -> bool:
        """Whether most people read it without effort."""
        if self.grade is not None:
            return self.grade <= COMFORTABLE_GRADE
        return (self.ease or 0.0) >= COMFORTABLE_EASE


def read(paragraphs: Iterable[str], language: str = Language.ENGLISH) -> list[Reading]:
    """How hard a text is, for each language of which there is enough. Never raises.

    A paragraph is in the language its small words are of; one that does not tell is in that of
    the paragraph before it, the first in `language`.
    """
    found: dict[Language, list[str]] = {}
    now = Language.SPANISH if language == Language.SPANISH else Language.ENGLISH
    count = 0
    for paragraph in paragraphs:
        words = words_in(paragraph)
        count += len(words)
        if count > MOST_WORDS:
            break
        now = _language_of(words) or now
        found.setdefault(now, []).extend(sentences_in(paragraph))
    readings = (_measured(language, sentences) for language, sentences in found.items())
    return [reading for reading in readings if reading.words >= FEWEST_WORDS]


def _measured(language: Language, sentences: list[str]) -> Reading:
    split = [(sentence, words_in(sentence)) for sentence in sentences]
    split = [(sentence, words) for sentence, words in split if words]
    count = sum(len(words) for _sentence, words in split)
    if not count:
        return Reading(language, 0, "")
    longest = max(split, key=lambda pair: len(pair[1]))[0]
    syllables = sum(syllables_in(word, language) for _sentence, words in split for word in words)
    by_sentence, by_word = count / len(split), syllables / count
    if language is Language.SPANISH:
        ease = 206.835 - 62.3 * by_word - by_sentence
        return Reading(language, count, longest, ease=min(max(ease, 0.0), 100.0))
    grade = round(0.39 * by_sentence + 11.8 * by_word - 15.59)
    return Reading(language, count, longest, grade=min(max(grade, LOWEST_GRADE), HIGHEST_GRADE))


# --- sentences and words -------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s]*[^\s.,;:!?)]|[^\s@]{1,64}@[^\s@]{1,250}[^\s@.,;:!?)]", re.IGNORECASE
)
_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[¿¡]*[^\W_a-zà-öø-ÿ])")
_SHORT = re.compile(
    r"(?:^|[\s(“\"])(?:mr|mrs|ms|dr|dra|st|sr|sra|srta|prof|rev|gov|sen|rep|ald|ave|no|núm|vs|av|"
    r"ud|uds|[^\W\d_]|(?:[^\W\d_]\.)+[^\W\d_])\.$",
    re.IGNORECASE,
)


def words_in(text: str) -> list[str]:
    """The words of a text; numbers and addresses are none."""
    return _WORD.findall(_ADDRESS.sub(" ", text))


def sentences_in(paragraph: str) -> list[str]:
    """The sentences of a paragraph, each on one line. "Dr." and "a.m." end none."""
    line = " ".join(_ADDRESS.sub(" ", paragraph).split())
    begins = 0
    found: list[str] = []
    for match in _END.finditer(line):
        if not _SHORT.search(line[max(begins, match.start() - 12) : match.start()]):
            found.append(line[begins : match.end()].strip())
            begins = match.end()
    return [sentence for sentence in (*found, line[begins:].strip()) if sentence]


_SMALL_WORDS = {
    Language.ENGLISH: frozenset(
        (
            *("the", "and", "of", "to", "in", "is", "you", "that", "it", "for", "on", "are"),
            *("with", "as", "at", "be", "this", "have", "from", "or", "we", "your", "our"),
            *("will", "not", "they", "their"),
        )
    ),
    Language.SPANISH: frozenset(
        (
            *("el", "la", "los", "las", "de", "que", "y", "en", "un", "una", "es", "por", "con"),
            *("para", "su", "se", "del", "al", "lo", "como", "más", "pero", "sus", "le", "ya"),
            *("este", "esta", "nuestro", "nuestra", "usted"),
        )
    ),
}


def _language_of(words: list[str]) -> Language | None:
    """The language whose small words are more; None where neither's are."""
    lower = [word.lower() for word in words]
    english, spanish = (
        sum(word in _SMALL_WORDS[language] for word in lower) for language in Language
    )
    if english == spanish:
        return None
    return Language.ENGLISH if english > spanish else Language.SPANISH


# --- syllables -----------------------------------------------------------------------------------

_STRONG = frozenset("aeoáéíóú")
_SPANISH_VOWELS = re.compile(r"[aeiouáéíóúü]+(?:y(?![aeiouáéíóúü]))?|y$")
_QU = re.compile(r"(?<=[qg])u(?=[eiéí])")
_VOWELS = re.compile(r"[aeiouy]+")
_SILENT = re.compile(
    r"[^laeiouy]e$|[aeiouy]le$|[aeiouy]les$|[^aeioutdly]ed$|[aeiouy]led$|[^aeiouyscxzghl]es$|"
    r"(?<=[^aeiouy])e(?=(?:ments?|ly|ful|less|thing|body|where|times?)$)|eof$"
)
"""An e that is written and not spoken."""
_APART = re.compile(
    r"i[ao](?<!tio)(?<!cia)(?<!tia)(?<!sio)(?<!cio)(?<!gio)(?<!gia)|(?<!p)eo(?!u|f$|ple)|"
    r"(?<![qg])ua|u(?=e[lt]$)|(?<![qg])ui[nt]g?|[aeiouy]ing|ie[tn](?!d)(?<!cien)(?<!tien)|iu|ya[nr]|"
    r"(?:sm|thm)s?$|^create|creat(?=i|or)"
)
"""Two vowels side by side that are spoken apart, and an ending that is spoken with none."""


def syllables_in(word: str, language: str = Language.ENGLISH) -> int:
    """How many syllables a word has, at least one."""
    lower = unicodedata.normalize("NFC", word.lower())
    if language == Language.SPANISH:
        return _spanish(lower)
    return _english(lower)


def _spanish(word: str) -> int:
    """Each strong vowel or accented weak one is a syllable; a weak one joins its neighbours."""
    runs = _SPANISH_VOWELS.findall(_QU.sub("", word))
    return max(1, sum(max(1, sum(letter in _STRONG for letter in run)) for run in runs))


def _english(word: str) -> int:
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFD", word.replace("é", "ey"))
        if "a" <= letter <= "z"
    )
    count = len(_VOWELS.findall(plain)) + len(_APART.findall(plain))
    if len(plain) > 2:
        count -= len(_SILENT.findall(plain))
    return max(1, count)
