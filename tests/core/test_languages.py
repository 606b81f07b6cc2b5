from __future__ import annotations

import gettext
import os
from pathlib import Path

import pytest

from campaign.web.languages import compile_catalogs, known

SOURCE = (
    'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "{}"\nmsgstr "{}"\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "es" / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "messages.po").write_text(SOURCE.format("clinic", "clínica"), "utf-8")
    return tmp_path


def translated(folder: Path, text: str) -> str:
    with (folder / "es" / "LC_MESSAGES" / "messages.mo").open("rb") as file:
        return gettext.GNUTranslations(file).gettext(text)


def test_a_missing_catalog_is_compiled_once(folder: Path) -> None:
    assert compile_catalogs(folder) == ["es"]
    assert translated(folder, "clinic") == "clínica"
    assert compile_catalogs(folder) == []
    assert {path.name for path in (folder / "es" / "LC_MESSAGES").iterdir()} == {
        "messages.po",
        "messages.mo",
    }


def test_a_changed_source_is_compiled_again(folder: Path) -> None:
    compile_catalogs(folder)
    source = folder / "es" / "LC_MESSAGES" / "messages.po"
    source.write_text(SOURCE.format("clinic", "la clínica"), "utf-8")
    later = source.with_suffix(".mo").stat().st_mtime + 5
    os.utime(source, (later, later))
    assert compile_catalogs(folder) == ["es"]
    assert translated(folder, "clinic") == "la clínica"


def test_nothing_to_compile_is_no_error(tmp_path: Path) -> None:
    assert compile_catalogs(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("es", "es"),
        ("es-MX", "es"),
        ("ES_us", "es"),
        ("en", "en"),
        ("fr", None),
        ("", None),
        (None, None),
        ("../es", None),
        ("e\0s", None),
    ],
)
def test_only_our_languages_are_known(given: str | None, wanted: str | None) -> None:
    assert known(given) == wanted
