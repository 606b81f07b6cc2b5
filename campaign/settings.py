"""Settings: one frozen object, made from the environment (and `.env`), read nowhere else.

Every field is in the README's table; a test compares them. Each has a default that works for
`python3 run.py`. Development is a BASE_URL of http on loopback: only there may the secret key
be generated, only there do `/mailbox/` and the demo log-ins exist.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

MAIL_TRANSPORTS = ("sendgrid", "smtp", "mailbox")
UNKNOWN_POLICIES = ("reconcile", "park", "retry")
METRICS_FOLDER = "metrics"
ROOT = Path(__file__).resolve().parents[1]
PEM_MARK = "-----BEGIN"
SHORTEST_DKIM_KEY = 1024  # what a verifier must take at least (RFC 8301, 3.2)
HOST_NAME = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
WEAK_KEYS = {"", "secret", "changeme", "change-me", "dev", "development", "password", "test"}


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names it and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. Names in the environment are these in upper case."""

    secret_key: str = field(repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    base_url: str = "http://127.0.0.1:8000"
    port: int = 8000
    trusted_hosts: tuple[str, ...] = ()
    trusted_proxies: int = 0
    mail_transport: str = "mailbox"
    mail_batch_size: int = 500
    mail_connections: int = 4
    mail_rate_per_second: float = 0.0
    mail_weekly_cap: int = 10
    mail_unknown_window_seconds: int = 0
    mail_unknown_policy: str = "reconcile"
    mail_lease_seconds: int = 120
    mail_read_seconds: float = 20.0
    sendgrid_api_key: str = field(default="", repr=False)
    sendgrid_base_url: str = "https://api.sendgrid.com"
    sendgrid_webhook_public_key: str = field(default="", repr=False)
    smtp_url: str = field(default="", repr=False)
    dkim_domain: str = ""
    dkim_selector: str = ""
    dkim_private_key: str = field(default="", repr=False)
    data_dir: Path = ROOT / "data"
    web_processes: int = 1
    web_threads: int = 16
    worker_processes: int = 2
    sign_limit_per_address: int = 120
    sign_limit_per_petition: int = 3000
    metrics_token: str = field(default="", repr=False)
    sentry_dsn: str = field(default="", repr=False)
    time_zone: str = "America/Chicago"
    log_format: str = "text"

    @property
    def is_development(self) -> bool:
        """Whether BASE_URL is plain http on this very machine."""
        parts = urlsplit(self.base_url)
        return parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}

    @property
    def is_secure(self) -> bool:
        """Whether people reach us by https: cookies are then `__Host-` and HSTS is sent."""
        return self.base_url.startswith("https://")

    @property
    def sqlalchemy_url(self) -> str:
        """DATABASE_URL for SQLAlchemy with psycopg 3, or the embedded SQLite file."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir.resolve() / 'campaign.sqlite3'}"
        for prefix in ("postgres://", "postgresql://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url.removeprefix(prefix)
        return self.database_url

    @property
    def is_sqlite(self) -> bool:
        return self.sqlalchemy_url.startswith("sqlite")

    @property
    def broker_url(self) -> str:
        """Redis, or a second SQLite file that only wakes workers (the rows are the truth)."""
        if self.redis_url:
            return self.redis_url
        return f"sqla+sqlite:///{self.data_dir.resolve() / 'broker.sqlite3'}"

    def with_port(self, port: int) -> Settings:
        """The same on another port; a BASE_URL that nobody chose follows."""
        default = f"http://127.0.0.1:{self.port}"
        base_url = f"http://127.0.0.1:{port}" if self.base_url == default else self.base_url
        return replace(self, port=port, base_url=base_url)

    @property
    def signs_mail(self) -> bool:
        """Whether e-mails get a DKIM signature of ours: the three settings come together."""
        return bool(self.dkim_domain and self.dkim_selector and self.dkim_private_key)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Host names we answer to: BASE_URL's own and TRUSTED_HOSTS; loopback in development."""
        own = urlsplit(self.base_url).hostname or "localhost"
        local = ("127.0.0.1", "localhost", "[::1]") if self.is_development else ()
        return tuple(dict.fromkeys((own, *self.trusted_hosts, *local)))


def from_environ(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's, after `.env`).

    Raises SettingsError with one line that names the setting.
    """
    if environ is None:
        from dotenv import load_dotenv

        load_dotenv(ROOT / ".env", override=False)
        environ = os.environ
    values: dict[str, object] = {}
    for spec in fields(Settings):
        raw = environ.get(spec.name.upper())
        if raw is None or raw == "":
            continue
        values[spec.name] = _convert(spec.name, str(spec.type), raw.strip())
    values.setdefault("secret_key", "")
    if "dkim_private_key" in values:
        values["dkim_private_key"] = _key_or_path(str(values["dkim_private_key"]))
    if "port" in values:
        values.setdefault("base_url", f"http://127.0.0.1:{values['port']}")
    draft = Settings(**values)  # type: ignore[arg-type]
    _check(draft)
    if not draft.secret_key or is_weak(draft.secret_key):
        if not draft.is_development:
            raise SettingsError(
                "SECRET_KEY is missing or weak: set at least 32 random characters, for example "
                'from: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
            )
        values["secret_key"] = draft.secret_key or _development_key(draft.data_dir)
        return Settings(**values)  # type: ignore[arg-type]
    return draft


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment for processes that are to run with the same settings from another folder."""
    environ = {
        **os.environ,
        "BASE_URL": settings.base_url,
        "DATA_DIR": str(settings.data_dir.resolve()),
        "PORT": str(settings.port),
    }
    if settings.dkim_private_key:  # a path is whole by now
        environ["DKIM_PRIVATE_KEY"] = settings.dkim_private_key
    if settings.web_processes > 1:  # they count requests into files, so that /metrics adds them up
        environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.data_dir.resolve() / METRICS_FOLDER)
    return environ


