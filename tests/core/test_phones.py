"""Telephone numbers as people write and dial them."""

from __future__ import annotations

import pytest

from campaign.web.phones import phone_link, phone_words


@pytest.mark.parametrize(
    ("given", "words", "dialled"),
    [
        ("+17735550142", "(773) 555-0142", "tel:+1-773-555-0142"),
        ("773 555 0142", "(773) 555-0142", "tel:+1-773-555-0142"),
        ("312-555-0142 x12", "(312) 555-0142 ext. 12", "tel:+1-312-555-0142;ext=12"),
        ("+52 5512345678", "+52 55 1234 5678", "tel:+52-55-1234-5678"),
        ("555-0142", "555-0142", "tel:5550142"),
        ("+1234", "+1234", "tel:+1234"),
    ],
)
def test_numbers_are_shown_and_dialled(given: str, words: str, dialled: str) -> None:
    assert phone_words(given) == words
    assert phone_link(given) == f'<a class="nowrap" href="{dialled}">{words}</a>'


def test_what_is_no_number_stays_text() -> None:
    assert phone_link("") == phone_link(None) == ""
    assert phone_words(None) == ""
    assert phone_link("<b>4</b>") == "&lt;b&gt;4&lt;/b&gt;"
