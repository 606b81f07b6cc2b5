"""One mailbox, many spellings: the canonical address and its hash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.mail.addresses import address_hash, canonical

local = st.from_regex(r"[a-z0-9]([a-z0-9.]{0,8}[a-z0-9])?", fullmatch=True)
domain = st.from_regex(r"[a-z][a-z0-9]{0,8}\.(org|example|com)", fullmatch=True)


@pytest.mark.parametrize(
    ("written", "same_as"),
    [
        ("Ada@Example.org", "ada@example.org"),
        ("  ada@example.org\n", "ada@example.org"),
        ("ada+clinic@example.org", "ada@example.org"),
        ("a.d.a@gmail.com", "ada@gmail.com"),
        ("a.d.a+x@googlemail.com", "ada@gmail.com"),
        ("ada@example.org.", "ada@example.org"),
        ("ａｄａ@example.org", "ada@example.org"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ADA@BÜCHER.EXAMPLE", "ada@xn--bcher-kva.example"),
    ],
)
def test_spellings_of_one_mailbox(written: str, same_as: str) -> None:
    assert canonical(written) == same_as
    assert address_hash(written) == address_hash(same_as)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.da@example.org", "ada@example.org"),
        ("ada@example.org", "ada@example.com"),
        ("+x@example.org", "+y@example.org"),
    ],
)
def test_different_mailboxes_stay_different(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@given(st.text(max_size=60))
def test_it_never_raises_and_is_stable(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
    assert len(address_hash(text)) == 64


@given(local, domain, st.from_regex(r"[a-z0-9]{0,6}", fullmatch=True))
def test_case_and_tags_make_no_difference(name: str, host: str, tag: str) -> None:
    plain = f"{name}@{host}"
    assert canonical(plain.upper()) == canonical(plain)
    assert canonical(f"{name}+{tag}@{host}") == canonical(plain)


@given(local, domain)
def test_the_hash_does_not_hold_the_address(name: str, host: str) -> None:
    assert host not in address_hash(f"{name}@{host}")
