"""What DNS says about the domain of a sender: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489).

The parsers take any text and never raise, for anybody may publish anything. `examine` asks
through a function that it is given, so that it knows no resolver and keeps no rows. What it finds
are codes; their words are in `verdicts`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import idna

from campaign.mail import signing
from campaign.settings import Settings

MOST_LOOKUPS = 10
"""How many further questions an SPF record may cost a receiver (RFC 7208, 4.6.4)."""
MOST_FOUND = 500
"""How much of a record is kept and shown."""
FREE_MAILERS = frozenset(
    [
        "gmail.com",
        "googlemail.com",
        "yahoo.com",
        "yahoo.es",
        "yahoo.com.mx",
        "yahoo.ca",
        "yahoo.co.uk",
        "ymail.com",
        "rocketmail.com",
        "aol.com",
        "outlook.com",
        "outlook.es",
        "hotmail.com",
        "hotmail.es",
        "hotmail.co.uk",
        "live.com",
        "live.com.mx",
        "msn.com",
        "icloud.com",
        "me.com",
        "mac.com",
        "proton.me",
        "protonmail.com",
        "pm.me",
        "gmx.com",
        "gmx.net",
        "gmx.de",
        "web.de",
        "mail.com",
        "zoho.com",
        "yandex.com",
        "yandex.ru",
        "mail.ru",
        "fastmail.com",
        "hey.com",
        "tutanota.com",
        "tuta.com",
        "comcast.net",
        "att.net",
        "sbcglobal.net",
        "bellsouth.net",
        "verizon.net",
        "cox.net",
        "charter.net",
        "earthlink.net",
        "optonline.net",
        "juno.com",
        "qq.com",
        "163.com",
        "126.com",
        "naver.com",
    ]
)
"""Whose DMARC record, or whose rules, let nobody else send in their name."""
PROVIDERS = {
    "sendgrid.net": "include:sendgrid.net",
    "amazonaws.com": "include:amazonses.com",
    "mailgun.org": "include:mailgun.org",
    "gmail.com": "include:_spf.google.com",
    "google.com": "include:_spf.google.com",
    "office365.com": "include:spf.protection.outlook.com",
    "outlook.com": "include:spf.protection.outlook.com",
    "sendinblue.com": "include:spf.sendinblue.com",
    "brevo.com": "include:spf.brevo.com",
    "mailjet.com": "include:spf.mailjet.com",
    "fastmail.com": "include:spf.messagingengine.com",
    "zoho.com": "include:zohomail.com",
}
"""Under whose SMTP servers' names which SPF term speaks for them."""
SENDGRID_SELECTORS = ("s1", "s2")


class Unreachable(Exception):
    """DNS could not be asked, or did not answer. `reason` is a word for machines."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Ask = Callable[[str], "list[str] | None"]
"""The TXT records of a name, None where there is no such name. Raises Unreachable."""


class State(StrEnum):
    """How one record stands. `UNSEEN` cannot be judged from here, `UNKNOWN` could not be asked."""

    GOOD = "good"
    MISSING = "missing"
    WRONG = "wrong"
    UNSEEN = "unseen"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """How a domain stands altogether."""

    GOOD = "good"
    BAD = "bad"
    UNSEEN = "unseen"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One record: how it stands, why (a code), what was found, what to publish."""

    state: str
    code: str
    detail: dict[str, str] = field(default_factory=dict)
    found: str = ""
    host: str = ""
    value: str = ""
    """The TXT record to add or to put in place of what is there; "" where there is none."""


Findings = dict[str, Finding]
"""By `spf`, `dkim`, `dmarc`."""


def domain_of(address: str) -> str:
    """The domain of an address as DNS writes it, "" where there is none."""
    domain = address.strip().rpartition("@")[2].lower().rstrip(".")
    try:
        return idna.encode(domain, uts46=True).decode("ascii") if domain else ""
    except (idna.IDNAError, UnicodeError):
        return domain if domain.isascii() else ""


def is_free_mailer(domain: str) -> bool:
    """Whether this is a mail service for private people, in whose name only it may send."""
    return domain in FREE_MAILERS


# --- how this installation sends ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """How mail leaves here: through what, which SPF term names it, which key of ours signs it."""

    transport: str
    spf_term: str = ""
    key: signing.Published | None = None


def way_of(settings: Settings) -> Way:
    """What the settings say."""
    key = signing.published(settings)
    if settings.mail_transport != "smtp":
        return Way(settings.mail_transport, key=key)
    server = (urlsplit(settings.smtp_url).hostname or "").lower()
    own = urlsplit(settings.base_url).hostname or ""
    return Way("smtp", _spf_term(server) or _spf_term(own), key)


