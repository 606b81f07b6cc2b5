from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from campaign.settings import (
    ROOT,
    Settings,
    SettingsError,
    child_environment,
    from_environ,
    is_weak,
)

GOOD = "9f2c4b1e7a6d8c3b5e0f1a2d4c6b8e7f-Zq"


def read(tmp_path: Path, **environ: str) -> Settings:
    return from_environ({"DATA_DIR": str(tmp_path), **environ})


def test_everything_has_a_default_that_works(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.is_development
    assert not settings.is_secure
    assert settings.is_sqlite
    assert settings.sqlalchemy_url == f"sqlite:///{tmp_path / 'campaign.sqlite3'}"
    assert settings.broker_url == f"sqla+sqlite:///{tmp_path / 'broker.sqlite3'}"
    assert settings.mail_transport == "mailbox"


def test_the_development_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = read(tmp_path).secret_key
    assert read(tmp_path).secret_key == first
    assert not is_weak(first)
    assert (tmp_path / "secret-key").stat().st_mode & 0o777 == 0o600


def test_two_first_starts_at_once_agree_on_the_key(tmp_path: Path) -> None:
    code = "from campaign.settings import from_environ; print(from_environ().secret_key)"
    environ = {**os.environ, "DATA_DIR": str(tmp_path / "new"), "PYTHONPATH": str(ROOT)}
    starts = [
        subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    keys = {start.communicate(timeout=60)[0] for start in starts}
    assert len(keys) == 1
    assert not is_weak(keys.pop().decode().strip())


@pytest.mark.parametrize("key", ["", "secret", "changeme", "a" * 64, "short-but-random-9f2c4b1e"])
@pytest.mark.parametrize("url", ["https://campaign.example.org", "http://campaign.example.org"])
def test_outside_development_a_weak_key_stops_the_start(tmp_path: Path, key: str, url: str) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY") as error:
        read(tmp_path, BASE_URL=url, SECRET_KEY=key)
    assert "\n" not in str(error.value)
    assert not key or key not in str(error.value).replace("SECRET_KEY", "").replace("secrets", "")


def test_outside_development_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        read(tmp_path, BASE_URL="https://campaign.example.org")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"MAIL_BATCH_SIZE": "many"}, "MAIL_BATCH_SIZE"),
        ({"MAIL_BATCH_SIZE": "1001"}, "MAIL_BATCH_SIZE"),
        ({"MAIL_BATCH_SIZE": "0"}, "MAIL_BATCH_SIZE"),
        ({"MAIL_RATE_PER_SECOND": "fast"}, "MAIL_RATE_PER_SECOND"),
        ({"MAIL_TRANSPORT": "pigeon"}, "MAIL_TRANSPORT"),
        ({"MAIL_TRANSPORT": "sendgrid"}, "SENDGRID_API_KEY"),
        ({"MAIL_TRANSPORT": "smtp"}, "SMTP_URL"),
        ({"MAIL_UNKNOWN_POLICY": "hope"}, "MAIL_UNKNOWN_POLICY"),
        ({"BASE_URL": "campaign.example.org"}, "BASE_URL"),
        ({"BASE_URL": "https://campaign.example.org/path"}, "BASE_URL"),
        ({"BASE_URL": "ftp://campaign.example.org"}, "BASE_URL"),
        ({"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL"),
        ({"WEB_PROCESSES": "2"}, "REDIS_URL"),
        ({"WEB_THREADS": "0"}, "WEB_THREADS"),
        ({"PORT": "70000"}, "PORT"),
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as error:
        read(tmp_path, **environ)
    assert "\n" not in str(error.value)


def test_the_command_says_a_wrong_setting_in_one_line_and_exits_2(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "BASE_URL": "https://campaign.example.org",
        "SECRET_KEY": "changeme",
        "PYTHONPATH": str(ROOT),
    }
    code = "from campaign.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("campaign: SECRET_KEY")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgresql_is_spoken_to_by_psycopg_3(tmp_path: Path, scheme: str) -> None:
    settings = read(tmp_path, DATABASE_URL=f"{scheme}://user@host/name")
    assert settings.sqlalchemy_url == "postgresql+psycopg://user@host/name"
    assert not settings.is_sqlite


def test_https_means_secure_and_its_own_host_is_trusted(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        BASE_URL="https://campaign.example.org/",
        SECRET_KEY=GOOD,
        TRUSTED_HOSTS="www.example.org, petition.example.org",
    )
    assert settings.base_url == "https://campaign.example.org"
    assert settings.is_secure
    assert settings.hosts == ("campaign.example.org", "www.example.org", "petition.example.org")


def test_base_url_follows_the_port_unless_somebody_chose_it(tmp_path: Path) -> None:
    assert read(tmp_path, PORT="8123").base_url == "http://127.0.0.1:8123"
    assert read(tmp_path, PORT="8123").with_port(9000).base_url == "http://127.0.0.1:9000"
    chosen = read(tmp_path, PORT="8123", BASE_URL="http://localhost:7000")
    assert chosen.base_url == "http://localhost:7000"
    assert chosen.with_port(9000).base_url == "http://localhost:7000"


def test_secrets_are_not_in_the_representation(tmp_path: Path) -> None:
    shown = repr(
        read(
            tmp_path,
            SECRET_KEY=GOOD,
            DATABASE_URL="postgresql://user:dbpassword@host/name",
            REDIS_URL="redis://:redispassword@host/0",
            SMTP_URL="smtp://user:mailpassword@host",
            SENDGRID_API_KEY="SG.apikey",
            METRICS_TOKEN="metricstoken",
        )
    )
    for secret in (GOOD, "dbpassword", "redispassword", "mailpassword", "apikey", "metricstoken"):
        assert secret not in shown


def test_empty_values_are_as_if_not_given(tmp_path: Path) -> None:
    assert read(tmp_path, MAIL_TRANSPORT="", PORT="").mail_transport == "mailbox"


def test_children_get_the_same_folder_and_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = from_environ({"DATA_DIR": "here"}).with_port(8765)
    environ = child_environment(settings)
    assert environ["DATA_DIR"] == str(tmp_path / "here")
    assert environ["PORT"] == "8765"
    assert environ["BASE_URL"] == "http://127.0.0.1:8765"


@given(st.text(max_size=31))
def test_a_short_key_is_always_weak(key: str) -> None:
    assert is_weak(key)


def test_several_web_processes_count_into_a_folder_that_they_share(tmp_path: Path) -> None:
    several = read(tmp_path, WEB_PROCESSES="2", REDIS_URL="redis://127.0.0.1:1/0")
    assert child_environment(several)["PROMETHEUS_MULTIPROC_DIR"] == str(tmp_path / "metrics")
    assert "PROMETHEUS_MULTIPROC_DIR" not in child_environment(read(tmp_path))


DKIM = {"DKIM_DOMAIN": "Example.org.", "DKIM_SELECTOR": "campaign1"}


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b"") -> str:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden).decode()


