"""`run.py` and the locks: what must work before anything is installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[\w,]+\])?==([^ ;\\]+)", re.MULTILINE)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`run.py` as a module whose checkout is an empty folder."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", str(tmp_path))
    monkeypatch.setattr(module, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(module, "PYTHON", str(tmp_path / ".venv" / "bin" / "python"))
    for name in ("requirements.lock", "requirements-test.lock"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return module


def test_it_uses_the_standard_library_alone() -> None:
    tree = ast.parse((ROOT / "run.py").read_text())
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert names <= set(sys.stdlib_module_names)


def test_an_old_python_can_read_it_to_say_what_it_needs() -> None:
    tree = ast.parse((ROOT / "run.py").read_text())
    too_new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Starred)
    assert [type(node).__name__ for node in ast.walk(tree) if isinstance(node, too_new)] == []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            assert not arguments.kwonlyargs, node.name
            assert node.returns is None, node.name
            assert not any(argument.annotation for argument in arguments.args), node.name
        assert not (isinstance(node, ast.Raise) and node.cause)


def test_an_old_python_goes_on_with_a_newer_one(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(run.sys, "version_info", (3, 6, 15, "final", 0))
    monkeypatch.setattr(run, "on_path", lambda name: ["/shim/broken", "/good/" + name])
    monkeypatch.setattr(run, "answers", lambda python, _code: python.startswith("/good/"))
    monkeypatch.setattr(run.os, "execv", lambda _path, arguments: became.append(arguments))
    monkeypatch.setenv("CAMPAIGN_FOUND_PYTHON", "")
    with pytest.raises(SystemExit):
        run.need_new_python()
    assert became[0][0] == "/good/python3.13"
    assert os.environ["CAMPAIGN_FOUND_PYTHON"] == "1"


def test_without_a_new_python_it_says_so_in_one_line(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.sys, "version_info", (2, 7, 18, "final", 0))
    monkeypatch.setattr(run, "on_path", lambda _name: [])
    with pytest.raises(SystemExit) as stop:
        run.need_new_python()
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "3.11 or newer" in said
    assert said.count("\n") == 1


def test_nothing_is_installed_until_the_stamp_is_written(run: ModuleType) -> None:
    assert not run.is_installed("runtime")
    python = Path(run.PYTHON)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    run.write(run.stamp_of("runtime"), run.fingerprint("runtime"))
    assert run.is_installed("runtime")
    assert not run.is_installed("test")


def test_a_changed_lock_or_a_moved_checkout_installs_again(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run.fingerprint("runtime")
    lock = Path(run.HERE, "requirements.lock")
    lock.write_text(lock.read_text() + "# changed\n")
    changed = run.fingerprint("runtime")
    moved = Path(run.HERE, "moved")
    moved.mkdir()
    (moved / "requirements.lock").write_text(lock.read_text())
    monkeypatch.setattr(run, "HERE", str(moved))
    assert len({before, changed, run.fingerprint("runtime")}) == 3


def test_what_an_interrupted_start_left_is_cleared_away(run: ModuleType) -> None:
    venv = Path(run.VENV)
    (venv / "lib" / "half").mkdir(parents=True)
    (venv / "bin").symlink_to("lib")
    (venv / "pyvenv.cfg").write_text("half")
    lock = venv / ".lock"
    lock.touch()
    run.clear_environment(str(lock))
    assert list(venv.iterdir()) == [lock]


def test_the_command_it_writes_starts_with_the_python_beside_it(
    run: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "a folder with spaces" / "bin"
    folder.mkdir(parents=True)
    command = folder / "campaign"
    run.write(str(command), run.COMMAND, 0o755)
    ast.parse(command.read_text())
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "print(\'beside it\')"\n')
    python.chmod(0o755)
    done = subprocess.run([command, "doctor"], capture_output=True, text=True, check=True)
    assert done.stdout == "beside it\n"


def test_a_wrong_word_shows_the_help_and_exits_2() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", "tset"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "python3 run.py test" in done.stdout


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_a_lock_pins_by_hash_and_names_no_registry(name: str) -> None:
    text = (ROOT / name).read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    for block in blocks:
        if PIN.match(block):
            assert "--hash=sha256:" in block, block.splitlines()[0]
    assert len(pins(name)) > 20
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links", text)


def test_both_locks_agree() -> None:
    runtime, tools = pins("requirements.lock"), pins("requirements-test.lock")
    both = set(runtime) & set(tools)
    assert both
    assert {name: runtime[name] for name in both} == {name: tools[name] for name in both}


def test_everything_that_is_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.lock": project["project"]["dependencies"],
        "requirements-test.lock": project["dependency-groups"]["test"],
    }
    for lock, requirements in wanted.items():
        names = {re.split(r"[\[<>=! ]", one)[0].lower().replace("_", "-") for one in requirements}
        locked = {name.replace("_", "-") for name in (pins("requirements.lock") | pins(lock))}
        assert names <= locked
