"""The grammar of blocks: what is one, what is not and why, and what a letter makes of it."""

from __future__ import annotations

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign.designs import blocks, cards
from campaign.designs.blocks import Block, EventFact, Flaw, Kind, PetitionFact, PictureFact
from campaign.designs.cards import Cards, Missing
from campaign.mailings import writing

EVENT = EventFact(
    "Vigil & song", "Tue, Jun 16, 6:00 PM CDT", "Woodlawn", "https://x.example/e/v", "I will come"
)
PETITION = PetitionFact(
    "Keep it open", "https://x.example/p/k", "Sign now", 62, "620 people have signed."
)
PICTURE = PictureFact("https://x.example/images/a.png", "A march", 536, 268)
KNOWN = Cards(
    {
        ("event", "v"): EVENT,
        ("petition", "k"): PETITION,
        ("image", "m"): PICTURE,
        ("event", "gone"): Missing("event over"),
    }
)


def flaws(source: str) -> list[tuple[Flaw, int]]:
    return [(problem.flaw, problem.line) for problem in blocks.parse(source).problems]


def test_blocks_stand_between_text() -> None:
    source = (
        "Dear\n\n::: petition k\nButton:  Sign : it \n\n:::\nafter\n::: quote\nwords: So it is\n:::"
    )
    parsed = blocks.parse(source)
    assert parsed.problems == ()
    first, petition, between, quote = parsed.pieces
    assert (first, between) == ("Dear\n", "after")
    assert isinstance(petition, Block)
    assert (petition.kind, petition.name, petition.line) == (Kind.PETITION, "k", 3)
    assert petition.values == {"button": "Sign : it"}
    assert isinstance(quote, Block)
    assert quote.line == 8


@pytest.mark.parametrize(
    ("source", "flaw", "line"),
    [
        ("::: dance\n:::", Flaw.UNKNOWN, 1),
        ("x\n::: petition\n:::", Flaw.NO_NAME, 2),
        ("::: quote me\nwords: x\n:::", Flaw.NAME, 1),
        ("::: petition k\nbutton: x", Flaw.NOT_CLOSED, 1),
        ("::: petition k\n::: event v\n:::", Flaw.NOT_CLOSED, 1),
        (":::", Flaw.STRAY_END, 1),
        ("::: petition k l\n:::", Flaw.UNREADABLE, 1),
        ("::::\n", Flaw.UNREADABLE, 1),
        ("::: petition k\nnot a line\n:::", Flaw.LINE, 2),
        ("::: petition k\ncolour: red\n:::", Flaw.KEY, 2),
        ("::: petition k\nbutton: a\nbutton: b\n:::", Flaw.TWICE, 3),
        ("::: button\nwords: x\n:::", Flaw.LACKS, 1),
        ("::: button\nwords: x\nto: javascript:alert(1)\n:::", Flaw.ADDRESS, 1),
        ("::: image m\nlink: www.example.org\n:::", Flaw.ADDRESS, 1),
        ("::: letter\nwords: x\nbutton: y\nto: nobody\n:::", Flaw.ADDRESS, 1),
        ("::: quote\nwords: " + "x" * 3000 + "\n:::", Flaw.TOO_LONG, 2),
        ("\n".join("::: quote\nwords: x\n:::" for _ in range(41)), Flaw.TOO_MANY, 121),
    ],
)
def test_what_is_not_exactly_like_it_is_refused_with_its_line(
    app: Flask, source: str, flaw: Flaw, line: int
) -> None:
    assert (flaw, line) in flaws(source)
    assert all(cards.problem_words(problem) for problem in blocks.parse(source).problems)


def test_code_may_show_how_a_block_is_written() -> None:
    parsed = blocks.parse("```\n::: dance\n```\n\n::: quote\nwords: x\n:::")
    assert parsed.problems == ()
    assert len(parsed.blocks) == 1


@given(st.text(alphabet=st.sampled_from(list(":\n abcpetition kquotewords`~-{}<>|")), max_size=200))
def test_no_text_breaks_it_and_nothing_gets_lost(source: str) -> None:
    parsed = blocks.parse(source)
    again = "\n".join(piece if isinstance(piece, str) else piece.source for piece in parsed.pieces)
    assert again == source
    writing.render(source)


