"""Calls to the webhook that SendGrid did not make: refused, never an error, nothing kept."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from flask import Flask
from sqlalchemy import func, select

from campaign.db import db, uuid7
from campaign.mail.models import ProviderEvent, WebhookCall
from campaign.mail.webhook import SIGNATURE_HEADER as SIGNATURE
from campaign.mail.webhook import TIMESTAMP_HEADER as TIMESTAMP
from campaign.settings import Settings
from tests.conftest import Client
from tests.factories.sendgrid_server import SendGridServer

pytestmark = pytest.mark.usefixtures("app")

PATH = "/webhooks/sendgrid"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MIB = 1024 * 1024


@pytest.fixture
def signer(app: Flask, with_settings: Callable[..., Settings]) -> SendGridServer:
    server = SendGridServer()
    server._http.server_close()
    with_settings(sendgrid_webhook_public_key=server.webhook_public_key)
    return server


@pytest.fixture(autouse=True)
def nothing_kept(app: Flask) -> Iterator[None]:
    yield
    with app.app_context():
        for table in (WebhookCall, ProviderEvent):
            assert db.session.scalar(select(func.count()).select_from(table)) == 0


@dataclass
class Call:
    """A genuine call, to be spoiled."""

    server: SendGridServer
    body: bytes
    headers: dict[str, str] = field(init=False)
    content_type: str = "application/json"

    def __post_init__(self) -> None:
        self.headers = {
            name: value
            for name, value in self.server.signed(self.body).items()
            if name in {SIGNATURE, TIMESTAMP}
        }

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.headers[SIGNATURE])

    @raw.setter
    def raw(self, signature: bytes) -> None:
        self.headers[SIGNATURE] = base64.b64encode(signature).decode()

    @property
    def at(self) -> str:
        return self.headers[TIMESTAMP]

    @property
    def signed_text(self) -> bytes:
        return self.at.encode() + self.body

    def sign_again(self, timestamp: str) -> None:
        """A good signature of a timestamp that no clock gives."""
        self.headers = {SIGNATURE: self.server.sign(self.body, timestamp), TIMESTAMP: timestamp}


def drop(*names: str) -> Callable[[Call], None]:
    def spoil(call: Call) -> None:
        for name in names:
            del call.headers[name]

    return spoil


def header(name: str, value: str) -> Callable[[Call], None]:
    return lambda call: call.headers.update({name: value})


def resigned(timestamp: Callable[[], str]) -> Callable[[Call], None]:
    return lambda call: call.sign_again(timestamp())


def ago(seconds: int) -> Callable[[], str]:
    return lambda: str(int(time.time()) - seconds)


def change_body(change: Callable[[bytes], bytes]) -> Callable[[Call], None]:
    def spoil(call: Call) -> None:
        call.body = change(call.body)

    return spoil


def change_signature(change: Callable[[bytes], bytes]) -> Callable[[Call], None]:
    def spoil(call: Call) -> None:
        call.raw = change(call.raw)

    return spoil


def by_another_key(call: Call) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    call.raw = other.sign(call.signed_text, ec.ECDSA(hashes.SHA256()))


def on_another_curve(call: Call) -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    call.raw = other.sign(call.signed_text, ec.ECDSA(hashes.SHA256()))


def by_rsa(call: Call) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    call.raw = other.sign(call.signed_text, padding.PKCS1v15(), hashes.SHA256())


def with_another_hash(call: Call) -> None:
    key = call.server._webhook_key
    call.raw = key.sign(call.signed_text, ec.ECDSA(hashes.SHA512()))


def body_before_the_time(call: Call) -> None:
    key = call.server._webhook_key
    call.raw = key.sign(call.body + call.at.encode(), ec.ECDSA(hashes.SHA256()))


def only_the_body(call: Call) -> None:
    call.raw = call.server._webhook_key.sign(call.body, ec.ECDSA(hashes.SHA256()))


def two_numbers_without_asn1(call: Call) -> None:
    r, s = decode_dss_signature(call.raw)
    call.raw = r.to_bytes(32) + s.to_bytes(32)


def moved_between_time_and_body(call: Call) -> None:
    """The same signed bytes, cut elsewhere: a digit of the time begins the body."""
    call.body = call.at[-1:].encode() + call.body
    call.headers[TIMESTAMP] = call.at[:-1]


def later_by_a_second(call: Call) -> None:
    call.headers[TIMESTAMP] = str(int(call.at) + 1)


def in_hexadecimal(call: Call) -> None:
    call.headers[SIGNATURE] = call.raw.hex()


def in_other_case(call: Call) -> None:
    call.headers[SIGNATURE] = call.headers[SIGNATURE].swapcase()


def under_other_names(call: Call) -> None:
    call.headers = {name.replace("X-Twilio-", ""): one for name, one in call.headers.items()}


def signature_twice(call: Call) -> None:
    call.headers[SIGNATURE] = f"{call.headers[SIGNATURE]},{call.headers[SIGNATURE]}"


def zipped(call: Call) -> None:
    """The signature is that of the text; what comes is its gzip."""
    call.body = gzip.compress(call.body)
    call.headers["Content-Encoding"] = "gzip"


def as_a_form(call: Call) -> None:
    call.body = b"event=delivered&sg_event_id=x"
    call.content_type = "application/x-www-form-urlencoded"


def as_a_file(call: Call) -> None:
    call.body = (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    )
    call.content_type = "multipart/form-data; boundary=b"


FORGERIES: dict[str, Callable[[Call], None]] = {
    "no headers": drop(SIGNATURE, TIMESTAMP),
    "no signature": drop(SIGNATURE),
    "no timestamp": drop(TIMESTAMP),
    "under other names": under_other_names,
    "empty signature": header(SIGNATURE, ""),
    "empty timestamp": header(TIMESTAMP, ""),
    "signature of blanks": header(SIGNATURE, "    "),
    "not base64": header(SIGNATURE, "%%%"),
    "characters beyond ASCII": header(SIGNATURE, "ÿþý€"),
    "in hexadecimal": in_hexadecimal,
    "in other case": in_other_case,
    "signature twice": signature_twice,
    "by another key": by_another_key,
    "on another curve": on_another_curve,
    "by RSA": by_rsa,
    "with another hash": with_another_hash,
    "body before the time": body_before_the_time,
    "only the body": only_the_body,
    "moved between time and body": moved_between_time_and_body,
    "two numbers without ASN.1": two_numbers_without_asn1,
    "truncated": change_signature(lambda raw: raw[:-1]),
    "half": change_signature(lambda raw: raw[: len(raw) // 2]),
    "lengthened": change_signature(lambda raw: raw + b"\0"),
    "one bit": change_signature(lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
    "garbage": change_signature(lambda raw: b"\x30\x82\xff\xff" + raw),
    "an ASN.1 that never ends": change_signature(lambda _: b"\x30\x84\xff\xff\xff\xff"),
    "zeros": change_signature(lambda _: encode_dss_signature(0, 0)),
    "the order of the curve": change_signature(
        lambda _: encode_dss_signature(P256_ORDER, P256_ORDER)
    ),
    "very large numbers": change_signature(lambda _: encode_dss_signature(1 << 4096, 1)),
    "negative numbers": change_signature(lambda _: b"\x30\x06\x02\x01\xff\x02\x01\xff"),
    "altered body": change_body(lambda body: body.replace(b"delivered", b"bounce")),
    "a blank more": change_body(lambda body: body + b" "),
    "empty body": change_body(lambda _: b""),
    "not JSON": change_body(lambda _: b"<xml/>"),
    "not UTF-8": change_body(lambda _: b"\xff\xfe\x00"),
    "zipped": zipped,
    "as a form": as_a_form,
    "as a file": as_a_file,
    "a replay with another time": later_by_a_second,
    "time is no number": header(TIMESTAMP, "now"),
    "time with a sign": resigned(lambda: f"+{int(time.time())}"),
    "time below zero": resigned(lambda: "-1"),
    "time with a fraction": resigned(lambda: f"{time.time():.3f}"),
    "time in milliseconds": resigned(lambda: str(int(time.time() * 1000))),
    "time in other digits": header(TIMESTAMP, "١٧٦٤١٥٠٠٠٠"),
    "time with blanks": resigned(lambda: f"1 {int(time.time())}"),
    "time in words of a float": resigned(lambda: "1e9"),
    "time of forty digits": resigned(lambda: "1" * 40),
    "year 1970": resigned(lambda: "0"),
    "year 5138": resigned(lambda: "99999999999"),
    "older than 25 hours": resigned(ago(25 * 3600 + 60)),
    "in an hour": resigned(ago(-3600)),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_call_is_refused(name: str, client: Client, signer: SendGridServer) -> None:
    call = Call(signer, json.dumps([signer.event("delivered", uuid7().hex)]).encode())
    FORGERIES[name](call)
    headers = {key: value.encode("utf-8").decode("latin-1") for key, value in call.headers.items()}
    answer = client.post(PATH, data=call.body, headers=headers, content_type=call.content_type)
    assert answer.status_code == 403


def test_a_huge_body_is_refused_signed_or_not(client: Client, signer: SendGridServer) -> None:
    body = b"[" + b" " * (6 * MIB) + b"]"
    for headers in (signer.signed(body), {}):
        assert client.post(PATH, data=body, headers=headers).status_code == 413


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_none(client: Client, method: str, signer: SendGridServer) -> None:
    assert client.open(PATH, method=method).status_code == 405
