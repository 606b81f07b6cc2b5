"""`campaign up` as a process: starting, watching, stopping."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from campaign.operations import cli
from campaign.operations.supervisor import prepare_broker
from campaign.settings import Settings
from campaign.worker import Queue
from tests.stack import MAIN, ROOT, Stack, free_port, wait_for

pytestmark = [
    pytest.mark.stack,
    pytest.mark.xdist_group("processes"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc"),
]


@pytest.fixture
def running(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack().start()


def answers(stack: Stack) -> bool:
    try:
        return stack.fetch("/healthz").status == 200
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_starts_stops_within_five_seconds_and_finds_its_data_again(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack().start()
    assert answers(stack)
    assert stack.fetch("/readyz").json()["ready"] is True
    given = ["alba@example.org", "--organization", "hub", "--organization-name", "The Hub"]
    password = "a long enough password 1931"
    stack.cli("accounts", "create", *given, "--role", "owner", "--password-stdin", given=password)
    before = stack.pids()
    assert len(before) >= 4
    assert stack.stop(signal.SIGINT) < 5
    assert not any(is_alive(pid) for pid in before)
    assert not answers(stack)
    stack.start()
    page = stack.fetch("/login").text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token is not None
    answer = stack.fetch(
        "/login",
        data={"csrf_token": token[1], "email": "alba@example.org", "password": password},
    )
    assert answer.status in {302, 303}, "the log-in made before the stop is there after it"
    assert stack.stop(signal.SIGTERM) < 5


def test_its_broker_knows_every_queue_before_anything_listens(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite3"
    path.write_bytes(b"left over, and broken")
    prepare_broker(path, [queue.value for queue in Queue])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM kombu_queue ORDER BY id").fetchall()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    assert [name for (name,) in rows] == [queue.value for queue in Queue]
    assert mode == "wal"


def test_the_broker_is_laid_out_before_the_demo_rings(
    app: Flask, with_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kombu keeps the file that it has once opened: taken away after a first call, its tables
    were missing in the new one, and the first start ended there, once in five."""
    with_settings(redis_url="")  # puts back what the command changes, too
    steps: list[str] = []
    for owner, name in (
        (cli, "_migrate"),
        (cli, "_load_demo"),
        (cli.supervisor, "prepare_broker"),
        (cli.supervisor, "become"),
    ):
        monkeypatch.setattr(owner, name, lambda *_given, step=name, **_named: steps.append(step))
    result = app.test_cli_runner().invoke(args=["up", "--demo", "--port", str(free_port())])
    assert result.exit_code == 0, result.output
    assert steps == ["_migrate", "prepare_broker", "_load_demo", "become"]


def test_everything_it_makes_lies_below_data_dir(running: Stack) -> None:
    running.stop()
    here = {path.name for path in running.folder.iterdir()} - {"up.log"}
    assert here <= {"data"}


def test_a_web_process_that_is_killed_comes_back(running: Stack) -> None:
    for _ in range(2):
        killed = running.kill("web")
        wait_for(lambda pid=killed: not is_alive(pid), "the end of the process")
        wait_for(lambda: answers(running), "an answer after web was killed", seconds=20)


def test_a_worker_that_is_killed_comes_back(running: Stack) -> None:
    killed = running.kill("worker")
    wait_for(lambda: "worker ended (signal 9)" in running.log, "the supervisor's notice")
    before = set(running.pids("worker"))
    assert killed not in before
    wait_for(lambda: set(running.pids("worker")) - before or len(before) > 1, "a new worker")
    assert answers(running)


def test_nothing_is_left_when_the_supervisor_itself_is_killed(running: Stack) -> None:
    before = running.pids()
    running.kill("supervisor")
    wait_for(lambda: not any(is_alive(pid) for pid in before), "the end of all", seconds=8)
    assert running.process is not None
    running.process.wait(5)
    running.start()
    assert answers(running)


def test_a_second_start_on_the_same_folder_is_refused(running: Stack) -> None:
    environ = {**running.whole_environ, "PORT": str(free_port())}
    done = subprocess.run(
        [*MAIN, "up"], env=environ, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert done.stderr.count("\n") == 1
    assert answers(running)


def test_two_starts_at_once_on_an_empty_folder_leave_one_running(
    make_stack: Callable[..., Stack],
) -> None:
    first = make_stack()
    ports = (first.port, free_port())
    starts = [
        subprocess.Popen(
            [*MAIN, "up"],
            env={**first.whole_environ, "PORT": str(port)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
        )
        for port in ports
    ]
    ended = wait_for(
        lambda: [one for one in starts if one.poll() is not None], "a refusal", seconds=60
    )
    assert len(ended) == 1
    assert b"already runs" in ended[0].communicate()[1]
    other = next(one for one in starts if one not in ended)
    first.port = int(dict(zip(starts, ports, strict=True))[other])
    wait_for(lambda: answers(first), "an answer of the other", seconds=60)
    other.send_signal(signal.SIGINT)
    other.communicate(timeout=20)
    assert other.returncode == 0


@pytest.mark.parametrize("command", [["up"], ["mail", "verify"]])
def test_a_database_that_is_away_is_said_in_two_lines(
    make_stack: Callable[..., Stack], command: list[str]
) -> None:
    stack = make_stack(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    done = subprocess.run(
        [*MAIN, *command],
        env=stack.whole_environ,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "campaign: no answer from the database: connection" in done.stderr
    assert "campaign doctor" in done.stderr
    assert done.stderr.count("\n") == 2


def test_a_port_that_is_taken_is_named(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.port))
        taken.listen()
        done = subprocess.run(
            [*MAIN, "up"],
            env=stack.whole_environ,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == 1
    assert "PORT" in done.stderr
    assert str(stack.port) in done.stderr
    assert done.stderr.count("\n") == 1
    assert stack.pids() == []


def test_commands_and_server_share_the_folder_and_see_each_other(running: Stack) -> None:
    report = running.cli("doctor")
    assert "ok    migrations" in report
    assert str(running.folder / "data") in report


def test_web_and_worker_stay_below_200_mb_at_rest(running: Stack) -> None:
    for path in ("/", "/login", "/healthz", "/readyz"):
        running.fetch(path)
    time.sleep(2)
    for name in ("web", "worker"):
        for pid in running.pids(name):
            status = Path(f"/proc/{pid}/status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
            assert resident < 200, f"{name} holds {resident:.0f} MB"


def test_a_closed_terminal_ends_it_too(running: Stack) -> None:
    before = running.pids()
    assert running.process is not None
    os.kill(running.process.pid, signal.SIGHUP)
    wait_for(lambda: not any(is_alive(pid) for pid in before), "the end of all", seconds=6)


def test_all_web_processes_together_count_every_request(make_stack: Callable[..., Stack]) -> None:
    processes = 2 if os.environ.get("TEST_REDIS_URL") else 1  # several need Redis
    stack = make_stack(WEB_PROCESSES=str(processes)).start()
    asked = 60
    for _ in range(asked):
        stack.fetch("/healthz")
    lines = stack.fetch("/metrics").text.splitlines()
    counted = sum(
        float(line.split()[-1])
        for line in lines
        if line.startswith('campaign_requests_total{endpoint="operations.healthz"')
    )
    assert counted >= asked