def _spf_term(server: str) -> str:
    """The SPF term that names a server; "" for one inside the house."""
    for suffix, term in PROVIDERS.items():
        if server == suffix or server.endswith(f".{suffix}"):
            return term
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return f"a:{server}" if "." in server else ""
    return f"ip{address.version}:{address}" if address.is_global else ""


# --- SPF ------------------------------------------------------------------------------------------

ADDRESSES = {"ip4", "ip6"}
ASKING = {"include", "a", "mx", "ptr", "exists", "redirect"}
TERM = re.compile(r"([+\-~?]?)([a-z][a-z0-9._-]*)([:=/].*)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Term:
    """A term of SPF; `value` is what stands behind ":" or "="."""

    name: str
    qualifier: str = "+"
    value: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Spf:
    """An SPF record. `bad` are terms for which receivers throw all of it away."""

    terms: tuple[Term, ...] = ()
    bad: tuple[str, ...] = ()

    def first(self, name: str) -> Term | None:
        return next((term for term in self.terms if term.name == name), None)


def is_spf(text: str) -> bool:
    """Whether a TXT record is meant as SPF."""
    return re.match(r"v=spf1( |$)", text, re.IGNORECASE) is not None


def parse_spf(text: str) -> Spf:
    """The terms of an SPF record. Never raises."""
    terms, bad = [], []
    for word in text.split()[1:]:
        term = _term(word)
        if term is None:
            bad.append(word)
        else:
            terms.append(term)
    return Spf(tuple(terms), tuple(bad))


def _term(word: str) -> Term | None:
    match = TERM.fullmatch(word)
    if match is None:
        return None
    qualifier, name, rest = match[1], match[2].lower(), match[3] or ""
    value = rest[1:].rstrip(".") if rest[:1] in {":", "="} else rest
    made = Term(name, qualifier or "+", value, word)
    if rest.startswith("="):  # a modifier; unknown ones are ignored
        return None if qualifier or (name in {"redirect", "exp"} and not value) else made
    if name in ADDRESSES:
        return made if _is_network(value, int(name[2])) else None
    if name in {"include", "exists"}:
        return made if value and not rest.startswith("/") else None
    if name == "all":
        return None if rest else made
    return made if name in {"a", "mx", "ptr"} else None


def _is_network(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_network(text, strict=False).version == version
    except ValueError:
        return False


class _Walk:
    """All terms that a receiver meets, and how many questions it asks on the way."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.lookups = 0
        self.named: set[str] = set()
        self.broken = ""

    def through(self, spf: Spf) -> None:
        """Follow `spf` until the limit is passed or a place is broken."""
        has_end = spf.first("all") is not None
        for term in spf.terms:
            self.named.add(f"{term.name}:{term.value}".lower())
            if term.name not in ASKING or (term.name == "redirect" and has_end):
                continue
            self.lookups += 1
            if self.lookups > MOST_LOOKUPS or self.broken:
                return
            if term.name in {"include", "redirect"} and "%" not in term.value:
                records = [text for text in self._ask(term.value) or [] if is_spf(text)]
                if len(records) != 1:
                    self.broken = term.value
                    return
                self.through(parse_spf(records[0]))


def check_spf(domain: str, way: Way, ask: Ask) -> Finding:
    """Whether the domain says who may send for it, in a way that receivers accept."""
    texts = ask(domain)
    records = [text for text in texts or [] if is_spf(text)]
    term = way.spf_term
    fresh = f"v=spf1 {term} ~all" if term else ""
    found = "\n".join(records)[:MOST_FOUND]

    def say(state: State, code: str, value: str = "", **detail: str) -> Finding:
        return Finding(state, code, detail, found, domain if value else "", value)

    if texts is None:
        return say(State.MISSING, "no_domain", domain=domain)
    if not records:
        if way.transport == "sendgrid":
            return say(State.GOOD, "spf_not_needed")
        return say(State.MISSING, "spf_missing" if fresh else "spf_missing_ask", fresh)
    parsed = [parse_spf(text) for text in records]
    if len(records) > 1:
        return say(State.WRONG, "spf_several", _joined(parsed, term), count=str(len(records)))
    spf = parsed[0]
    if spf.bad:
        return say(State.WRONG, "spf_bad_term", _joined(parsed, term), term=spf.bad[0])
    end = spf.first("all")
    if end is not None and end.qualifier == "+":
        return say(State.WRONG, "spf_everybody", _joined(parsed, term))
    walk = _Walk(ask)
    walk.through(spf)
    if walk.broken:
        return say(State.WRONG, "spf_broken_include", domain=walk.broken)
    if walk.lookups > MOST_LOOKUPS:
        return say(State.WRONG, "spf_lookups", most=str(MOST_LOOKUPS))
    if term and term.lower() not in walk.named:
        if term.startswith("include:"):
            return say(State.WRONG, "spf_not_us", _joined(parsed, term), term=term)
        return say(State.UNSEEN, "spf_perhaps_us", _joined(parsed, term), term=term)
    if end is None and spf.first("redirect") is None:
        return say(State.GOOD, "spf_no_end")
    return say(State.GOOD, "spf_good")


def _joined(records: Sequence[Spf], term: str) -> str:
    """One record that says what all of these say, and names us."""
    words = [one.text for record in records for one in record.terms if one.name != "all"]
    ends = [one for record in records for one in record.terms if one.name == "all"]
    end = "-all" if ends and all(one.qualifier == "-" for one in ends) else "~all"
    last = [] if any(word.lower().startswith("redirect=") for word in words) else [end]
    return " ".join(["v=spf1", *dict.fromkeys([*([term] if term else []), *words]), *last])


# --- DMARC ----------------------------------------------------------------------------------------

POLICIES = ("none", "quarantine", "reject")


def tags(text: str) -> dict[str, str]:
    """`a=b; c=d` as a mapping, names in lower case, the first of two alike. Never raises."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, sign, value = part.partition("=")
        if sign:
            found.setdefault(name.strip().lower(), value.strip())
    return found


@dataclass(frozen=True, slots=True)
class Dmarc:
    """A DMARC record. `policy` is "" where it names none that receivers know."""

    policy: str = ""
    subdomain_policy: str = ""
    is_strict_dkim: bool = False
    is_strict_spf: bool = False
    is_for_suffix: bool = False


def is_dmarc(text: str) -> bool:
    """Whether a TXT record is meant as DMARC."""
    return re.match(r"\s*v\s*=\s*DMARC1\s*(;|$)", text, re.IGNORECASE) is not None


def parse_dmarc(text: str) -> Dmarc:
    """What a DMARC record asks for. Never raises."""
    found = tags(text)
    policy, below = found.get("p", "").lower(), found.get("sp", "").lower()
    return Dmarc(
        policy=policy if policy in POLICIES else "",
        subdomain_policy=below if below in POLICIES else "",
        is_strict_dkim=found.get("adkim", "").lower() == "s",
        is_strict_spf=found.get("aspf", "").lower() == "s",
        is_for_suffix=found.get("psd", "").lower() == "y",
    )


def check_dmarc(domain: str, ask: Ask) -> tuple[Finding, Dmarc]:
    """Whether the domain, or the one it is part of, says what becomes of mail in its name."""
    place = domain
    while place.count(".") >= 1:
        host = f"_dmarc.{place}"
        records = [text for text in ask(host) or [] if is_dmarc(text)]
        dmarc = parse_dmarc(records[0]) if records else Dmarc()
        if records and (place == domain or not dmarc.is_for_suffix):
            return _judge_dmarc(host, records, dmarc, is_above=place != domain), dmarc
        place = place.partition(".")[2]
    host = f"_dmarc.{domain}"
    return Finding(State.MISSING, "dmarc_missing", {}, "", host, "v=DMARC1; p=none"), Dmarc()


def _judge_dmarc(host: str, records: list[str], dmarc: Dmarc, *, is_above: bool) -> Finding:
    found = "\n".join(records)[:MOST_FOUND]
    if len(records) > 1:
        return Finding(State.WRONG, "dmarc_several", {}, found, host, records[0].strip())
    if not dmarc.policy:
        return Finding(State.WRONG, "dmarc_no_policy", {}, found, host, "v=DMARC1; p=none")
    policy = (dmarc.subdomain_policy or dmarc.policy) if is_above else dmarc.policy
    detail = {
        "policy": policy,
        "alignment": "strict" if dmarc.is_strict_dkim or dmarc.is_strict_spf else "relaxed",
    }
    if is_above:
        detail["above"] = host.removeprefix("_dmarc.")
    return Finding(State.GOOD, f"dmarc_{policy}", detail, found)


# --- DKIM -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A public key in DNS. `key` is b"" where it was withdrawn or cannot be read."""

    key: bytes = b""
    is_withdrawn: bool = False
    is_usable: bool = False


def parse_key(text: str) -> KeyRecord:
    """The key of a DKIM record. Never raises."""
    found = tags(text)
    if "p" not in found or found.get("v", "DKIM1") != "DKIM1":
        return KeyRecord()
    spelled = re.sub(r"\s+", "", found["p"])
    if not spelled:
        return KeyRecord(is_withdrawn=True)
    try:
        key = base64.b64decode(spelled, validate=True)
    except (binascii.Error, ValueError):
        return KeyRecord()
    hashes = found.get("h", "sha256").lower().split(":")
    services = found.get("s", "*").lower().split(":")
    usable = (
        found.get("k", "rsa").lower() == "rsa"
        and "sha256" in (one.strip() for one in hashes)
        and bool({"*", "email"} & {one.strip() for one in services})
    )
    return KeyRecord(key, is_usable=usable)


def are_aligned(signed: str, sender: str, *, is_strict: bool) -> bool:
    """Whether a signature for one domain speaks for the other: the same one, or unless DMARC is
    strict one that is part of the other."""
    if signed == sender:
        return True
    return not is_strict and (signed.endswith(f".{sender}") or sender.endswith(f".{signed}"))


def check_dkim(domain: str, way: Way, dmarc: Dmarc, ask: Ask) -> Finding:
    """Whether what is signed in this domain's name can be checked."""
    if way.transport == "sendgrid":
        return _check_sendgrid(domain, ask)
    if way.key is None:
        return Finding(State.UNSEEN, "dkim_not_ours")
    key = way.key
    if not are_aligned(key.domain, domain, is_strict=dmarc.is_strict_dkim):
        return Finding(State.WRONG, "dkim_other_domain", {"domain": key.domain, "own": domain})
    records = [text for text in ask(key.host) or [] if "p" in tags(text)]
    found = "\n".join(records)[:MOST_FOUND]
    if not records:
        return Finding(State.MISSING, "dkim_missing", {}, "", key.host, key.value)
    parsed = parse_key(records[0])
    if len(records) > 1:
        code = "dkim_several"
    elif parsed.is_withdrawn:
        code = "dkim_withdrawn"
    elif parsed.key != base64.b64decode(key.key):
        code = "dkim_other_key"
    elif not parsed.is_usable:
        code = "dkim_unusable"
    else:
        return Finding(State.GOOD, "dkim_good", {"selector": key.selector}, found)
    return Finding(State.WRONG, code, {}, found, key.host, key.value)


def _check_sendgrid(domain: str, ask: Ask) -> Finding:
    """SendGrid's own records lead to its keys under names it proposes by itself."""
    for selector in SENDGRID_SELECTORS:
        for text in ask(f"{selector}._domainkey.{domain}") or []:
            if parse_key(text).key:
                return Finding(
                    State.GOOD, "dkim_sendgrid", {"selector": selector}, text[:MOST_FOUND]
                )
    return Finding(State.MISSING, "dkim_sendgrid_missing", {"domain": domain})


# --- all together ---------------------------------------------------------------------------------


def examine(domain: str, way: Way, ask: Ask) -> Findings:
    """All three records. One that cannot be asked for is `UNKNOWN` and spoils no other. Where there
    is no such domain that alone is said: no record can be added to it."""
    found: Findings = {}
    dmarc = Dmarc()
    try:
        found["spf"] = check_spf(domain, way, ask)
    except Unreachable as error:
        found["spf"] = _unknown(error)
    if found["spf"].code == "no_domain":
        return found
    try:
        found["dmarc"], dmarc = check_dmarc(domain, ask)
    except Unreachable as error:
        found["dmarc"] = _unknown(error)
    try:
        found["dkim"] = check_dkim(domain, way, dmarc, ask)
    except Unreachable as error:
        found["dkim"] = _unknown(error)
    return found


def _unknown(error: Unreachable) -> Finding:
    return Finding(State.UNKNOWN, "unreachable", {"reason": error.reason})


def stored(rows: Mapping[str, Mapping[str, Any]]) -> Findings:
    """Findings as they come back from a row."""
    return {name: Finding(**row) for name, row in rows.items()}


def verdict_of(found: Mapping[str, Finding]) -> Verdict:
    """Something to mend is said first, then what could not be asked, then what cannot be seen."""
    states = {finding.state for finding in found.values()}
    if states & {State.MISSING, State.WRONG}:
        return Verdict.BAD
    if State.UNKNOWN in states:
        return Verdict.UNKNOWN
    return Verdict.UNSEEN if State.UNSEEN in states else Verdict.GOOD
