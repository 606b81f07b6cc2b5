from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.organizations import colours

HEX = st.text("0123456789abcdef", min_size=6, max_size=6).map("#{}".format)


@pytest.mark.parametrize(
    ("one", "other", "contrast"),
    [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48), ("#0b5d5a", "#fbf8f3", 7.27)],
)
def test_contrast_as_wcag_counts_it(one: str, other: str, contrast: float) -> None:
    assert colours.contrast(one, other) == pytest.approx(contrast, abs=0.06)
    assert colours.contrast(other, one) == colours.contrast(one, other)


@given(HEX)
def test_every_colour_has_a_shade_for_dark_pages(accent: str) -> None:
    shade = colours.lighten_for_dark(accent)
    for paper in colours.DARK:
        assert colours.contrast(shade, paper) >= 4.5
    assert colours.contrast(shade, colours.text_on(shade)) >= 4.5


@given(HEX)
def test_what_is_accepted_can_be_read_everywhere(accent: str) -> None:
    if colours.least_contrast(accent) >= colours.TEXT_CONTRAST:
        for paper in colours.LIGHT:
            assert colours.contrast(accent, paper) >= 4.5
        assert colours.contrast(accent, colours.text_on(accent)) >= 4.5


def test_our_own_colours_pass() -> None:
    assert colours.least_contrast("#0b5d5a") >= 4.5
    assert colours.least_contrast("#63c7bd", dark=True) >= 4.5


@pytest.mark.parametrize("text", ["0B5D5A", "#0b5d5a", " #0B5D5A "])
def test_spellings(text: str) -> None:
    assert colours.parse(text) == "#0b5d5a"


def test_three_digits() -> None:
    assert colours.parse("#0bd") == "#00bbdd"


@pytest.mark.parametrize(
    "text", ["", "teal", "#12345", "#gggggg", "red;}body{", "#0b5d5a}", "#12٣456"]
)
def test_nothing_else_is_a_colour(text: str) -> None:
    with pytest.raises(ValueError, match="six hexadecimal"):
        colours.parse(text)


def test_style_sheet_takes_only_colours() -> None:
    assert colours.style_sheet("#0b5d5a", "#63c7bd") == (
        ":root{--accent:#0b5d5a;--on-accent:#ffffff}"
        "@media(prefers-color-scheme:dark){:root{--accent:#63c7bd;--on-accent:#06201e}}"
    )
    with pytest.raises(ValueError, match="six"):
        colours.style_sheet("#0b5d5a", "red}</style>")
