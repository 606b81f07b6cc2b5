"""The letter of a mailing: what was written, in the frame that every bulk e-mail has."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask_babel import force_locale
from flask_babel import gettext as _
from markupsafe import Markup

from campaign.accounts.models import User
from campaign.designs import cards
from campaign.designs import queries as designs
from campaign.designs.looks import Look
from campaign.errors import NotFound
from campaign.mail import merge
from campaign.mail.letters import Letter, merge_tag, render_letter
from campaign.mail.services import queue_email
from campaign.mailings import writing
from campaign.mailings.models import Message, Wording
from campaign.mailings.writing import Format
from campaign.organizations.models import Organization
from campaign.organizations.services import sender_of
from campaign.web.csrf import signer
from campaign.web.links import external
from campaign.web.requests import settings

LINK_PURPOSE = "go"
LOOK_KIND = "mailing-look"
TROUBLE_KIND = "mailing-trouble"
SOURCED = ("/p/", "/c/", "/e/")
MACHINES = (".json", ".ics")


def tell_of_look(
    what: str, message: Message, organization: Organization, to: Sequence[User], *, by: str = ""
) -> None:
    """Write to people of the team about a second look: "asked", "agreed", "sent_back" or "held"."""
    for user in to:
        letter = render_letter(
            "mailings/look",
            user.language,
            what=what,
            by=by,
            note=message.look_note,
            subject_of_it=message.subject,
            url=external("mailings.confirm", message_id=message.id),
            organization_name=organization.name,
            postal_address=organization.postal_address,
            crisis_line="",
        )
        queue_email(
            user.email,
            letter,
            organization_id=organization.id,
            kind=LOOK_KIND,
            sender=sender_of(organization),
        )


def tell_of_trouble(
    what: str,
    message: Message,
    organization: Organization,
    to: Sequence[User],
    *,
    variant: str = "",
    verdict: str = "",
) -> None:
    """Write to people of the team about a mailing on its way: it was paused, a variant was
    stopped or has won, it is theirs to choose, many call it spam."""
    for user in to:
        letter = render_letter(
            "mailings/trouble",
            user.language,
            what=what,
            variant=variant,
            verdict=verdict,
            subject_of_it=message.title,
            url=external("mailings.message", message_id=message.id),
            organization_name=organization.name,
            postal_address=organization.postal_address,
            crisis_line="",
        )
        queue_email(
            user.email,
            letter,
            organization_id=organization.id,
            kind=TROUBLE_KIND,
            sender=sender_of(organization),
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """What is written so far: of a message, or of a form that nobody has saved."""

    subject: str = ""
    preheader: str = ""
    body: str = ""
    template_id: uuid.UUID | None = None
    format: str = Format.MARKDOWN

    @classmethod
    def of(cls, message: Message) -> Draft:
        return cls(
            message.subject,
            message.preheader,
            message.body,
            message.template_id,
            message.format or Format.MARKDOWN,
        )

    def worded(self, said: Wording) -> Draft:
        """The same in the words of a variant."""
        return replace(self, subject=said.subject, preheader=said.preheader, body=said.body)


def render_message(
    draft: Draft,
    organization: Organization,
    *,
    link: Callable[[str], str] = str,
    bare_link: Callable[[str], str] = str,
    is_test: bool = False,
    language: str = "",
    look: Look | None = None,
) -> Letter:
    """The letter with merge fields in it, for any number of recipients.

    `language` is that of the frame, where it is not the organization's first; `look` that of a
    template which is being made, in place of the draft's own.
    `link` and `bare_link` say where the links of the text lead instead. A test has no links to
    stop with, for the team's inbox is no subscription, and says so.
    """
    language = language or organization.language
    if look is None:
        template = designs.template_for(organization.id, draft.template_id)
        look = designs.look_for(organization, template)
    known = cards.look_up(organization.id, [draft.body], language)
    with force_locale(language):
        written = writing.render(
            draft.body,
            link=link,
            bare_link=bare_link,
            address_words=_("Or open this address:"),
            form=draft.format,
            known=known,
        )
        why = _(
            "You get this because you agreed to get email from %(organization)s.",
            organization=organization.name,
        )
    below = writing.render(look.footer, link=link, bare_link=bare_link) if look.footer else None
    return render_letter(
        "mailings/message",
        language,
        subject_line=draft.subject,
        preheader=Markup(writing.one_line_html(draft.preheader)),  # noqa: S704 - escaped there
        body_html=Markup(written.html),  # noqa: S704 - cleaned by nh3 in writing.render
        body_text=written.text,
        below_html=Markup(below.html) if below else "",  # noqa: S704 - the same
        below_text=below.text if below else "",
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=organization.crisis_line,
        why=why,
        preferences_url="" if is_test else merge_tag("preferences_url"),
        unsubscribe_url="" if is_test else merge_tag("unsubscribe_url"),
        is_test=is_test,
        look=look,
    )


def as_html(draft: Draft, organization: Organization) -> str:
    """A text in Markdown as HTML to go on with by hand: its blocks become what they show now."""
    known = cards.look_up(organization.id, [draft.body], organization.language)
    return writing.cleaned(writing.render(draft.body, known=known).html).html


def in_scheme(html: str, *, is_dark: bool) -> str:
    """The HTML as a mail program in light or in dark shows it, whatever the reader's own is."""
    html = html.replace(
        "@media (prefers-color-scheme: dark)", f"@media {'all' if is_dark else 'not all'}"
    )
    return html.replace('content="light dark"', f'content="{"dark" if is_dark else "light"}"')


