"""Looking a sender's domain up: DNS first, then the row, so that no transaction waits for DNS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import dns.exception
import dns.resolver
from sqlalchemy import select

from campaign import clock
from campaign.db import db
from campaign.mail import domains
from campaign.mail.domains import Unreachable
from campaign.mail.models import SenderDomain
from campaign.settings import Settings

ANSWER_SECONDS = 4.0
ALL_SECONDS = 40.0


def asker(seconds: float = ALL_SECONDS) -> Callable[[str], list[str] | None]:
    """A function that asks DNS for TXT records, each name once, all within `seconds`."""
    ends_at = time.monotonic() + seconds
    known: dict[str, list[str] | None] = {}

    def ask(name: str) -> list[str] | None:
        if name not in known:
            known[name] = _texts(name, min(ANSWER_SECONDS, ends_at - time.monotonic()))
        return known[name]

    return ask


def _texts(name: str, seconds: float) -> list[str] | None:
    if seconds <= 0:
        raise Unreachable("timeout")
    try:
        resolver = dns.resolver.Resolver()
        resolver.lifetime = seconds
        answer = resolver.resolve(name, "TXT")
    except dns.resolver.NXDOMAIN:
        return None
    except dns.resolver.NoAnswer:
        return []
    except dns.exception.Timeout as error:
        raise Unreachable("timeout") from error
    except dns.resolver.NoResolverConfiguration as error:
        raise Unreachable("no resolver") from error
    except dns.resolver.NoNameservers as error:
        raise Unreachable("no server answers") from error
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise Unreachable(type(error).__name__) from error
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]


def look(domain: str, settings: Settings) -> None:
    """Look a domain up and write down what was found, if somebody still wants to know."""
    found = domains.examine(domain, domains.way_of(settings), asker())
    row = db.session.get(SenderDomain, domain)
    if row is None:
        return
    row.looked_at = clock.now()
    row.verdict = domains.verdict_of(found)
    row.findings = {name: asdict(finding) for name, finding in found.items()}


def waiting(limit: int = 20) -> list[str]:
    """Domains that somebody asked about and nobody has looked up since."""
    statement = (
        select(SenderDomain.domain)
        .where(
            (SenderDomain.looked_at.is_(None)) | (SenderDomain.looked_at < SenderDomain.asked_at)
        )
        .order_by(SenderDomain.asked_at)
        .limit(limit)
    )
    return list(db.session.scalars(statement))
