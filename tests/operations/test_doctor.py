from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dns.resolver
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from flask import Flask
from sqlalchemy.exc import OperationalError

from campaign.db import db
from campaign.operations import doctor, migrations
from campaign.operations.doctor import Finding, Verdict
from campaign.settings import Settings

STRONG = "9f2c4b1e7a6d8c3b5e0f1a2d4c6b8e7f-Zq"


@pytest.fixture
def examine(app: Flask, tmp_path: Path, settings: Settings) -> Callable[..., dict[str, Finding]]:
    def ask(**changes: Any) -> dict[str, Finding]:
        base = replace(settings, secret_key=STRONG, data_dir=tmp_path)
        return {one.subject: one for one in doctor.examine(replace(base, **changes))}

    return ask


@pytest.fixture
def server() -> Iterator[int]:
    """A port on which something listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def key(made: Any) -> str:
    spelled = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(spelled).decode()


def test_a_fresh_installation_lacks_only_its_migrations(
    examine: Callable[..., dict[str, Finding]],
) -> None:
    found = examine()
    assert found["migrations"].verdict is Verdict.FAIL
    assert "campaign migrate" in found["migrations"].advice
    del found["migrations"]
    assert {one.verdict for one in found.values()} <= {Verdict.OK, Verdict.WARN}
    assert {"BASE_URL", "SECRET_KEY", "DATA_DIR", "database", "Redis", "mail"} <= set(found)


def test_every_complaint_says_what_to_do(
    examine: Callable[..., dict[str, Finding]], server: int
) -> None:
    for changes in (
        {"secret_key": "weak"},
        {"base_url": "http://campaign.example.org"},
        {"mail_transport": "smtp", "smtp_url": "smtp://127.0.0.1:1"},
        {"mail_transport": "sendgrid", "sendgrid_base_url": f"http://127.0.0.1:{server}"},
        {"redis_url": "redis://127.0.0.1:1/0"},
    ):
        for finding in examine(**changes).values():
            assert bool(finding.advice) is (finding.verdict is not Verdict.OK), finding


def test_a_weak_key_fails(examine: Callable[..., dict[str, Finding]]) -> None:
    found = examine(secret_key="development")["SECRET_KEY"]
    assert found.verdict is Verdict.FAIL
    assert "development" not in found.text + found.advice
    assert examine(secret_key_fallbacks=("old",))["SECRET_KEY_FALLBACKS"].verdict is Verdict.WARN


def test_an_unwritable_folder_fails(
    examine: Callable[..., dict[str, Finding]], tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert examine(data_dir=blocked / "data")["DATA_DIR"].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(10 * 1024**3, Verdict.OK), (500 * 1024**2, Verdict.WARN), (1024, Verdict.FAIL)],
)
def test_disk_space(
    examine: Callable[..., dict[str, Finding]],
    monkeypatch: pytest.MonkeyPatch,
    free: int,
    verdict: Verdict,
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _folder: usage)
    assert examine()["DATA_DIR"].verdict is verdict


def test_a_database_that_is_away_is_one_finding(
    examine: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("password=hunter2"))

    monkeypatch.setattr(db.session, "connection", away)
    found = examine()
    assert found["database"].verdict is Verdict.FAIL
    assert "migrations" not in found
    assert "hunter2" not in str(found)


def test_redis_that_is_away_fails(examine: Callable[..., dict[str, Finding]]) -> None:
    assert examine(redis_url="redis://127.0.0.1:1/0")["Redis"].verdict is Verdict.FAIL


def test_mailbox_outside_development_would_send_nothing(
    examine: Callable[..., dict[str, Finding]],
) -> None:
    found = examine(base_url="https://campaign.example.org")
    assert found["mail"].verdict is Verdict.FAIL
    assert found["TRUSTED_PROXIES"].verdict is Verdict.WARN


def test_smtp_is_tried(examine: Callable[..., dict[str, Finding]], server: int) -> None:
    near = examine(mail_transport="smtp", smtp_url=f"smtp://user:pw@127.0.0.1:{server}")
    assert near["SMTP_URL"].verdict is Verdict.OK
    assert "pw" not in near["SMTP_URL"].text
    far = examine(mail_transport="smtp", smtp_url="smtp://127.0.0.1:1")
    assert far["SMTP_URL"].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (key(ec.generate_private_key(ec.SECP256R1())), Verdict.OK),
        (key(ec.generate_private_key(ec.SECP384R1())), Verdict.FAIL),
        (key(ed25519.Ed25519PrivateKey.generate()), Verdict.FAIL),
        ("not base64!", Verdict.FAIL),
        ("", Verdict.WARN),
    ],
    ids=["P-256", "P-384", "Ed25519", "no key", "none"],
)
def test_the_webhook_key(
    examine: Callable[..., dict[str, Finding]], server: int, given: str, verdict: Verdict
) -> None:
    found = examine(
        mail_transport="sendgrid",
        sendgrid_api_key="SG.x",
        sendgrid_base_url=f"http://127.0.0.1:{server}",
        sendgrid_webhook_public_key=given,
    )
    assert found["SENDGRID_WEBHOOK_PUBLIC_KEY"].verdict is verdict


class Record:
    def __init__(self, text: str) -> None:
        self.strings = [text.encode()]


@pytest.mark.parametrize(
    ("records", "spf", "dmarc"),
    [
        (
            {
                "hub.example": ["v=spf1 include:sendgrid.net a:mail.hub.example -all", "other"],
                "sendgrid.net": ["v=spf1 ip4:192.0.2.0/24 ~all"],
                "_dmarc.hub.example": ["v=DMARC1; p=none"],
            },
            Verdict.OK,
            Verdict.OK,
        ),
        ({"hub.example": ["v=spf1 -all", "v=spf1 +all"]}, Verdict.WARN, Verdict.WARN),
        ({"hub.example": []}, Verdict.WARN, Verdict.WARN),
    ],
)
def test_dns_of_the_sender(
    examine: Callable[..., dict[str, Finding]],
    monkeypatch: pytest.MonkeyPatch,
    server: int,
    records: dict[str, list[str]],
    spf: Verdict,
    dmarc: Verdict,
) -> None:
    def resolve(_self: object, name: str, _kind: str) -> list[Record]:
        if name not in records:
            raise dns.resolver.NXDOMAIN
        return [Record(text) for text in records[name]]

    monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
    monkeypatch.setattr(doctor, "_domains", lambda: ["hub.example"])
    found = examine(
        mail_transport="smtp",
        smtp_url=f"smtp://127.0.0.1:{server}",
        base_url="https://mail.hub.example",
    )
    assert found["SPF of hub.example"].verdict is spf
    assert found["DMARC of hub.example"].verdict is dmarc


def test_without_dns_it_says_so_and_goes_on(
    examine: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch, server: int
) -> None:
    def resolve(_self: object, _name: str, _kind: str) -> None:
        raise dns.resolver.NoNameservers

    monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
    monkeypatch.setattr(doctor, "_domains", lambda: ["hub.example"])
    found = examine(mail_transport="smtp", smtp_url=f"smtp://127.0.0.1:{server}")
    assert found["SPF of hub.example"].verdict is Verdict.WARN
    assert "We could not look" in found["DMARC of hub.example"].text


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 1)])
def test_the_command_exits_1_when_something_fails(
    app: Flask, monkeypatch: pytest.MonkeyPatch, works: bool, code: int
) -> None:
    head = migrations.head() if works else None
    monkeypatch.setattr(migrations, "current", lambda _connection: head)
    done = app.test_cli_runner().invoke(args=["doctor"])
    assert done.exit_code == code, done.output
    assert ("fail  migrations" in done.output) is not works


def pem(bits: int) -> str:
    made = rsa.generate_private_key(65537, bits)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_the_key_of_dkim_is_tried(
    examine: Callable[..., dict[str, Finding]], server: int, tmp_path: Path
) -> None:
    smtp = {"mail_transport": "smtp", "smtp_url": f"smtp://127.0.0.1:{server}"}
    assert examine(**smtp)["DKIM"].verdict is Verdict.WARN
    dkim = {**smtp, "dkim_domain": "hub.example", "dkim_selector": "campaign1"}
    good = examine(**dkim, dkim_private_key=pem(2048))["DKIM"]
    assert (good.verdict, good.text) == (
        Verdict.OK,
        "signs for hub.example, selector campaign1, 2048 bits",
    )
    assert examine(**dkim, dkim_private_key=pem(1024))["DKIM"].verdict is Verdict.WARN
    gone = examine(**dkim, dkim_private_key=str(tmp_path / "gone.pem"))["DKIM"]
    assert gone.verdict is Verdict.FAIL
    assert "gone.pem" in gone.advice
    assert "DKIM" not in examine()
