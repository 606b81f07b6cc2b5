"""A large file that comes in slowly is nobody else's business."""

from __future__ import annotations

import http.client
import re
import time
from urllib.parse import urlencode

from sqlalchemy import func, select

from campaign.accounts.models import Session
from campaign.db import db
from campaign.imports.models import Import, ImportState
from campaign.organizations.models import Role
from tests.factories.organizations import make_member, make_organization
from tests.live import Live, live

__all__ = ["live"]

EMAIL, PASSWORD = "owner@example.org", "twenty-tabs-are-open"
PATH = "/organize/people/import/"
BOUNDARY = "a-boundary-of-ours"
ROWS = b"p@example.org\r\n" * 200_000


class Visitor:
    """Somebody with a cookie and a connection of their own."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=30)
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> str:
        self.connection.request(method, path, body, self.headers() | headers)
        return self.answer()

    def headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def answer(self) -> str:
        response = self.connection.getresponse()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                key, _equals, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        assert response.status in {200, 303}, response.status
        return response.read().decode()

    def token(self, path: str) -> str:
        return re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', self.ask("GET", path))[-1]

    def log_in(self) -> None:
        form = {"csrf_token": self.token("/login"), "email": EMAIL, "password": PASSWORD}
        kind = "application/x-www-form-urlencoded"
        self.ask("POST", "/login", urlencode(form).encode(), **{"Content-Type": kind})


def parts(**fields: str) -> bytes:
    said = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    said += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    return said.encode() + b"email\r\n"


def test_while_a_file_comes_in_others_write(live: Live) -> None:
    with live.rows():
        organization = make_organization()
        make_member(organization, Role.OWNER, email=EMAIL, password=PASSWORD)
    address = live.url.removeprefix("http://")
    slow, other = Visitor(address), Visitor(address)
    slow.log_in()
    begin = parts(csrf_token=slow.token(PATH), basis="They signed our sheets")
    end = f"\r\n--{BOUNDARY}--\r\n".encode()

    slow.connection.putrequest("POST", PATH)
    for name, value in slow.headers().items():
        slow.connection.putheader(name, value)
    slow.connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    slow.connection.putheader("Content-Length", str(len(begin) + len(ROWS) + len(end)))
    slow.connection.endheaders()
    slow.connection.send(begin + ROWS[: len(ROWS) // 2])
    time.sleep(0.5)
    started = time.monotonic()
    other.log_in()
    assert time.monotonic() - started < 5
    with live.rows():
        assert db.session.scalar(select(func.count()).select_from(Session)) == 2
    slow.connection.send(ROWS[len(ROWS) // 2 :] + end)
    slow.answer()
    with live.rows():
        assert db.session.scalars(select(Import.state)).all() == [ImportState.READING]
