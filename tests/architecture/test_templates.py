"""Templates: each parses, belongs to a page, and says nothing that the content policy forbids."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import nodes

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
BASES = {"base.html", "organizer.html", "bare.html", "email/base.html", "email/base.txt"}
LETTER = {"subject.txt", "body.txt", "body.html"}


def every() -> list[str]:
    return sorted(
        path.relative_to(TEMPLATES).as_posix()
        for path in TEMPLATES.rglob("*")
        if path.suffix in {".html", ".txt", ".xml", ".svg"}
    )


def read(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def is_part(name: str) -> bool:
    return name.startswith("macros/") or Path(name).name.startswith("_")


def references(name: str, app: Flask) -> set[str]:
    """The templates that a template extends, includes or imports by a plain name."""
    tree = app.jinja_env.parse(read(name))
    kinds = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
    found: set[str] = set()
    for node in tree.find_all(kinds):
        for constant in node.template.find_all(nodes.Const):
            found.add(str(constant.value))
        if isinstance(node.template, nodes.Const):
            found.add(str(node.template.value))
    return found


@pytest.mark.parametrize("name", every())
def test_parses(name: str, app: Flask) -> None:
    app.jinja_env.get_template(name)


def test_every_page_extends_a_base(app: Flask) -> None:
    bare = [
        name
        for name in every()
        if name.endswith(".html")
        and name not in BASES
        and not is_part(name)
        and not any(True for _ in app.jinja_env.parse(read(name)).find_all(nodes.Extends))
    ]
    assert bare == []


def test_every_template_is_used(app: Flask) -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "campaign").rglob("*.py"))
    used = set(re.findall(r"[\"']([\w/.-]+\.(?:html|txt|xml|svg))[\"']", code))
    for name in every():
        used |= references(name, app)
    idle = []
    for name in every():
        folder = str(Path(name).parent)
        is_letter = folder.startswith("email/") and Path(name).name in LETTER
        if is_letter:
            words = folder.removeprefix("email/")
            named = words in code or words.split("/")[-1] in code
        else:
            named = name in used
        if not named:
            idle.append(name)
    assert idle == []


def test_every_template_that_is_named_exists(app: Flask) -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "campaign").rglob("*.py"))
    rendered = set(re.findall(r"render_template\(\s*[\"']([^\"']+)[\"']", code))
    for name in every():
        rendered |= {one for one in references(name, app) if "." in one}
    assert sorted(name for name in rendered if not (TEMPLATES / name).exists()) == []


def test_every_letter_has_its_three_files_and_a_subject_of_one_line() -> None:
    folders = {path.parent for path in (TEMPLATES / "email").glob("*/*/*") if path.is_file()}
    assert folders
    for folder in folders:
        assert {path.name for path in folder.iterdir()} >= LETTER, folder
        subject = (folder / "subject.txt").read_text("utf-8")
        spoken = re.sub(r"\{%.*?%\}|\{#.*?#\}", "", subject, flags=re.DOTALL).strip()
        assert spoken, folder
        assert "\n" not in spoken, folder


FORBIDDEN = {
    "a style attribute": re.compile(r"<[^>{]*\sstyle\s*=", re.IGNORECASE),
    "an inline handler": re.compile(r"<[^>]*\son[a-z]+\s*=\s*[\"']", re.IGNORECASE),
    "a javascript: address": re.compile(r"(href|src|action)\s*=\s*[\"']\s*javascript:", re.I),
    "a file from elsewhere": re.compile(
        r"<(script|link|img|iframe)\b[^>]*(src|href)=[\"']https?://"
    ),
    "a script without nonce": re.compile(r"<script(?![^>]*(nonce|src)=)", re.IGNORECASE),
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_page_holds(what: str) -> None:
    pages = [name for name in every() if not name.startswith("email/") and "email" not in name]
    offenders = [
        f"{name}:{number}"
        for name in pages
        for number, line in enumerate(read(name).splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert offenders == []