@given(st.sampled_from(list(Kind)), st.text(max_size=60))
def test_what_is_written_is_read_back(kind: Kind, said: str) -> None:
    said = " ".join(said.split())
    shape = blocks.SHAPES[kind]
    values = {key: "https://a.example" for key in shape.addresses if key in shape.required}
    values |= {key: said or "x" for key in shape.required if key not in values}
    text = blocks.write(kind, "k" if shape.named else "", **values)
    parsed = blocks.parse(text)
    assert parsed.problems == ()
    assert parsed.blocks[0].values == values


def rendered(source: str) -> writing.Written:
    return writing.render(
        source, known=KNOWN, link=lambda url: f"{url}?counted", address_words="Or:"
    )


def test_an_event_is_a_card_with_a_button() -> None:
    written = rendered("::: event v\n:::")
    assert 'class="card"' in written.html
    assert "Vigil &amp; song" in written.html
    assert "https://x.example/e/v?counted" in written.html
    assert "Or:" not in written.html
    assert written.text == (
        "Vigil & song\n\nTue, Jun 16, 6:00 PM CDT\nWoodlawn\n\n"
        "I will come:\nhttps://x.example/e/v\n"
    )


def test_a_petition_has_a_bar_of_cells() -> None:
    written = rendered("::: petition k\nbutton: Do it\n:::")
    assert 'class="bar-done" width="62%"' in written.html
    assert 'class="bar-rest" width="38%"' in written.html
    assert written.text.endswith("620 people have signed.\n\nDo it:\nhttps://x.example/p/k\n")


def test_a_picture_has_its_size_and_its_words() -> None:
    written = rendered("::: image m\nlink: https://a.example\ncaption: In May\n:::")
    assert 'alt="A march" width="536" height="268"' in written.html
    assert written.text == "[A march] (https://a.example)\n\nIn May\n"
    assert 'alt="Other words"' in rendered("::: image m\nalt: Other words\n:::").html


def test_a_letter_leads_to_an_address() -> None:
    source = "::: letter\ntitle: Write\nwords: Two sentences.\nto: a@b.example\nsubject: Vote & win\ntext: I live here\nbutton: Write now\n:::"
    written = rendered(source)
    assert (
        'href="mailto:a@b.example?subject=Vote%20%26%20win&amp;body=I%20live%20here"'
        in written.html
    )
    assert written.text == "Write\n\nTwo sentences.\n\nWrite now:\na@b.example\n"
    web = rendered(source.replace("a@b.example", "https://b.example/form"))
    assert "I live here" in web.text
    assert "https://b.example/form?counted" in web.html


def test_quotes_buttons_and_names_in_them() -> None:
    source = '::: quote\nwords: <b>{{ first_name|Friend & co }}</b> "so"\nwho: Ana\n:::\n\n::: button\nwords: Go\nto: https://a.example/x\n:::'
    written = rendered(source)
    assert "&lt;b&gt;{{ first_name|Friend &amp; co }}&lt;/b&gt;" in written.html
    assert "> — Ana" in written.text
    assert "Go:\nhttps://a.example/x" in written.text


def test_what_is_gone_is_left_out_and_said(app: Flask) -> None:
    source = "Before\n\n::: event gone\n:::\n\nAfter\n"
    assert rendered(source).text == "Before\n\nAfter\n"
    found = writing.findings("Hi", "", source, known=KNOWN)
    assert [(one.code, one.level, one.line) for one in found if one.code == "block"] == [
        ("block", "stop", 3)
    ]


def test_an_address_holds_no_merge_field(app: Flask) -> None:
    source = "::: button\nwords: Go\nto: https://a.example/{{ postal_code|0 }}\n:::"
    codes = [finding.code for finding in writing.findings("Hi", "", source, known=KNOWN)]
    assert "field_in_link" in codes
    assert "{{" not in rendered(source).html.partition("href")[2].partition(">")[0]
