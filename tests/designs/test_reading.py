"""How hard a text is to read: against texts whose grade is known, and against any text at all."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.designs import reading
from campaign.designs.reading import Ease, Language, read, sentences_in, syllables_in, words_in

EASY = "We meet at the clinic on Monday. Bring a friend. You can sit or stand. It is free. " * 8
HARD = (
    "Notwithstanding the aforementioned administrative determination regarding consolidation of "
    "neighborhood behavioral health facilities, the organization respectfully requests that "
    "municipal representatives immediately reconsider the appropriation. "
) * 6
GETTYSBURG = """Four score and seven years ago our fathers brought forth on this continent, a new
nation, conceived in Liberty, and dedicated to the proposition that all men are created equal. Now
we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so
dedicated, can long endure. We are met on a great battle-field of that war. We have come to
dedicate a portion of that field, as a final resting place for those who here gave their lives that
that nation might live. It is altogether fitting and proper that we should do this. But, in a
larger sense, we can not dedicate, we can not consecrate, we can not hallow, this ground."""
FACIL = "Vamos a la clínica el lunes. Traiga a su familia. La sala es grande. Todo es gratis. " * 8
DIFICIL = (
    "Considerando las determinaciones administrativas anteriormente mencionadas, correspondientes "
    "a la consolidación institucional de los establecimientos especializados, solicitamos "
    "respetuosamente la inmediata reconsideración presupuestaria de las autoridades municipales. "
) * 6


def test_texts_whose_grade_is_known() -> None:
    [easy], [hard], [known] = read([EASY]), read([HARD]), read([GETTYSBURG])
    assert easy.grade == reading.LOWEST_GRADE
    assert hard.grade == reading.HIGHEST_GRADE
    assert known.grade in {8, 9, 10}
    assert easy.is_comfortable
    assert not hard.is_comfortable
    assert known.longest.startswith("Four score")
    assert known.longest.endswith("created equal.")


def test_spanish_is_measured_as_spanish() -> None:
    [easy], [hard] = read([FACIL]), read([DIFICIL])
    assert (easy.language, easy.grade) == (Language.SPANISH, None)
    assert easy.step in {Ease.EASY, Ease.VERY_EASY}
    assert easy.is_comfortable
    assert hard.step is Ease.VERY_HARD
    assert not hard.is_comfortable


@pytest.mark.parametrize(
    ("ease", "step"),
    [
        (81, Ease.VERY_EASY),
        (70, Ease.EASY),
        (60, Ease.NORMAL),
        (55.1, Ease.NORMAL),
        (50, Ease.HARD),
        (40, Ease.VERY_HARD),
        (0, Ease.VERY_HARD),
    ],
)
def test_the_steps_of_the_scale(ease: float, step: Ease) -> None:
    assert reading.Reading(Language.SPANISH, 100, "", ease=ease).step is step


def test_a_letter_in_two_languages_is_two_texts() -> None:
    found = read([EASY, "Gracias.", FACIL])
    assert [one.language for one in found] == [Language.ENGLISH, Language.SPANISH]
    assert "Vamos" not in found[0].longest


def test_words_that_do_not_tell_are_in_the_language_of_the_letter() -> None:
    plain = "Lorena Moreno Castillo. " * 50
    assert read([plain], "es")[0].language is Language.SPANISH
    assert read([plain], "en")[0].language is Language.ENGLISH


def test_a_short_text_says_nothing() -> None:
    words = "word " * (reading.FEWEST_WORDS - 1)
    assert read([words]) == []
    assert len(read([f"{words} word"])) == 1
    assert read([]) == read([""]) == read(["https://clinics.org/" * 200]) == []


def test_what_ends_a_sentence_and_what_does_not() -> None:
    said = (
        "Dr. Moore came at 5 p.m. on Monday. He said: “No more.” We left, e.g. by bus. "
        "See https://clinics.org/x. ¿Viene usted? Sí. It costs 3.5 million. St. Paul is near…"
    )
    assert sentences_in(said) == [
        "Dr. Moore came at 5 p.m. on Monday.",
        "He said: “No more.”",
        "We left, e.g. by bus.",
        "See .",
        "¿Viene usted?",
        "Sí.",
        "It costs 3.5 million.",
        "St. Paul is near…",
    ]


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *(("clinic", 2), ("neighbor", 2), ("people", 2), ("the", 1), ("are", 1), ("use", 1)),
        *(("table", 2), ("tables", 2), ("created", 3), ("closed", 1), ("ended", 2), ("wishes", 2)),
        *(("statement", 2), ("somebody", 3), ("parties", 2), ("rhythm", 2)),
        *(("community", 4), ("hospital", 3), ("radio", 3), ("I", 1), ("Café", 2), ("don't", 1)),
    ],
)
def test_syllables_of_english(word: str, count: int) -> None:
    assert syllables_in(word) == count


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *(("ciudad", 2), ("país", 2), ("aéreo", 4), ("queso", 2), ("guitarra", 3), ("y", 1)),
        *(("pingüino", 3), ("prohibido", 4), ("ahora", 3), ("muy", 1), ("mayo", 2), ("hay", 1)),
        *(("construcción", 3), ("firmaríamos", 5), ("clínica", 3), ("cohete", 3), ("leer", 2)),
    ],
)
def test_syllables_of_spanish(word: str, count: int) -> None:
    assert syllables_in(word, "es") == count


words = st.lists(
    st.sampled_from(
        ["clinic", "we", "open", "the", "city", "neighbor", "vote", "door", "is", "near"]
    )
)


@given(st.lists(st.text()), st.text(max_size=3))
def test_any_text_is_read(paragraphs: list[str], language: str) -> None:
    for found in read(paragraphs, language):
        assert found.words >= reading.FEWEST_WORDS
        assert (found.grade is None) == (found.language is Language.SPANISH)
        assert found.grade is None or 1 <= found.grade <= 18
        assert found.ease is None or 0 <= found.ease <= 100
        assert found.longest in [
            sentence for paragraph in paragraphs for sentence in sentences_in(paragraph)
        ]


@given(st.text())
def test_sentences_hold_all_words_in_their_order(text: str) -> None:
    sentences = sentences_in(text)
    assert [word for one in sentences for word in words_in(one)] == words_in(text)
    assert all(one == one.strip() and "\n" not in one for one in sentences)


@given(st.text(min_size=1, max_size=60), st.sampled_from(["en", "es"]))
def test_any_word_has_a_syllable_and_no_more_than_letters(word: str, language: str) -> None:
    assert 1 <= syllables_in(word, language) <= max(1, 2 * len(word))


@given(st.lists(words.filter(lambda one: len(one) > 2), min_size=60, max_size=80))
def test_sentences_run_together_are_never_easier(sentences: list[list[str]]) -> None:
    apart = " ".join(f"{' '.join(one).capitalize()}." for one in sentences)
    together = f"{' '.join(word for one in sentences for word in one).capitalize()}."
    [first], [second] = read([apart]), read([together])
    assert first.grade is not None
    assert second.grade is not None
    assert first.grade <= second.grade


@given(st.integers(1, 30))
def test_longer_words_are_never_easier(places: int) -> None:
    def text(count: int) -> str:
        return " ".join(
            ["The organizational representatives came in."] * count
            + ["The good old folks came in."] * (30 - count)
        )

    [easier], [harder] = read([text(places - 1)]), read([text(places)])
    assert easier.grade is not None
    assert harder.grade is not None
    assert easier.grade <= harder.grade


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "a@" * 50_000, "Dr. " * 25_000, "a." * 50_000, ". " * 50_000, "“" * 100_000],
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    read([text])
    read([text], "es")
    assert time.process_time() - begun < 3