def _convert(name: str, kind: str, raw: str) -> object:
    try:
        if kind == "int":
            return int(raw)
        if kind == "float":
            return float(raw)
    except ValueError:
        raise SettingsError(f"{name.upper()} must be a number, not {raw!r}") from None
    if kind == "Path":
        return Path(raw)
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if name == "dkim_domain":
        return raw.lower().rstrip(".")
    return raw.rstrip("/") if name in {"base_url", "sendgrid_base_url"} else raw


def _check(settings: Settings) -> None:
    parts = urlsplit(settings.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise SettingsError("BASE_URL must look like https://campaign.example.org, without a path")
    if settings.mail_transport not in MAIL_TRANSPORTS:
        raise SettingsError(f"MAIL_TRANSPORT must be one of {', '.join(MAIL_TRANSPORTS)}")
    if settings.mail_unknown_policy not in UNKNOWN_POLICIES:
        raise SettingsError(f"MAIL_UNKNOWN_POLICY must be one of {', '.join(UNKNOWN_POLICIES)}")
    if settings.mail_transport == "sendgrid" and not settings.sendgrid_api_key:
        raise SettingsError("MAIL_TRANSPORT=sendgrid needs SENDGRID_API_KEY")
    if settings.mail_transport == "smtp" and not settings.smtp_url:
        raise SettingsError("MAIL_TRANSPORT=smtp needs SMTP_URL, like smtp://user:pass@host:587")
    if not 1 <= settings.mail_batch_size <= 1000:
        raise SettingsError("MAIL_BATCH_SIZE must be from 1 to 1000 (SendGrid's limit)")
    for name, least in (
        ("mail_connections", 1),
        ("mail_lease_seconds", 1),
        ("mail_read_seconds", 0.1),
        ("mail_weekly_cap", 0),
        ("web_processes", 1),
        ("web_threads", 1),
        ("worker_processes", 1),
    ):
        if getattr(settings, name) < least:
            raise SettingsError(f"{name.upper()} must be at least {least}")
    if settings.web_processes > 1 and not settings.redis_url:
        raise SettingsError(
            "WEB_PROCESSES above 1 needs REDIS_URL: limits are shared through it; without it "
            "each process would count for itself"
        )
    if not 1 <= settings.port <= 65535:
        raise SettingsError("PORT must be from 1 to 65535")
    if (
        settings.database_url
        and not settings.is_sqlite
        and not settings.sqlalchemy_url.startswith("postgresql+psycopg://")
    ):
        raise SettingsError("DATABASE_URL must start with postgresql:// or sqlite:///")
    _check_dkim(settings)
    _check_zone(settings.time_zone)
    if settings.log_format not in {"text", "json"}:
        raise SettingsError("LOG_FORMAT must be text or json")


def _key_or_path(raw: str) -> str:
    """A key as PEM, also with \\n for its line breaks; or the whole path of its file."""
    return raw.replace("\\n", "\n") if PEM_MARK in raw else str(Path(raw).expanduser().resolve())


def load_dkim_key(raw: str) -> RSAPrivateKey:
    """The key of DKIM_PRIVATE_KEY. Raises SettingsError with one line that says what is wrong."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        pem = raw.encode() if PEM_MARK in raw else Path(raw).read_bytes()
    except OSError as error:
        raise SettingsError(f"DKIM_PRIVATE_KEY: {raw} cannot be read: {error.strerror}") from None
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SHORTEST_DKIM_KEY:
        raise SettingsError(
            f"DKIM_PRIVATE_KEY must be an RSA key of {SHORTEST_DKIM_KEY} bits or more, as PEM or "
            "the path of a PEM file, without a password: openssl genrsa -out dkim.pem 2048"
        )
    return key


def _check_dkim(settings: Settings) -> None:
    given = (settings.dkim_domain, settings.dkim_selector, settings.dkim_private_key)
    if not any(given):
        return
    if not all(given):
        raise SettingsError(
            "DKIM_DOMAIN, DKIM_SELECTOR and DKIM_PRIVATE_KEY go together: set all three or none"
        )
    if not HOST_NAME.fullmatch(settings.dkim_domain) or "." not in settings.dkim_domain:
        raise SettingsError(
            "DKIM_DOMAIN must be a domain like example.org (xn--… for other letters)"
        )
    if not HOST_NAME.fullmatch(settings.dkim_selector):
        raise SettingsError("DKIM_SELECTOR must be a word of letters and digits, like campaign1")
    load_dkim_key(settings.dkim_private_key)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError("TIME_ZONE must be an IANA name like America/Chicago") from None


def is_weak(key: str) -> bool:
    """Whether a secret key is short, well known or repetitive."""
    return len(key) < 32 or key.lower() in WEAK_KEYS or len(set(key)) < 8


def _development_key(data_dir: Path) -> str:
    """A stable random key below DATA_DIR, so that a restart keeps everyone logged in.

    Written aside and then linked: of several first starts one wins, and none reads half a key.
    """
    path = data_dir / "secret-key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = data_dir / f"secret-key.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48) + "\n", "ascii")
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text("ascii").strip()
