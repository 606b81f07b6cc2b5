"""Starts the processes of an installation and keeps them running until it is told to stop.

It is a process of its own with nothing but the standard library in it (`campaign up` prepares
everything and then becomes it), so that watching costs 15 MB and cannot break with the rest.

Three promises: a process that dies is started again, later each time it dies young; a stop ends
all of them within five seconds; and when the supervisor itself is killed, a second small process
that listens on a pipe notices the silence and ends what is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from campaign.settings import Settings

GRACE_SECONDS = 4.0
LONGEST_PAUSE_SECONDS = 30.0
GROWN_UP_SECONDS = 60.0
PURGE_SECONDS = 600.0
READY_SECONDS = 60.0
SPARE_THREADS = 2


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running: what it is called here, and the command."""

    name: str
    command: list[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the supervisor needs to know; it reads no settings."""

    programs: list[Program]
    folder: str
    url: str
    banner: str
    lock: int
    broker: str = ""


@dataclass(slots=True)
class Child:
    """A program's present process. `failures` counts how often it died young in a row."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0


def programs(settings: Settings, *, host: str, port: int) -> list[Program]:
    """What an installation with these settings consists of.

    Embedded (no REDIS_URL): web and one worker with threads, which beats, too. With Redis: web,
    a worker for single e-mails and upkeep, a worker for bulk (so that a large mailing never
    takes the place of a confirmation), and a beat.
    """
    python = sys.executable
    web = Program(
        "web",
        [
            *(python, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port)),
            *("--workers", str(settings.web_processes)),
            *("--blocking-threads", str(settings.web_threads)),
            *("--no-ws", "--respawn-failed-workers", "--respawn-interval", "0.5"),
            *("--workers-kill-timeout", "2"),
            *("--log-level", "error", "wsgi:app"),
        ],
    )
    # Celery's warning about root would be the first thing a new user of a container reads.
    quiet = ["-W", "ignore:You're running the worker"]
    celery = [python, *quiet, "-m", "celery", "--quiet", "--app", "wsgi:celery"]
    worker = [*celery, "worker", "--loglevel", "warning"]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    beat = ["--schedule", str(settings.data_dir.resolve() / "beat-schedule")]
    if not settings.redis_url:
        threads = ["--pool", "threads", "--concurrency"]
        threads.append(str(settings.mail_connections + SPARE_THREADS))
        queues = ["--queues", "transactional,bulk,maintenance"]
        return [web, Program("worker", [*worker, *threads, *queues, "--beat", *beat])]
    fork = ["--pool", "prefork", "--concurrency", str(settings.worker_processes)]
    single = [*worker, *fork, "--hostname", "worker@%h", "--queues", "transactional,maintenance"]
    bulk = [*worker, *fork, "--hostname", "bulk@%h", "--queues", "bulk"]
    only_beat = [*celery, "beat", "--loglevel", "warning", *beat, "--pidfile="]
    return [web, Program("worker", single), Program("bulk", bulk), Program("beat", only_beat)]


