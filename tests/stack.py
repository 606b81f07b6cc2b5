"""A whole installation for a test: `campaign up` as a real process on a free port.

Which parts it has follows the run: with TEST_DATABASE_URL its data is in PostgreSQL, with
TEST_REDIS_URL Redis wakes prefork workers and a beat of its own; without, it is the embedded
default. Everything lies in a folder of its own and is ended by process id.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.conftest import database_url
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
MAIN = [sys.executable, "-c", "import sys; from campaign.app import main; sys.exit(main())"]
START_SECONDS = 90
START = "--- start ---\n"
_numbers = itertools.count(1)


def wait_for(
    question: Callable[[], Any], what: str, *, seconds: float = 30, every: float = 0.1
) -> Any:
    """The first true answer to `question`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(every)
    return pytest.fail(f"waited {seconds:g} s in vain for {what}")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.text)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_keywords: Any) -> None:
        return None


_opener = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))


@dataclass
class Stack:
    """One installation. `environ` holds what differs from a bare environment."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that its processes have printed so far."""
        path = self.folder / "up.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @property
    def whole_environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(self.folder / "data"),
            "PORT": str(self.port),
            **self.environ,
        }

    def start(self, *arguments: str) -> Stack:
        """`campaign up`, until it answers."""
        with (self.folder / "up.log").open("ab") as output:
            output.write(START.encode())
            output.flush()
            self.process = subprocess.Popen(
                [*MAIN, "up", *arguments],
                cwd=self.folder,
                env=self.whole_environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while "Ctrl-C stops everything" not in self.log.split(START)[-1]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"it does not start:\n{self.log[-4000:]}")
            time.sleep(0.1)
        return self

    def stop(self, number: int = signal.SIGINT) -> float:
        """Ctrl-C, until all is over; returns the seconds it took."""
        if self.process is None:
            return 0.0
        started = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            for pid in [self.process.pid, *self.pids()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(5)
        took = time.monotonic() - started
        self.process = None
        return took

    def cli(
        self, *arguments: str, given: str = "", code: int | None = 0, seconds: float = 300
    ) -> str:
        """What a `campaign` command prints on standard output; checks its exit code."""
        done = subprocess.run(
            [*MAIN, *arguments],
            cwd=self.folder,
            env=self.whole_environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def cli_meanwhile(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A `campaign` command beside the test; whoever starts it waits for it."""
        return subprocess.Popen(
            [*MAIN, *arguments],
            cwd=self.folder,
            env=self.whole_environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def fetch(
        self,
        path: str,
        *,
        data: dict[str, str] | bytes | None = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> Answer:
        """One request; redirects are not followed, an error status is an answer, too."""
        body = urllib.parse.urlencode(data).encode() if isinstance(data, dict) else data
        address = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(address, body, headers or {}, method=method)
        try:
            with _opener.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.read().decode("utf-8"), dict(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode("utf-8"), dict(error.headers))

    def mailbox(self, to: str = "", limit: int = 50) -> list[dict[str, Any]]:
        """What would have been sent, newest first."""
        query = urllib.parse.urlencode({"to": to, "limit": limit} if to else {"limit": limit})
        found = self.fetch(f"/mailbox/messages.json?{query}").json()
        messages: list[dict[str, Any]] = found["messages"] if isinstance(found, dict) else found
        return messages

    def wait_for_mail(self, to: str, subject: str = "", *, seconds: float = 60) -> dict[str, Any]:
        """The newest e-mail to an address (whose subject holds `subject`)."""

        def look() -> dict[str, Any] | None:
            return next((one for one in self.mailbox(to) if subject in one["subject"]), None)

        found: dict[str, Any] = wait_for(
            look, f"an e-mail to {to} about {subject!r}", seconds=seconds
        )
        return found

    def pids(self, name: str = "") -> list[int]:
        """The processes of this installation, or of one of its programs, oldest first."""
        mark = f"DATA_DIR={self.folder / 'data'}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if mark not in (entry / "environ").read_bytes().split(b"\0"):
                    continue
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and (not name or program_of(command) == name):
                found.append(int(entry.name))
        return sorted(found)

    def kill(self, name: str) -> int:
        """kill -9 of a program's first process, as the kernel does when memory runs out."""
        pid = wait_for(lambda: self.pids(name), f"a process {name}")[0]
        os.kill(pid, signal.SIGKILL)
        return int(pid)

    def flush_redis(self) -> None:
        """Everything that Redis holds for this installation is gone."""
        with Redis.from_url(self.environ["REDIS_URL"]) as client:
            client.flushdb()


def program_of(command: str) -> str:
    """What the supervisor calls the program that runs `command`."""
    if "operations.supervisor watch" in command:
        return "supervisor"
    if " reap" in command:
        return "reaper"
    if "granian" in command:
        return "web"
    if "celery" in command:
        if " beat " in command:
            return "beat"
        return "bulk" if command.rstrip().endswith("--queues bulk") else "worker"
    return ""


def new_stack(folder: Path, worker_id: str, **environ: str) -> Stack:
    """A stack that is not started yet, on what servers this run of the suite has."""
    number = next(_numbers)
    given: dict[str, str] = {}
    database = database_url(f"campaign_stack_{worker_id}_{number}")
    if database:
        given["DATABASE_URL"] = database.replace("postgresql+psycopg://", "postgresql://")
    redis = os.environ.get("TEST_REDIS_URL", "")
    if redis:
        index = {"main": 1}.get(worker_id, int("".join(filter(str.isdigit, worker_id)) or 0) + 2)
        given["REDIS_URL"] = f"{redis.rstrip('/')}/{index}"
    stack = Stack(folder, {**given, **environ})
    if redis:
        stack.flush_redis()
    return stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Stack]:
    """The demo, running; shared by all tests of this process that only add to it."""
    running = new_stack(tmp_path_factory.mktemp("stack"), worker_id)
    try:
        yield running.start("--demo")
    finally:
        running.stop()


@pytest.fixture
def make_stack(tmp_path: Path, worker_id: str) -> Iterator[Callable[..., Stack]]:
    """An installation for one test alone: `make_stack(MAIL_BATCH_SIZE="10")`, then `.start()`."""
    made: list[Stack] = []

    def make(**environ: str) -> Stack:
        folder = tmp_path / f"stack{len(made)}"
        folder.mkdir()
        made.append(new_stack(folder, worker_id, **environ))
        return made[-1]

    yield make
    for one in made:
        one.stop()
