"""What runs where: queues, schedule, processes, commands, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from celery import Celery
from flask import Flask

from campaign import schedule
from campaign.operations import supervisor
from campaign.settings import Settings
from campaign.worker import Queue

SECRET = "k" * 8 + "0123456789-abcdefghijklmnop"


def lines(project: Path) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in (project / "Procfile").read_text().splitlines() if line)
    return {name: command.strip() for name, command in pairs}


def queues_in(command: str) -> set[str]:
    found = re.search(r"--queues (\S+)", command)
    return set(found.group(1).split(",")) if found else set()


def test_procfile_names_the_processes_and_every_queue_and_keeps_bulk_apart(project: Path) -> None:
    found = lines(project)
    assert set(found) == {"release", "web", "worker", "bulk", "beat"}
    assert queues_in(found["worker"]) == {Queue.TRANSACTIONAL, Queue.MAINTENANCE}
    assert queues_in(found["bulk"]) == {Queue.BULK}
    assert "wsgi:app" in found["web"]
    assert "wsgi:celery" in found["worker"]
    assert "wsgi:celery" in found["bulk"]
    assert "wsgi:celery" in found["beat"]


@pytest.mark.parametrize("redis_url", ["", "redis://127.0.0.1:1/0"])
def test_up_starts_workers_for_every_queue_once(redis_url: str) -> None:
    settings = Settings(secret_key=SECRET, redis_url=redis_url)
    programs = supervisor.programs(settings, host="127.0.0.1", port=8000)
    served = [
        queue for program in programs for queue in sorted(queues_in(" ".join(program.command)))
    ]
    assert sorted(served) == sorted(queue.value for queue in Queue)
    beats = [one.name for one in programs if "beat" in one.command or "--beat" in one.command]
    assert len(beats) == 1


def test_bulk_never_takes_the_place_of_single_mail_where_there_is_redis() -> None:
    settings = Settings(secret_key=SECRET, redis_url="redis://127.0.0.1:1/0")
    programs = supervisor.programs(settings, host="127.0.0.1", port=8000)
    with_bulk = [one for one in programs if Queue.BULK in queues_in(" ".join(one.command))]
    assert [queues_in(" ".join(one.command)) for one in with_bulk] == [{Queue.BULK}]


def queue_of(celery: Celery, name: str) -> str:
    """The queue that a call of this task really goes to."""
    route: dict[str, object] = celery.amqp.router.route({}, name)
    return str(getattr(route.get("queue"), "name", route.get("queue")))


def test_every_scheduled_entry_is_a_registered_task(app: Flask) -> None:
    celery = app.extensions["celery"]
    assert schedule.ENTRIES
    for name, (task, every) in schedule.ENTRIES.items():
        assert getattr(task, "name", None) in celery.tasks, name
        assert every >= 1, name


def test_every_task_of_ours_is_routed_limited_and_leaves_no_result(app: Flask) -> None:
    celery = app.extensions["celery"]
    ours = {name: task for name, task in celery.tasks.items() if name.startswith("campaign.")}
    assert ours
    for name, task in ours.items():
        assert name in celery.conf.task_routes, name
        assert queue_of(celery, name) in {queue.value for queue in Queue}, name
        assert task.ignore_result, name
        assert task.time_limit, name


def test_single_and_bulk_mail_are_delivered_from_queues_of_their_own(app: Flask) -> None:
    celery = app.extensions["celery"]
    assert queue_of(celery, "campaign.mail.tasks.deliver_transactional") == "transactional"
    assert queue_of(celery, "campaign.mail.tasks.deliver_bulk") == "bulk"


def leaves(group: click.Group, path: str = "campaign") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_has_help_with_an_example(app: Flask) -> None:
    ours = [(path, one) for path, one in leaves(app.cli) if one.callback is not None]
    assert {"campaign up", "campaign doctor", "campaign demo"} <= {path for path, _ in ours}
    for path, command in ours:
        assert command.help, path
        assert path in command.help, f"the help of `{path}` shows no example that begins with it"


def table(project: Path) -> list[str]:
    section = (project / "README.md").read_text("utf-8").split("## Settings")[1].split("\n## ")[0]
    return re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)


def names() -> list[str]:
    return sorted(field.name.upper() for field in fields(Settings))


def test_every_setting_is_in_the_table_and_in_the_example(project: Path) -> None:
    assert sorted(table(project)) == names()
    example = (project / ".env.example").read_text("utf-8")
    given = re.findall(r"^#?([A-Z][A-Z_]+)=", example, re.MULTILINE)
    assert sorted(set(given)) == names()


def test_every_setting_is_read_somewhere(project: Path) -> None:
    sources = [path for path in (project / "campaign").rglob("*.py") if path.name != "settings.py"]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    own = (project / "campaign" / "settings.py").read_text("utf-8")
    unread = [
        field.name
        for field in fields(Settings)
        if not re.search(rf"\.{field.name}\b", text) and f"self.{field.name}" not in own
    ]
    assert unread == []
