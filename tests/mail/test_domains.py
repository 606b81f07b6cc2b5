"""What is made of the records of a sender's domain, and the look at DNS that writes it down."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dns.exception
import dns.resolver
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from campaign import clock
from campaign.db import db
from campaign.mail import domains, looking, queries, services, signing, tasks, verdicts
from campaign.mail.domains import Finding, State, Unreachable, Verdict, Way
from campaign.mail.models import SenderDomain
from campaign.settings import Settings

DOMAIN = "clinics.example"
KEY = signing.Published(DOMAIN, "campaign1", base64.b64encode(b"a public key").decode())
SMTP = Way("smtp", "a:mail.clinics.example", KEY)
SENDGRID = Way("sendgrid")
Records = Mapping[str, list[str]]
ANY_TEXT = st.text(max_size=300) | st.lists(
    st.sampled_from(
        [
            "v=spf1",
            "v=DMARC1;",
            "v=DKIM1;",
            "include:",
            "include:a.b",
            "+all",
            "-all",
            "ip4:1.2.3.4",
            "ip6:::1/999",
            "p=",
            "p=reject;",
            "p=none",
            "sp=%",
            "a/24",
            "mx:%{d}",
            "redirect=x.y",
            "redirect=",
            ";",
            "=",
            ";;=",
            "h=sha1;",
            "k=rsa",
            "\x00",
            "é",
            "adkim=s;",
            "?all",
        ]
    ),
    max_size=14,
).map(" ".join)


def asker(records: Records) -> domains.Ask:
    """DNS that holds these and nothing else; a name that is not there has no such name."""
    return records.get


def spf(*texts: str, way: Way = SMTP, **others: str) -> Finding:
    found = {DOMAIN: list(texts)} | {
        name.replace("_", "."): [text] for name, text in others.items()
    }
    return domains.check_spf(DOMAIN, way, asker(found))


class TestParsers:
    @given(ANY_TEXT)
    def test_no_text_is_too_strange(self, text: str) -> None:
        domains.parse_spf(text)
        domains.parse_dmarc(text)
        domains.parse_key(text)
        domains.tags(text)
        domains.domain_of(text)

    @given(st.lists(ANY_TEXT, max_size=4), st.sampled_from([SMTP, SENDGRID, Way("mailbox")]))
    def test_whatever_is_published_there_are_words_for_it(self, texts: list[str], way: Way) -> None:
        found = domains.examine(DOMAIN, way, lambda _name: texts)
        assert set(found) == set(verdicts.RECORDS)
        for finding in found.values():
            words = verdicts.reason_words(finding)
            assert words
            assert "%(" not in words
            assert finding.state in verdicts.STATES
        assert domains.verdict_of(found) in verdicts.VERDICTS

    @given(
        st.sampled_from(domains.POLICIES), st.sampled_from(["", "r", "s"]), st.sampled_from("; ")
    )
    def test_dmarc_is_read_as_it_was_written(self, policy: str, adkim: str, end: str) -> None:
        text = f"v=DMARC1 ;p = {policy}; adkim={adkim}{end}"
        assert domains.is_dmarc(text)
        parsed = domains.parse_dmarc(text)
        assert (parsed.policy, parsed.is_strict_dkim) == (policy, adkim == "s")

    def test_every_code_has_words(self) -> None:
        source = Path(domains.__file__).read_text("utf-8")
        for code in verdicts.WORDS:
            base = code.rpartition("_")[0] if code.startswith("dmarc_") else code
            assert base in source, code


class TestSPF:
    def test_one_record_that_names_us(self) -> None:
        assert spf("v=spf1 a:MAIL.clinics.example -all", "other").code == "spf_good"
        assert spf("v=spf1 a:mail.clinics.example").code == "spf_no_end"

    def test_none_at_all(self) -> None:
        missing = spf("v=spf10 is another thing")
        assert (missing.state, missing.host) == (State.MISSING, DOMAIN)
        assert missing.value == "v=spf1 a:mail.clinics.example ~all"
        assert spf("other", way=Way("smtp")).value == ""
        assert spf("other", way=SENDGRID).state == State.GOOD
        assert domains.check_spf(DOMAIN, SMTP, asker({})).code == "no_domain"

    def test_two_records_become_one(self) -> None:
        found = spf("v=spf1 mx -all", "v=spf1 mx include:_spf.example -all")
        assert (found.state, found.code) == (State.WRONG, "spf_several")
        assert found.value == "v=spf1 a:mail.clinics.example mx include:_spf.example -all"

    @pytest.mark.parametrize("end", ["+all", "all", "+ALL"])
    def test_everybody_may_send(self, end: str) -> None:
        found = spf(f"v=spf1 mx {end}")
        assert found.code == "spf_everybody"
        assert found.value == "v=spf1 a:mail.clinics.example mx ~all"

    @pytest.mark.parametrize(
        "term",
        ["ip4:1.2.3", "ip4", "ip6:1.2.3.4", "includes:x.y", "include:", "all:x", "-redirect=x"],
    )
    def test_a_part_that_nobody_understands(self, term: str) -> None:
        found = spf(f"v=spf1 {term} mx ~all")
        assert (found.code, found.detail["term"]) == ("spf_bad_term", term)
        assert term not in found.value.split()

    def test_at_most_ten_lookups_those_of_includes_counted(self) -> None:
        ten = " ".join(f"a:h{n}.example" for n in range(8))
        near = f"v=spf1 a:mail.clinics.example include:more.example {ten} ~all"
        assert spf(near, more_example="v=spf1 ip4:192.0.2.1 ~all").code == "spf_good"
        assert spf(near, more_example="v=spf1 mx ~all").code == "spf_lookups"

    def test_records_that_include_each_other_end(self) -> None:
        found = spf("v=spf1 include:a.example ~all", a_example="v=spf1 include:a.example ~all")
        assert found.code == "spf_lookups"

    def test_an_include_that_leads_nowhere(self) -> None:
        found = spf("v=spf1 include:gone.example ~all")
        assert (found.code, found.detail) == ("spf_broken_include", {"domain": "gone.example"})

    def test_a_service_that_is_not_named(self) -> None:
        way = replace(SMTP, spf_term="include:sendgrid.net")
        found = spf("v=spf1 mx -all", way=way)
        assert (found.code, found.value) == ("spf_not_us", "v=spf1 include:sendgrid.net mx -all")
        assert spf("v=spf1 mx -all").state == State.UNSEEN
        inside = spf(
            "v=spf1 include:house.example -all",
            way=way,
            house_example="v=spf1 include:sendgrid.net ~all",
            sendgrid_net="v=spf1 ip4:192.0.2.0/24 ~all",
        )
        assert inside.code == "spf_good"

    def test_redirect_stands_for_the_end(self) -> None:
        found = spf(
            "v=spf1 redirect=house.example",
            house_example="v=spf1 a:mail.clinics.example -all",
        )
        assert found.code == "spf_good"

    @pytest.mark.parametrize(
        ("url", "term"),
        [
            ("smtp://mail.clinics.example:587", "a:mail.clinics.example"),
            ("smtps://email-smtp.us-east-1.amazonaws.com", "include:amazonses.com"),
            ("smtp://smtp.sendgrid.net", "include:sendgrid.net"),
            ("smtp://localhost", "a:campaign.example.org"),
            ("smtp://8.8.8.8", "ip4:8.8.8.8"),
            ("smtp://[2001:4860:4860::8888]", "ip6:2001:4860:4860::8888"),
            ("smtp://10.0.0.9", "a:campaign.example.org"),
        ],
    )
    def test_which_term_names_this_installation(
        self, settings: Settings, url: str, term: str
    ) -> None:
        made = replace(
            settings, mail_transport="smtp", smtp_url=url, base_url="https://campaign.example.org"
        )
        assert domains.way_of(made) == Way("smtp", term)


class TestDMARC:
    def check(self, domain: str = DOMAIN, **records: list[str]) -> Finding:
        place = {name.replace("__", "."): texts for name, texts in records.items()}
        return domains.check_dmarc(domain, asker(place))[0]

    def test_missing(self) -> None:
        found = self.check()
        assert (found.state, found.host) == (State.MISSING, f"_dmarc.{DOMAIN}")
        assert found.value == "v=DMARC1; p=none"

    @pytest.mark.parametrize("policy", domains.POLICIES)
    def test_policies(self, policy: str) -> None:
        found = domains.check_dmarc(
            DOMAIN, asker({f"_dmarc.{DOMAIN}": [f"v=DMARC1; p={policy}; aspf=s"]})
        )[0]
        assert (found.state, found.code) == (State.GOOD, f"dmarc_{policy}")
        assert "exactly this domain" in verdicts.reason_words(found)

    @pytest.mark.parametrize(
        "text", ["v=DMARC1", "v=DMARC1; p=maybe", "v=DMARC1; rua=mailto:a@b.c"]
    )
    def test_without_a_policy(self, text: str) -> None:
        found = domains.check_dmarc(DOMAIN, asker({f"_dmarc.{DOMAIN}": [text]}))[0]
        assert (found.state, found.code) == (State.WRONG, "dmarc_no_policy")

    def test_two_records(self) -> None:
        texts = ["v=DMARC1; p=none", "v=DMARC1; p=reject"]
        assert domains.check_dmarc(DOMAIN, asker({f"_dmarc.{DOMAIN}": texts}))[0].code == (
            "dmarc_several"
        )

    def test_the_domain_above_speaks_for_a_part_of_it(self) -> None:
        records = {f"_dmarc.{DOMAIN}": ["v=DMARC1; p=reject; sp=quarantine"]}
        found = domains.check_dmarc(f"news.{DOMAIN}", asker(records))[0]
        assert (found.code, found.detail["above"]) == ("dmarc_quarantine", DOMAIN)
        suffix = {"_dmarc.example": ["v=DMARC1; p=reject; psd=y"]}
        assert domains.check_dmarc(DOMAIN, asker(suffix))[0].state == State.MISSING


class TestDKIM:
    def check(self, *texts: str, way: Way = SMTP, domain: str = DOMAIN, dmarc: str = "") -> Finding:
        records = {KEY.host: list(texts)} if texts else {}
        return domains.check_dkim(domain, way, domains.parse_dmarc(dmarc), asker(records))

    def test_our_key_is_there(self) -> None:
        assert self.check(KEY.value).code == "dkim_good"
        assert self.check(f"p={KEY.key[:4]} {KEY.key[4:]}").code == "dkim_good"

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("v=DKIM1; k=rsa; p=", "dkim_withdrawn"),
            ("v=DKIM1; p=b3RoZXI=", "dkim_other_key"),
            ("v=DKIM1; p=not base64!", "dkim_other_key"),
            (f"v=DKIM1; k=ed25519; p={KEY.key}", "dkim_unusable"),
            (f"v=DKIM1; h=sha1; p={KEY.key}", "dkim_unusable"),
            (f"v=DKIM1; s=tlsrpt; p={KEY.key}", "dkim_unusable"),
        ],
    )
    def test_what_can_be_wrong_with_it(self, text: str, code: str) -> None:
        found = self.check(text)
        assert (found.state, found.code) == (State.WRONG, code)
        assert (found.host, found.value) == (KEY.host, KEY.value)

    def test_missing_or_twice(self) -> None:
        found = self.check()
        assert (found.state, found.host, found.value) == (State.MISSING, KEY.host, KEY.value)
        assert self.check(KEY.value, KEY.value).code == "dkim_several"

    def test_a_key_of_another_domain_does_not_speak_for_this_one(self) -> None:
        assert self.check(KEY.value, domain="other.example").code == "dkim_other_domain"
        assert self.check(KEY.value, domain=f"news.{DOMAIN}").code == "dkim_good"
        strict = "v=DMARC1; p=none; adkim=s"
        found = self.check(KEY.value, domain=f"news.{DOMAIN}", dmarc=strict)
        assert found.code == "dkim_other_domain"
        assert not domains.are_aligned("myclinics.example", "clinics.example", is_strict=False)

    def test_without_a_key_of_ours_we_cannot_tell(self) -> None:
        assert self.check(way=Way("smtp")).state == State.UNSEEN

    def test_sendgrid_has_keys_of_its_own(self) -> None:
        there = {f"s2._domainkey.{DOMAIN}": ["k=rsa; t=s; p=b3RoZXI="]}
        assert domains.check_dkim(DOMAIN, SENDGRID, domains.Dmarc(), asker(there)).state == (
            State.GOOD
        )
        found = domains.check_dkim(DOMAIN, SENDGRID, domains.Dmarc(), asker({}))
        assert (found.state, found.value) == (State.MISSING, "")
        assert "CNAME" in verdicts.reason_words(found)


def test_the_record_is_that_of_the_private_key(settings: Settings) -> None:
    key = rsa.generate_private_key(65537, 1024)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    made = replace(
        settings,
        mail_transport="smtp",
        smtp_url="smtp://localhost",
        dkim_domain=DOMAIN,
        dkim_selector="one",
        dkim_private_key=pem,
    )
    found = signing.published(made)
    assert found is not None
    assert found.host == f"one._domainkey.{DOMAIN}"
    assert found.value.startswith("v=DKIM1; k=rsa; p=MI")
    assert signing.published(replace(made, mail_transport="sendgrid")) is None


def test_the_worst_is_said_first() -> None:
    def of(*states: State) -> Verdict:
        return domains.verdict_of({str(n): Finding(state, "") for n, state in enumerate(states)})

    assert of(State.GOOD, State.GOOD) == Verdict.GOOD
    assert of(State.GOOD, State.UNSEEN) == Verdict.UNSEEN
    assert of(State.UNSEEN, State.UNKNOWN) == Verdict.UNKNOWN
    assert of(State.UNKNOWN, State.MISSING) == Verdict.BAD


# --- the look itself ------------------------------------------------------------------------------


class Record:
    def __init__(self, text: str) -> None:
        data = text.encode()
        self.strings = [data[at : at + 255] for at in range(0, len(data), 255)]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give DNS its records, or the error that it raises."""

    def give(records: Records, error: Exception | None = None) -> None:
        def resolve(_self: object, name: str, _kind: str) -> list[Record]:
            if error is not None:
                raise error
            if name not in records:
                raise dns.resolver.NXDOMAIN
            if not records[name]:
                raise dns.resolver.NoAnswer
            return [Record(text) for text in records[name]]

        monkeypatch.setattr(dns.resolver.Resolver, "__init__", lambda _self: None)
        monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)

    return give


