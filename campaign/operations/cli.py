"""Commands that run the house: up, migrate, db, demo, seed, doctor."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from campaign.db import db
from campaign.operations import supervisor
from campaign.settings import METRICS_FOLDER, ROOT, Settings, child_environment
from campaign.worker import Queue, doorbell


def _settings() -> Settings:
    found: Settings = current_app.extensions["settings"]
    return found


@click.command()
@click.option("--demo", is_flag=True, help="Load the demo campaign on the first start.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: PORT, else 8000.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@with_appcontext
def up(demo: bool, port: int | None, host: str) -> None:
    """Start everything: web, workers and the clock; Ctrl-C stops it all.

    Migrates the database first. A process that dies is started again. Without REDIS_URL one
    worker with threads does all work; with it, workers and the clock are processes of their own.

    \b
    Example: campaign up --demo --port 8001
    """
    settings = _settings()
    if port is not None:
        settings = settings.with_port(port)
        current_app.extensions["settings"] = settings
    lock = _lock(settings.data_dir)
    _need_port(host, settings.port)
    _migrate(settings)
    broker = "" if settings.redis_url else str(settings.data_dir.resolve() / "broker.sqlite3")
    if broker:  # before anything of this process rings: kombu keeps the file it has once opened
        supervisor.prepare_broker(Path(broker), [queue.value for queue in Queue])
    if demo:
        _load_demo()
    shutil.rmtree(settings.data_dir / METRICS_FOLDER, ignore_errors=True)
    if settings.web_processes > 1:
        (settings.data_dir / METRICS_FOLDER).mkdir()
    supervisor.become(
        supervisor.Plan(
            programs=supervisor.programs(settings, host=host, port=settings.port),
            folder=str(ROOT),
            url=f"http://{_reachable(host)}:{settings.port}",
            banner=_banner(settings),
            lock=lock,
            broker=broker,
        ),
        child_environment(settings),
    )


def _lock(data_dir: Path) -> int:
    """Make sure that nothing else runs on this DATA_DIR; returns the lock's file descriptor."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "up.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + 10
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = path.read_text("ascii").strip()
            # A supervisor that was killed: its helper is still ending what it had started.
            is_ending = owner.isdigit() and not Path(f"/proc/{owner}").exists()
            if is_ending and Path("/proc").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            os.close(file)
            raise click.ClickException(
                f"Campaign already runs on {data_dir} (process {owner or 'unknown'}). Stop it "
                "first, or set DATA_DIR to another folder."
            ) from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        return file


def _need_port(host: str, port: int) -> None:
    """Say plainly when the port is taken, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {host}, port {port}: {error.strerror}. Choose another with "
                f"PORT, for example PORT={port + 1 if port < 65535 else 8000}."
            ) from None


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _migrate(settings: Settings) -> None:
    from campaign.operations import migrations

    before, after = migrations.upgrade(settings.data_dir)
    if before != after:
        click.echo(f"The database is now at {after}.", err=True)


def _load_demo() -> None:
    from campaign.operations import demo

    is_new = demo.load_demo()
    db.session.commit()
    if is_new:
        click.echo("The demo campaign is loaded.", err=True)
    doorbell.flush()


def _banner(settings: Settings) -> str:
    """What a person needs to know first: where, with which log-in, and where e-mail can be read."""
    lines = ["", f"Campaign runs at {settings.base_url}", ""]
    if settings.is_development:
        lines.append(f"Log in         {settings.base_url}/login")
        if settings.mail_transport == "mailbox":
            lines.append(
                f"Read e-mail    {settings.base_url}/mailbox/ (nothing leaves this machine)"
            )
        lines += ["", *_log_ins(settings)]
    lines.append("Ctrl-C stops everything.")
    return "\n".join(lines)


def _log_ins(settings: Settings) -> list[str]:
    from campaign.operations import demo

    found = demo.demo_logins()
    if not found:
        return []
    widest = max(len(one.email) for one in found)
    longest = max(len(one.role) for one in found)
    return [
        f"Campaign page  {settings.base_url}/c/keep-our-clinics",
        f"Petition       {settings.base_url}/p/keep-our-clinics-open",
        "",
        "Demo log-ins (role, e-mail, password):",
        *(f"  {one.role:<{longest}}  {one.email:<{widest}}  {one.password}" for one in found),
        "",
    ]


@click.command("demo")
@with_appcontext
def load_demo() -> None:
    """Load the demo campaign: invented people, real wards. Safe to repeat.

    \b
    Example: campaign demo
    """
    _load_demo()
    click.echo("\n".join(_log_ins(_settings())))


@click.command()
@with_appcontext
def migrate() -> None:
    """Bring the database to the form that this version expects.

    Safe to run at every release and from several machines at once: one works, the others wait.

    \b
    Example: campaign migrate
    """
    from campaign.operations import migrations

    before, after = migrations.upgrade(_settings().data_dir)
    click.echo(f"at {after}" + ("" if before == after else f" (was {before or 'empty'})"))


@click.command(
    "db",
    context_settings={"ignore_unknown_options": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
@with_appcontext
def migrations_in_detail(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Migrations in detail, by Flask-Migrate: history, check, downgrade, migrate.

    \b
    Example: campaign db check
    """
    from flask_migrate import Migrate
    from flask_migrate.cli import db as group

    from campaign.operations import migrations

    Migrate(current_app, db, directory=str(migrations.FOLDER))
    group.main(list(arguments), "campaign db", obj=context.obj)


@click.command("seed")
@click.option("--people", type=click.IntRange(1), required=True, help="How many people.")
@click.option("--signatures", type=click.IntRange(0), default=0, help="How many signatures.")
@click.option(
    "--events", type=click.IntRange(0), default=0, help="How many events, each with answers."
)
@click.option("--seed", "number", type=int, default=1, show_default=True, help="Another crowd.")
@click.option("--organization", default="seed", show_default=True, help="Slug of their owner.")
@with_appcontext
def load_seed(people: int, signatures: int, events: int, number: int, organization: str) -> None:
    """Make synthetic people, signatures and events at scale; the same numbers make the same.

    They belong to an organization of their own, made when it is new. Safe to repeat and to stop.

    \b
    Example: campaign seed --people 100000 --signatures 20000 --events 5000
    """
    from tqdm import tqdm

    from campaign.operations import seed

    work = seed.seed(people, signatures, events, seed_number=number, slug=organization)
    with tqdm(total=people + signatures + events, unit=" rows", disable=None, leave=False) as bar:
        for done in work:
            db.session.commit()
            bar.update(done)
    click.echo(
        f"{people} people, {signatures} signatures and {events} events are in {organization}."
    )


@click.command()
@with_appcontext
def doctor() -> None:
    """Check settings, database, Redis, clock, mail and disk, and say what to do.

    Exit code 1 when something does not work.

    \b
    Example: campaign doctor
    """
    from campaign.operations import doctor as checks

    found = checks.examine(_settings())
    for finding in found:
        click.echo(f"{finding.verdict.value:<5} {finding.subject}: {finding.text}")
        if finding.advice:
            click.echo(f"      {finding.advice}")
    if any(finding.verdict is checks.Verdict.FAIL for finding in found):
        sys.exit(1)


COMMANDS: tuple[click.Command, ...] = (
    up,
    migrate,
    migrations_in_detail,
    load_demo,
    load_seed,
    doctor,
)
