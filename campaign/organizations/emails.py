"""The invitation to a team. Its subject names neither the organization nor its cause."""

from __future__ import annotations

from campaign.accounts.models import User
from campaign.mail.letters import merge_tag, render_letter
from campaign.mail.services import Sender, queue_email
from campaign.organizations.models import Invitation
from campaign.web.links import external


def send_invitation(invitation: Invitation, token: str, by: User, sender: Sender) -> None:
    """The link to join, in the organization's language."""
    organization = invitation.organization
    letter = render_letter(
        "organizations/invitation",
        organization.language,
        url=merge_tag("url"),
        organization_name=organization.name,
        postal_address=organization.postal_address,
        crisis_line=organization.crisis_line,
        inviter=by.name,
    )
    link = external("invitations.invitation", token=token, lang=organization.language)
    queue_email(
        invitation.email,
        letter,
        organization_id=organization.id,
        kind="invitation",
        values={"url": link},
        sender=sender,
    )