def look(run_tasks: Callable[[], int]) -> SenderDomain:
    services.ask_about_domain(DOMAIN)
    db.session.commit()
    run_tasks()
    row = queries.sender_domain(DOMAIN)
    assert row is not None
    return row


@pytest.mark.usefixtures("app")
class TestLooking:
    def test_it_is_written_down(
        self, run_tasks: Callable[[], int], resolver: Callable[..., None]
    ) -> None:
        resolver({DOMAIN: ["v=spf1 mx ~all", "x" * 600], f"_dmarc.{DOMAIN}": []})
        row = look(run_tasks)
        assert not row.is_waiting
        assert row.verdict == Verdict.BAD
        found = domains.stored(row.findings)
        assert found["spf"].found == "v=spf1 mx ~all"
        assert found["dmarc"].state == State.MISSING

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (dns.exception.Timeout(), "DNS did not answer in time"),
            (dns.resolver.NoNameservers(), "no DNS server had an answer"),
            (dns.resolver.NoResolverConfiguration(), "this machine knows no DNS server"),
            (OSError("unreachable"), "DNS failed"),
            (dns.exception.FormError(), "DNS failed"),
        ],
    )
    def test_dns_that_is_away_is_no_failure(
        self,
        run_tasks: Callable[[], int],
        resolver: Callable[..., None],
        error: Exception,
        words: str,
    ) -> None:
        resolver({}, error)
        row = look(run_tasks)
        assert row.verdict == Verdict.UNKNOWN
        spf = domains.stored(row.findings)["spf"]
        assert verdicts.reason_words(spf) == f"We could not look: {words}."

    def test_asked_again_it_looks_again(
        self, run_tasks: Callable[[], int], resolver: Callable[..., None]
    ) -> None:
        resolver({}, OSError())
        look(run_tasks)
        resolver(
            {
                DOMAIN: ["v=spf1 mx ~all"],
                f"_dmarc.{DOMAIN}": ["v=DMARC1; p=none"],
            }
        )
        assert look(run_tasks).verdict == Verdict.UNSEEN

    def test_a_lost_call_is_rung_again(
        self, rung: list[object], run_tasks: Callable[[], int], resolver: Callable[..., None]
    ) -> None:
        resolver({})
        services.ask_about_domain(DOMAIN)
        db.session.commit()
        rung.clear()
        tasks.look_at_waiting_domains()
        assert run_tasks() == 1
        assert looking.waiting() == []

    def test_it_says_when_it_takes_long(self) -> None:
        services.ask_about_domain(DOMAIN)
        row = queries.sender_domain(DOMAIN)
        assert row is not None
        assert row.is_waiting
        assert not row.is_late(clock.now())
        assert row.is_late(clock.now() + timedelta(minutes=3))


def test_a_look_ends_in_time(app: Flask, resolver: Callable[..., None]) -> None:
    resolver({})
    with pytest.raises(Unreachable):
        looking.asker(0.0)("clinics.example")
