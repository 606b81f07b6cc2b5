"""What was found out about a sender's domain, in words: for the console and `campaign doctor`."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l

from campaign.mail.domains import Finding, State, Verdict

RECORDS: dict[str, tuple[str, Any]] = {
    "spf": ("SPF", _l("Which servers may send for your domain.")),
    "dkim": ("DKIM", _l("A seal on each email: it is from you, and nobody changed it.")),
    "dmarc": ("DMARC", _l("What happens to email that only pretends to be yours.")),
}
STATES: dict[str, tuple[Any, str]] = {
    State.GOOD: (_l("In order"), ""),
    State.MISSING: (_l("Missing"), "bad"),
    State.WRONG: (_l("Wrong"), "bad"),
    State.UNSEEN: (_l("Please check"), "warn"),
    State.UNKNOWN: (_l("Not looked at"), "plain"),
}
"""A state and the kind of its tag."""
VERDICTS: dict[str, tuple[Any, Any]] = {
    Verdict.GOOD: (
        _l("Your email is set up to arrive."),
        _l("Mail services can tell that it is from you."),
    ),
    Verdict.BAD: (
        _l("Some of your email may not arrive."),
        _l("It may be refused or land in spam until what is marked below is fixed."),
    ),
    Verdict.UNSEEN: (
        _l("We see nothing wrong."),
        _l("But not all of it can be seen from here: please check what is marked below."),
    ),
    Verdict.UNKNOWN: (
        _l("We could not look at everything."),
        _l("That says nothing about your email. Please try again later."),
    ),
}
WORDS: dict[str, Any] = {
    "no_domain": _l("There is no domain called %(domain)s. Is the sender address spelled right?"),
    "spf_not_needed": _l(
        "There is none, and with SendGrid you need none: its records for DKIM cover this, too."
    ),
    "spf_missing": _l(
        "There is none, so mail services cannot tell who may send for you. Add this record."
    ),
    "spf_missing_ask": _l(
        "There is none, so mail services cannot tell who may send for you. Ask whoever runs your mail server what it has to say."
    ),
    "spf_several": _l(
        "There are %(count)s of them, so mail services ignore them all. Put this one in their place."
    ),
    "spf_bad_term": _l(
        "Mail services ignore it because they do not understand this part: %(term)s. Put this record in its place."
    ),
    "spf_everybody": _l(
        "It lets everybody send in your name (+all), as spammers do. Put this record in its place."
    ),
    "spf_broken_include": _l(
        "Mail services ignore it because it points to %(domain)s, which does not have exactly one SPF record. Take that part out."
    ),
    "spf_lookups": _l(
        "Mail services ignore it because it makes them look up more than %(most)s other names. Take out the services that you no longer use."
    ),
    "spf_not_us": _l(
        "It does not name the service that sends our email (%(term)s). Put this record in its place."
    ),
    "spf_perhaps_us": _l(
        "It does not name our mail server as %(term)s. If it does so in another way, all is well. If not, put this record in its place."
    ),
    "spf_no_end": _l("It is good enough. It would be clearer with ~all at its end."),
    "spf_good": _l("There is one, and it says who may send for you."),
    "dmarc_missing": _l(
        "There is none, and large mail services refuse mass email without it. Add this record; it changes nothing else."
    ),
    "dmarc_several": _l(
        "There is more than one, so mail services ignore them all. Keep only this one."
    ),
    "dmarc_no_policy": _l(
        "Mail services ignore it because it does not say what to do (p=none, p=quarantine or p=reject). Put this record in its place."
    ),
    "dmarc_none": _l("Email that fails the check is let through all the same (p=none)."),
    "dmarc_quarantine": _l("Email that fails the check goes to spam (p=quarantine)."),
    "dmarc_reject": _l("Email that fails the check is refused (p=reject)."),
    "dkim_not_ours": _l(
        "We do not sign, and we cannot see whether your mail server does. Ask whoever runs it; they find how we can sign in docs/operations.md, under “Will it arrive?”."
    ),
    "dkim_other_domain": _l(
        "We sign for %(domain)s, but you send from %(own)s, so our seal does not count for you. Use a sender address at %(domain)s, or ask whoever runs this installation."
    ),
    "dkim_missing": _l("We sign, but the key that proves it is not there. Add this record."),
    "dkim_several": _l(
        "There is more than one key under this name, and mail services may take the wrong one. Keep only this one."
    ),
    "dkim_withdrawn": _l(
        "The key there was withdrawn: its p= is empty. Put this record in its place."
    ),
    "dkim_other_key": _l(
        "Another key is there, so our seal looks forged. Put this record in its place."
    ),
    "dkim_unusable": _l(
        "The key there is ours, but the record does not allow it for our email (its k=, h= or s=). Put this record in its place."
    ),
    "dkim_good": _l("The key that proves our seal is there."),
    "dkim_sendgrid": _l("SendGrid signs your email, and its key is there."),
    "dkim_sendgrid_missing": _l(
        "We found no key of SendGrid's. At SendGrid, open Settings, Sender Authentication, Authenticate Your Domain, and enter %(domain)s. It shows you CNAME records: add each one where your domain is managed, then press Verify at SendGrid. If you chose a selector of your own there, we cannot see it from here."
    ),
    "unreachable": _l("We could not look: %(reason)s."),
}
REASONS: dict[str, Any] = {
    "timeout": _l("DNS did not answer in time"),
    "no resolver": _l("this machine knows no DNS server"),
    "no server answers": _l("no DNS server had an answer"),
}
ALIGNMENT: dict[str, Any] = {
    "relaxed": _l("To pass, SPF or DKIM must be of your domain or a part of it."),
    "strict": _l("To pass, SPF or DKIM must be of exactly this domain, not of a part of it."),
}
ABOVE = _l("It stands at %(above)s and counts for your domain, too.")


def reason_words(finding: Finding) -> str:
    """Why a record stands as it does, and what to do about it."""
    detail = dict(finding.detail)
    if "reason" in detail:
        detail["reason"] = str(REASONS.get(detail["reason"], _l("DNS failed")))
    said = [str(WORDS[finding.code]) % detail]
    if "alignment" in detail:
        said.append(str(ALIGNMENT[detail["alignment"]]))
    if "above" in detail:
        said.append(str(ABOVE) % detail)
    return " ".join(said)
