"""How the source is laid out: who commits, who reads the environment, what files are called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "campaign"
EDGES = {"views", "cli", "tasks"}
COMMITTING = {
    "at_once.py": "writers who meet share one commit, and are told when it is done",
    "db.py": "`writing` ends the read transaction",
    "mail/delivery.py": "claims and attempts are committed before a byte leaves",
    "web/requests.py": "nobody waits for a transaction while a file comes in",
    "mail/mailbox.py": "to store is to send: what was stored stays, whatever comes after",
    "mail/sweeping.py": "each step of a sweep stands, whatever becomes of the next",
    "mail/webhook.py": "one event that cannot be worked in leaves the others as they are",
}
SHAPELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base"}
WORDS = {"gettext", "ngettext", "lazy_gettext", "lazy_ngettext"}
PLAIN = {"models", "queries", "services", "tasks", "delivery"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def is_edge(path: Path) -> bool:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] == "operations" or bool(EDGES & set(parts))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_only_the_edge_commits() -> None:
    offenders = [
        f"{name(path)}:{call.lineno}"
        for path in sources()
        if not is_edge(path) and name(path) not in COMMITTING
        for call in calls(ast.parse(path.read_text("utf-8")))
        if isinstance(call.func, ast.Attribute) and call.func.attr == "commit"
    ]
    assert offenders == [], "a service leaves the commit to the view, command or task above it"


def test_no_file_without_a_subject() -> None:
    offenders = [name(path) for path in sources() if path.stem in SHAPELESS]
    assert offenders == [], "name a file by what it is about"


def test_settings_are_read_in_one_place() -> None:
    offenders = [
        name(path)
        for path in sources()
        if path.name != "settings.py" and re.search(r"os\.(environ|getenv)", path.read_text())
    ]
    assert offenders == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name(path)
        for path in sources()
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_plain_files_take_only_words_from_flask_babel() -> None:
    """An error's message is written where it is raised; how dates and numbers look is not."""
    offenders = []
    for path in sources():
        if path.stem not in PLAIN:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "flask_babel":
                names = {alias.name for alias in node.names}
                if names - WORDS:
                    offenders.append(f"{name(path)}: {sorted(names)}")
    assert offenders == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "NotImplementedError"])
def test_nothing_is_left_for_later(word: str) -> None:
    offenders = [name(path) for path in sources() if re.search(rf"\b{word}\b", path.read_text())]
    assert offenders == []


def test_every_exemption_of_a_checker_gives_a_reason() -> None:
    bare = re.compile(r"#\s*(noqa|type: ignore)(?!(\[|: ?[A-Z]+[0-9]))")
    offenders = [
        f"{name(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert offenders == [], "name the rule that is set aside"
