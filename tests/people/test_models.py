"""The ledger refuses to be rewritten, whoever asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from campaign.db import db
from campaign.people.models import AppendOnlyError, Consent, ConsentWording
from tests.factories.organizations import make_organization
from tests.factories.people import make_consent, make_person


@pytest.fixture
def line(app: Flask) -> Consent:
    organization = make_organization()
    return make_consent(make_person(organization), organization)


def test_a_line_is_not_changed(line: Consent) -> None:
    line.is_granted = False
    with pytest.raises(AppendOnlyError):
        db.session.flush()
    db.session.rollback()


def test_a_line_is_not_deleted(line: Consent) -> None:
    db.session.delete(line)
    with pytest.raises(AppendOnlyError):
        db.session.flush()
    db.session.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        lambda: update(Consent).values(is_granted=False),
        lambda: delete(Consent),
        lambda: update(ConsentWording).values(text="other words"),
        lambda: delete(ConsentWording),
    ],
)
def test_statements_do_not_rewrite_it(line: Consent, statement: Callable[[], object]) -> None:
    with pytest.raises(AppendOnlyError):
        db.session.execute(statement())  # type: ignore[call-overload]
    assert db.session.scalars(select(Consent.is_granted)).all() == [True]


def test_a_wording_is_not_changed(line: Consent) -> None:
    wording = line.wording
    assert wording is not None
    wording.text = "other words"
    with pytest.raises(AppendOnlyError):
        db.session.flush()
    db.session.rollback()
