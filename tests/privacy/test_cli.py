"""`campaign people erase`."""

from __future__ import annotations

import pytest
from flask import Flask

from campaign.db import db
from campaign.people.models import Person
from tests.factories.leftovers import traces_of
from tests.privacy.conftest import WORDS, Known


def run(app: Flask, *arguments: str, answer: str = "") -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["people", *arguments], input=answer)
    db.session.expire_all()
    return result.exit_code, result.output


def test_erase_by_address(app: Flask, known: Known) -> None:
    code, output = run(app, "erase", "XQ.unique+news@mail.example", "--yes")
    assert code == 0
    assert "erased people 1, signatures 1, files 1" in output
    assert traces_of(*WORDS) == {}
    assert not known.export_path.exists()


def test_it_asks_first_at_a_terminal(
    app: Flask, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True)
    code, _output = run(app, "erase", "xq.unique@mail.example", answer="n\n")
    assert code == 1
    assert db.session.get_one(Person, known.person.id).erased_at is None
    code, _output = run(app, "erase", "xq.unique@mail.example", answer="y\n")
    assert code == 0
    assert db.session.get_one(Person, known.person.id).erased_at is not None


def test_a_program_is_not_asked(app: Flask, known: Known) -> None:
    code, output = run(app, "erase", "xq.unique@mail.example")
    assert code == 0
    assert "erased people 1" in output


def test_an_unknown_address_is_a_failure(app: Flask) -> None:
    code, output = run(app, "erase", "nobody@mail.example", "--yes")
    assert code == 1
    assert "nobody here has that address" in output


def test_an_unknown_organization_is_wrong_use(app: Flask, known: Known) -> None:
    code, _output = run(
        app, "erase", "xq.unique@mail.example", "--organization", "no-such", "--yes"
    )
    assert code == 2


def test_only_in_one_organization(app: Flask, known: Known) -> None:
    code, _output = run(
        app, "erase", "xq.unique@mail.example", "--organization", "nurses-test", "--yes"
    )
    assert code == 1
    assert db.session.get_one(Person, known.person.id).erased_at is None


def test_count(app: Flask, known: Known) -> None:
    code, output = run(app, "count", "--organization", "stop-test")
    assert (code, output.strip()) == (0, "people 1, agreed to e-mail 1")
