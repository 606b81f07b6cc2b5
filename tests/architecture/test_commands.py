"""Every command shows how it is called, in lines that can be copied into a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from flask import Flask

NOT_OURS = {"db", "routes", "run", "shell"}


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


def examples(text: str) -> list[list[str]]:
    """The calls of `campaign` in a help text as a shell would split them."""
    _, _, shown = text.partition("Example")
    lines = re.sub(r"\\\n\s*", "", shown.partition("Options:")[0]).splitlines()
    found = (re.search(r"\bcampaign( .*)", line) for line in lines)
    return [shlex.split(match[1], comments=True) for match in found if match]


def test_every_example_of_a_command_can_be_copied(app: Flask) -> None:
    seen = 0
    for path, command in commands(app.cli):
        if path[0] in NOT_OURS:
            continue
        shown = examples(app.test_cli_runner().invoke(args=[*path, "--help"]).output)
        assert shown, f"campaign {' '.join(path)} --help has no example"
        for words in shown:
            plain = [word for word in words if word not in {"|", "&&"}]
            assert tuple(plain[: len(path)]) == path, shown
            end = next((n for n, word in enumerate(words) if word in {"|", "&&"}), len(words))
            parser = command.make_parser(click.Context(command))
            given, _, _ = parser.parse_args(words[len(path) : end])
            missing = [
                parameter.name
                for parameter in command.params
                if parameter.required and not given.get(parameter.name or "")
            ]
            assert missing == [], f"the example of {path} leaves out {missing}"
            seen += 1
    assert seen >= 15


@pytest.mark.parametrize(
    "arguments",
    [
        ("people", "import", "LICENSE", "--organization", "x", "--basis", "paper", "--report"),
        ("people", "export", "--organization", "x", "--output"),
    ],
)
def test_a_file_in_a_folder_that_is_not_there_is_wrong_use(
    app: Flask, arguments: tuple[str, ...]
) -> None:
    result = app.test_cli_runner().invoke(args=[*arguments, "/no/such/folder/people.csv"])
    assert result.exit_code == 2
    assert "cannot write into the folder '/no/such/folder'" in result.output