def filled_in(letter: Letter, values: Mapping[str, str]) -> Letter:
    """The letter as one person reads it."""
    return Letter(
        subject=merge.merge_text(letter.subject, values),
        text=merge.merge_text(letter.text, values),
        html=merge.merge_html(letter.html, values),
    )


def inbox_line(draft: Draft, values: Mapping[str, str] | None = None) -> Draft:
    """Subject and first line as they read for one person; without `values` for somebody of whom
    we know nothing."""
    return replace(
        draft,
        subject=merge.merge_text(draft.subject, values or {}),
        preheader=merge.merge_text(draft.preheader, values or {}),
    )


def marked_as_test(letter: Letter, variant: str = "") -> Letter:
    """The letter with [Test] before its subject, and which version it is: "[Test B]"."""
    with force_locale("en"):
        mark = _("[Test %(version)s]", version=variant) if variant else _("[Test]")
        return replace(letter, subject=f"{mark} {letter.subject}")


# --- counted links -------------------------------------------------------------------------------


def counted_url(link_id: uuid.UUID) -> str:
    """The address that counts and leads on: of the message's link, never of a person."""
    return external("links.go", token=signer().sign(LINK_PURPOSE, link_id.hex))


def link_of_token(token: str) -> uuid.UUID:
    """The link of a counted address. Raises NotFound for a forged one."""
    return uuid.UUID(hex=str(signer().read(LINK_PURPOSE, token)))


def without_counting(html: str, links: Mapping[uuid.UUID, str]) -> str:
    """The HTML with counted addresses led back to where they go: for the team's own reading."""

    def lead_back(match: re.Match[str]) -> str:
        try:
            return escape(links.get(link_of_token(match[1]), "#"))
        except NotFound:
            return match[0]

    return re.sub(re.escape(f"{base_url()}/go/") + r"([\w.-]+)", lead_back, html)


def with_source(url: str, source: str) -> str:
    """The address of a petition, a campaign or an event of this installation, with the source
    that its signatures and answers will say.

    Other addresses stay as they are. An address that names a source keeps its own.
    """
    parts, base = urlsplit(url), urlsplit(settings().base_url)
    if (parts.scheme, parts.netloc) != (base.scheme, base.netloc):
        return url
    if not parts.path.startswith(SOURCED) or parts.path.endswith(MACHINES):
        return url
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(name == "source" for name, _value in query):
        return url
    return urlunsplit(parts._replace(query=urlencode([*query, ("source", source)])))


def base_url() -> str:
    """Where this installation is reached: the beginning of its addresses."""
    return settings().base_url


def is_openable(url: str) -> bool:
    """Whether an address can be read as one at all ("http://[" cannot)."""
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False
