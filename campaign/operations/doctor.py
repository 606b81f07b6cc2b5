"""What can be wrong with an installation, asked one by one: `campaign doctor`.

Each finding says what was looked at, how it stands and, where it does not stand well, what to do.
Nothing is changed and nothing secret is printed.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from campaign import clock
from campaign.db import db, is_postgres
from campaign.settings import Settings, SettingsError

FREE_WARN_BYTES = 1024**3
FREE_FAIL_BYTES = 100 * 1024**2
SKEW_WARN_SECONDS = 2.0
SKEW_FAIL_SECONDS = 30.0
GOOD_DKIM_BITS = 2048
DNS_SECONDS = 15.0
OLDEST_POSTGRES = 130000


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `advice` is what to do, "" when nothing."""

    verdict: Verdict
    subject: str
    text: str
    advice: str = ""


def ok(subject: str, words: str) -> Finding:
    return Finding(Verdict.OK, subject, words)


def warn(subject: str, words: str, advice: str) -> Finding:
    return Finding(Verdict.WARN, subject, words, advice)


def fail(subject: str, words: str, advice: str) -> Finding:
    return Finding(Verdict.FAIL, subject, words, advice)


def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order in which one would repair them."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _address,
        _key,
        _disk,
        _database,
        _redis,
        _processes,
        _mail,
        _sender_domain,
    )
    return [finding for check in checks for finding in check(settings)]


def _address(settings: Settings) -> Iterator[Finding]:
    if settings.is_development:
        yield ok("BASE_URL", f"{settings.base_url} (development: /mailbox/ and demo log-ins exist)")
    elif not settings.is_secure:
        yield warn(
            "BASE_URL",
            f"{settings.base_url} is not encrypted",
            "Put https in front and set BASE_URL=https://…: log-ins and signatures are personal.",
        )
    else:
        yield ok("BASE_URL", settings.base_url)
        if settings.trusted_proxies == 0:
            yield warn(
                "TRUSTED_PROXIES",
                "0: every visitor seems to come from one address if a proxy stands in front",
                "Set TRUSTED_PROXIES to the number of proxies between the internet and Campaign.",
            )


def _key(settings: Settings) -> Iterator[Finding]:
    from campaign.settings import is_weak

    if is_weak(settings.secret_key):
        yield fail(
            "SECRET_KEY",
            "weak",
            'Set 32 random characters or more: python3 -c "import secrets; '
            'print(secrets.token_urlsafe(48))"',
        )
    elif any(is_weak(key) for key in settings.secret_key_fallbacks):
        yield warn("SECRET_KEY_FALLBACKS", "holds a weak key", "Drop it once its links are over.")
    else:
        yield ok("SECRET_KEY", "strong")


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield fail(
            "DATA_DIR",
            f"{folder} cannot be written: {error.strerror}",
            "Let the user that runs Campaign own this folder, or set DATA_DIR to another.",
        )
        return
    words = f"{folder}, {free / 1024**3:.1f} GiB free"
    advice = "Make room: when the disk is full, nothing more can be signed or sent."
    if free < FREE_FAIL_BYTES:
        yield fail("DATA_DIR", words, advice)
    elif free < FREE_WARN_BYTES:
        yield warn("DATA_DIR", words, advice)
    else:
        yield ok("DATA_DIR", words)


def _database(settings: Settings) -> Iterator[Finding]:
    from campaign.operations import migrations

    where = urlsplit(settings.sqlalchemy_url)
    try:
        connection = db.session.connection()
        if is_postgres():
            number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
            name = f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
            if number < OLDEST_POSTGRES:
                yield fail("database", name, "Use PostgreSQL 13 or newer.")
            else:
                yield ok("database", f"{name} at {where.hostname or 'a local socket'}")
            yield from _skew((connection.execute(text("SELECT clock_timestamp()"))).scalar_one())
        else:
            version = connection.execute(text("SELECT sqlite_version()")).scalar_one()
            yield ok("database", f"SQLite {version}, the embedded default")
        now, wanted = migrations.current(connection), migrations.head()
    except DBAPIError as error:
        yield fail(
            "database",
            f"cannot be reached: {type(error.orig).__name__}",
            "Check DATABASE_URL, and that the server runs and lets this machine in.",
        )
        return
    if now == wanted:
        yield ok("migrations", f"at {now}")
    else:
        yield fail("migrations", f"at {now or 'none'}, wanted {wanted}", "Run: campaign migrate")


def _skew(theirs: object) -> Iterator[Finding]:
    from datetime import datetime

    if not isinstance(theirs, datetime):
        return
    seconds = abs((clock.now() - theirs).total_seconds())
    words = f"{seconds:.1f} s apart from the database's"
    if seconds > SKEW_WARN_SECONDS:
        make = fail if seconds > SKEW_FAIL_SECONDS else warn
        yield make("clock", words, "Let both machines keep time (chrony, systemd-timesyncd).")
    else:
        yield ok("clock", words)


def _redis(settings: Settings) -> Iterator[Finding]:
    if not settings.redis_url:
        yield ok("Redis", "not used (embedded default)")
        return
    import redis

    try:
        client = redis.Redis.from_url(settings.redis_url, socket_timeout=2)
        info = client.info()
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except (redis.RedisError, OSError) as error:
        yield fail(
            "Redis",
            f"cannot be reached: {type(error).__name__}",
            "Check REDIS_URL. Signing goes on without it; mail is then up to a minute slower.",
        )
        return
    yield ok("Redis", f"{info['redis_version']}")
    if policy != "noeviction":
        yield warn(
            "Redis",
            f"may drop keys (maxmemory-policy {policy})",
            "Set maxmemory-policy to noeviction, so that limits and wake-up calls are kept.",
        )


