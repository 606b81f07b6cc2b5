from __future__ import annotations

import uuid

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import Gone, NotFound
from campaign.tokens import Signer, fingerprint, random_token

KEY = "one-key-0123456789-abcdefghijklmnop"
OLD = "old-key-0123456789-abcdefghijklmnop"
values = st.one_of(
    st.text(max_size=50),
    st.integers(),
    st.lists(st.one_of(st.text(max_size=20), st.integers()), max_size=4),
)


@given(values)
def test_what_was_signed_is_read(value: object) -> None:
    signer = Signer(KEY)
    assert signer.read("form", signer.sign("form", value)) == value


@given(values, st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_changed_character_is_never_accepted_as_something_else(
    value: object, position: int, character: str
) -> None:
    signer = Signer(KEY)
    token = signer.sign("form", value)
    at = position % len(token)
    forged = token[:at] + character + token[at + 1 :]
    try:
        found = signer.read("form", forged)
    except NotFound:
        return
    assert found == value  # the last character of base64 may carry unused bits


@given(st.text(max_size=200))
def test_any_text_is_a_forgery_and_never_an_error(text: str) -> None:
    with pytest.raises(NotFound):
        Signer(KEY).read("form", text)


def test_a_token_serves_one_purpose() -> None:
    signer = Signer(KEY)
    with pytest.raises(NotFound):
        signer.read("unsubscribe", signer.sign("preferences", "x"))


def test_a_former_key_is_still_read_and_no_longer_signs() -> None:
    before = Signer(OLD).sign("form", 1)
    now = Signer(KEY, (OLD,))
    assert now.read("form", before) == 1
    with pytest.raises(NotFound):
        Signer(OLD).read("form", now.sign("form", 1))
    with pytest.raises(NotFound):
        Signer(KEY).read("form", before)


def test_an_old_token_is_gone_and_its_age_is_told() -> None:
    signer = Signer(KEY)
    with time_machine.travel("2026-06-01 12:00:00+00:00", tick=False) as traveller:
        token = signer.sign("form", "x")
        traveller.shift(3600)
        assert signer.read_with_age("form", token, max_age=3600) == ("x", 3600.0)
        traveller.shift(1)
        with pytest.raises(Gone):
            signer.read("form", token, max_age=3600)


def test_a_token_is_safe_in_a_path() -> None:
    token = Signer(KEY).sign("preferences", ["person", uuid.uuid4().hex])
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_random_tokens_have_128_bits_and_differ() -> None:
    tokens = {random_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(token) == 22 for token in tokens)


def test_only_a_hash_of_a_random_token_is_kept() -> None:
    token = random_token()
    assert fingerprint(token) == fingerprint(token)
    assert token not in fingerprint(token)
    assert len(fingerprint("\ud800")) == 64  # what a visitor put into the address


@given(st.lists(st.uuids(), max_size=5))
def test_ids_signed_together_are_signed_as_each_alone(ids: list[uuid.UUID]) -> None:
    signer = Signer(KEY)
    tokens = signer.sign_ids("unsubscribe", [row_id.bytes for row_id in ids])
    assert tokens == [signer.sign_id("unsubscribe", row_id) for row_id in ids]
    assert [signer.read_id("unsubscribe", token) for token in tokens] == ids