def become(plan: Plan, environment: dict[str, str]) -> None:
    """Replace this process by the supervisor. The lock's file descriptor stays open."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.set_inheritable(plan.lock, True)
    with os.fdopen(writing, "w") as file:
        file.write(json.dumps(asdict(plan)))
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "campaign.operations.supervisor", "watch", str(reading)]
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own interpreter


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is a terminal program


@dataclass
class Supervisor:
    """Runs a plan until SIGTERM, SIGINT or SIGHUP."""

    plan: Plan
    children: list[Child] = field(default_factory=list)
    is_stopping: bool = False
    is_ready: bool = False
    _reaper: subprocess.Popen[bytes] | None = None
    _signals: int = 0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._start_reaper()
        self.children = [Child(program) for program in self.plan.programs]
        started_at = purged_at = time.monotonic()
        try:
            while not self.is_stopping:
                self._look_after()
                if not self.is_ready:
                    self._announce(started_at)
                if time.monotonic() - purged_at > PURGE_SECONDS:
                    purged_at = time.monotonic()
                    self._purge_broker()
                time.sleep(0.1)
        finally:
            self._stop()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        self._signals += 1
        self.is_stopping = True

    def _start_reaper(self) -> None:
        # It holds the lock, too: until it has ended what is left, no other start gets in.
        os.set_inheritable(self.plan.lock, False)
        command = [sys.executable, "-I", "-S", __file__, "reap"]
        self._reaper = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            command,
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self.plan.lock],
        )

    def _tell_reaper(self, line: str) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            with contextlib.suppress(OSError):
                self._reaper.stdin.write(line.encode() + b"\n")
                self._reaper.stdin.flush()

    def _look_after(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is None:
                if now >= child.start_again_at:
                    self._start(child)
                continue
            code = child.process.poll()
            if code is None:
                continue
            if now - child.started_at > GROWN_UP_SECONDS:
                child.failures = 0
            pause = min(LONGEST_PAUSE_SECONDS, 0.5 * 2**child.failures)
            child.failures += 1
            child.start_again_at = now + pause
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            say(f"campaign: {child.program.name} ended ({how}); starting it again in {pause:g} s")
            self._finish(child)

    def _start(self, child: Child) -> None:
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603 - commands come from `programs`
            child.program.command, cwd=self.plan.folder, start_new_session=True
        )
        self._tell_reaper(f"+{child.process.pid}")

    def _finish(self, child: Child) -> None:
        """The process is over: what it has left in its group goes, too."""
        if child.process is not None:
            _kill_group(child.process.pid, signal.SIGKILL)
            self._tell_reaper(f"-{child.process.pid}")
        child.process = None

    def _announce(self, started_at: float) -> None:
        try:
            with urllib.request.urlopen(f"{self.plan.url}/healthz", timeout=1):  # noqa: S310
                pass
        except (urllib.error.URLError, OSError, ValueError):
            if time.monotonic() - started_at > READY_SECONDS:
                self.is_ready = True
                say(f"campaign: no answer at {self.plan.url} yet; still trying")
            return
        self.is_ready = True
        print(self.plan.banner, flush=True)  # noqa: T201

    def _purge_broker(self) -> None:
        """Forget the wake-up calls that were answered: kombu only marks them."""
        if not self.plan.broker:
            return
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(self.plan.broker, timeout=5)) as connection,
            connection,
        ):
            connection.execute("DELETE FROM kombu_message WHERE visible = 0")

    def _stop(self) -> None:
        running = [child for child in self.children if child.process is not None]
        for child in running:
            if child.process is not None:
                with contextlib.suppress(OSError):
                    child.process.terminate()
        patience = self._signals
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and self._signals == patience:
            if all(child.process is None or child.process.poll() is not None for child in running):
                break
            time.sleep(0.02)
        for child in running:
            if child.process is not None:
                _kill_group(child.process.pid, signal.SIGKILL)
                child.process.wait()
                self._finish(child)
        if self._reaper is not None and self._reaper.stdin is not None:
            with contextlib.suppress(OSError):
                self._reaper.stdin.close()
            self._reaper.wait()


def _kill_group(group: int, number: int) -> bool:
    """Send a signal to a process group; whether there was one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def reap() -> None:
    """Listen until the supervisor falls silent, then end the groups that it had not ended."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        _kill_group(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(_kill_group(group, 0) for group in groups):
        time.sleep(0.05)
    for group in groups:
        _kill_group(group, signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """`watch FD` (a plan as JSON on that descriptor) or `reap` (groups on standard input)."""
    if arguments[:1] == ["reap"]:
        reap()
        return
    with os.fdopen(int(arguments[1])) as file:
        given = json.load(file)
    given["programs"] = [Program(**program) for program in given["programs"]]
    Supervisor(Plan(**given)).run()


def prepare_broker(path: Path, queues: Iterable[str]) -> None:
    """Start with an empty broker in WAL mode: it only wakes workers, and the beat finds all rows.

    Its queues are made here, before anything listens: processes that start together would each
    find none, and the second to make one would die of it.
    """
    from kombu import Connection, Queue  # the supervisor itself does without

    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    with Connection(f"sqla+sqlite:///{path.resolve()}") as broker:
        for name in queues:
            Queue(name)(broker.default_channel).declare()


if __name__ == "__main__":
    main(sys.argv[1:])