def _processes(settings: Settings) -> Iterator[Finding]:
    if settings.is_sqlite and settings.redis_url:
        yield warn(
            "DATABASE_URL",
            "SQLite with several worker processes: they take turns at writing",
            "Set DATABASE_URL to a PostgreSQL for more than a few signatures a second.",
        )


def _mail(settings: Settings) -> Iterator[Finding]:
    if settings.mail_transport == "mailbox":
        if settings.is_development:
            yield ok("mail", "stored at /mailbox/, nothing leaves this machine")
        else:
            yield fail(
                "mail",
                "MAIL_TRANSPORT=mailbox outside development: no e-mail would leave",
                "Set MAIL_TRANSPORT to sendgrid or smtp.",
            )
        return
    if settings.mail_transport == "smtp":
        yield from _reach("SMTP_URL", settings.smtp_url, 25)
        yield from _signature(settings)
        return
    if not settings.sendgrid_api_key.startswith("SG."):
        yield warn(
            "SENDGRID_API_KEY",
            "does not look like SendGrid's (SG.…)",
            "Copy it again from SendGrid, Settings, API Keys.",
        )
    yield from _reach("SENDGRID_BASE_URL", settings.sendgrid_base_url, 443)
    yield from _webhook_key(settings)


def _reach(subject: str, url: str, port: int) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme == "smtps":
        port = 465
    try:
        with socket.create_connection((parts.hostname or "", parts.port or port), timeout=5):
            yield ok(subject, f"{parts.hostname} answers")
    except OSError as error:
        yield fail(
            subject,
            f"{parts.hostname} cannot be reached: {type(error).__name__}",
            "Check the name, the port and the firewall. Mail waits in the database meanwhile.",
        )


def _signature(settings: Settings) -> Iterator[Finding]:
    """Whether e-mails get a DKIM signature and the key makes one that can be checked."""
    if not settings.signs_mail:
        yield warn(
            "DKIM",
            "not set: e-mails leave unsigned, unless the SMTP server signs them",
            "Set DKIM_DOMAIN, DKIM_SELECTOR and DKIM_PRIVATE_KEY, or let the SMTP server sign.",
        )
        return
    import dkim

    from campaign.mail import signing

    try:
        signer, key = signing.Signer.of(settings), signing.published(settings)
    except SettingsError as error:
        yield fail("DKIM", "the key cannot be used", str(error))
        return
    assert signer is not None and key is not None  # noqa: S101, PT018 - the settings are complete
    letter = f"From: doctor@{key.domain}\r\nSubject: Hello\r\n\r\nHello\r\n".encode()
    answer = key.value.encode()
    if not dkim.verify(signer.sign(letter) + letter, dnsfunc=lambda *_args, **_more: answer):
        yield fail("DKIM", "a signature by this key does not verify", "Make another key.")
        return
    words = f"signs for {key.domain}, selector {key.selector}, {signer.bits} bits"
    if signer.bits < GOOD_DKIM_BITS:
        yield warn("DKIM", words, "Use a key of 2048 bits under a new DKIM_SELECTOR.")
    else:
        yield ok("DKIM", words)


def _webhook_key(settings: Settings) -> Iterator[Finding]:
    if not settings.sendgrid_webhook_public_key:
        yield warn(
            "SENDGRID_WEBHOOK_PUBLIC_KEY",
            "missing: bounces stay unknown, and an e-mail whose fate is unknown stays so",
            "Switch on the signed event webhook at SendGrid and set its verification key.",
        )
        return
    import base64
    import binascii

    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(base64.b64decode(settings.sendgrid_webhook_public_key))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        key = None
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        yield ok("SENDGRID_WEBHOOK_PUBLIC_KEY", "an ECDSA P-256 key")
    else:
        yield fail(
            "SENDGRID_WEBHOOK_PUBLIC_KEY",
            "not an ECDSA P-256 public key",
            "Copy the verification key again from SendGrid's event webhook page.",
        )


def _sender_domain(settings: Settings) -> Iterator[Finding]:
    """SPF, DKIM and DMARC of each sender's domain, where DNS can be asked."""
    if settings.mail_transport == "mailbox":
        return
    try:
        domains = _domains()
    except DBAPIError:
        db.session.rollback()
        return
    for domain in domains:
        yield from _records(domain, settings)


def _domains() -> list[str]:
    from campaign.organizations.models import Organization

    found = db.session.query(Organization.sender_email).filter(Organization.sender_email != "")
    return sorted({address.rpartition("@")[2].lower() for (address,) in found if "@" in address})


def _records(domain: str, settings: Settings) -> Iterator[Finding]:
    from campaign.mail import domains, looking, verdicts

    found = domains.examine(domain, domains.way_of(settings), looking.asker(DNS_SECONDS))
    for name, (title, _meaning) in verdicts.RECORDS.items():
        if name not in found:
            continue
        finding, subject = found[name], f"{title} of {domain}"
        words = verdicts.reason_words(finding)
        if finding.state == domains.State.UNKNOWN:
            yield warn(subject, words, "Ask again from a machine that reaches DNS.")
        elif finding.state == domains.State.GOOD:
            yield ok(subject, finding.found.partition("\n")[0][:100] or words)
        elif finding.value:
            yield warn(subject, words, f"TXT at {finding.host}: {finding.value}")
        else:
            yield warn(subject, words, "docs/operations.md, “Will it arrive?”, says how.")
