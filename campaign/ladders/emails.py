"""The letter of a step: what was written in one language, in the frame of every bulk e-mail."""

from __future__ import annotations

from campaign.ladders.models import LadderStep
from campaign.ladders.rules import Details
from campaign.mail.letters import Letter
from campaign.mailings import emails
from campaign.organizations.models import Organization


def draft_of(details: Details, language: str) -> emails.Draft:
    """What a step says in a language."""
    return emails.Draft(
        subject=details.subject.get(language, ""),
        preheader=details.preheader.get(language, ""),
        body=details.body.get(language, ""),
    )


def source_of(step: LadderStep) -> str:
    """What a signature says that came from a link in this step's e-mail."""
    return f"l-{step.id.hex[-12:]}"


def letter_of(
    details: Details, language: str, organization: Organization, *, source: str = ""
) -> Letter:
    """The letter in a language, with merge fields in it. A preview has no `source`."""

    def lead(url: str) -> str:
        return emails.with_source(url, source) if source and emails.is_openable(url) else url

    return emails.render_message(
        draft_of(details, language), organization, link=lead, bare_link=lead, language=language
    )