def test_a_key_for_dkim_may_be_a_text_or_a_file(tmp_path: Path) -> None:
    key = pem(rsa.generate_private_key(65537, 1024))
    plain = read(tmp_path, **DKIM, DKIM_PRIVATE_KEY=key)
    assert plain.signs_mail
    assert plain.dkim_domain == "example.org"
    assert "PRIVATE" not in repr(plain)
    broken = read(tmp_path, **DKIM, DKIM_PRIVATE_KEY=key.strip().replace("\n", "\\n"))
    assert broken.dkim_private_key == plain.dkim_private_key.strip()
    file = tmp_path / "dkim.pem"
    file.write_text(key)
    named = read(tmp_path, **DKIM, DKIM_PRIVATE_KEY=os.path.relpath(file))
    assert child_environment(named)["DKIM_PRIVATE_KEY"] == str(file.resolve())
    assert not read(tmp_path).signs_mail


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DKIM_SELECTOR": ""}, "go together"),
        ({"DKIM_PRIVATE_KEY": ""}, "go together"),
        ({"DKIM_DOMAIN": "localhost"}, "DKIM_DOMAIN"),
        ({"DKIM_DOMAIN": "a b.org"}, "DKIM_DOMAIN"),
        ({"DKIM_SELECTOR": "two words"}, "DKIM_SELECTOR"),
        ({"DKIM_PRIVATE_KEY": "/nowhere/dkim.pem"}, "/nowhere/dkim.pem cannot be read"),
        ({"DKIM_PRIVATE_KEY": "-----BEGIN nonsense"}, "must be an RSA key"),
        ({"DKIM_PRIVATE_KEY": pem(ed25519.Ed25519PrivateKey.generate())}, "must be an RSA key"),
        (
            {"DKIM_PRIVATE_KEY": pem(rsa.generate_private_key(65537, 1024), b"secret")},
            "without a password",
        ),
    ],
)
def test_what_is_wrong_with_dkim_is_one_line_at_the_start(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    good = {**DKIM, "DKIM_PRIVATE_KEY": pem(rsa.generate_private_key(65537, 1024))}
    with pytest.raises(SettingsError, match=words) as caught:
        read(tmp_path, **{**good, **changes})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("DKIM_")
