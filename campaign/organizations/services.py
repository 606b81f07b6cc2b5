"""Changing organizations, memberships and invitations; writing the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from flask_babel import gettext as _
from sqlalchemy import select

from campaign import clock
from campaign.accounts import services as accounts
from campaign.accounts.models import Session, User, email_key
from campaign.db import db, insert, uuid7
from campaign.errors import Conflict, Forbidden, Gone, Invalid, NotFound
from campaign.mail import domains
from campaign.mail import services as mail
from campaign.mail.services import Sender
from campaign.organizations import colours, emails, queries
from campaign.organizations.models import (
    INVITATION_LIFETIME,
    AuditEntry,
    AuditHead,
    Invitation,
    Membership,
    Organization,
    Role,
)
from campaign.tokens import fingerprint, random_token


def record(
    action: str,
    *,
    organization_id: uuid.UUID,
    user_id: uuid.UUID | None = None,
    subject_kind: str = "",
    subject_id: uuid.UUID | None = None,
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add a line to the organization's audit log, in the transaction of what it tells.

    Lines are chained: each holds the hash of the one before, and the head of the chain is locked
    until the commit, so that no line is lost, moved or added in between unnoticed. `details` are
    ids, counts and words of ours, never a name or an address: raises ValueError on an "@".
    """
    plain = _plain(details or {})
    db.session.execute(
        insert(AuditHead).values(organization_id=organization_id).on_conflict_do_nothing()
    )
    head = db.session.scalars(
        select(AuditHead)
        .where(AuditHead.organization_id == organization_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    entry = AuditEntry(
        organization_id=organization_id,
        n=head.n + 1,
        at=clock.now(),
        user_id=user_id,
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        details=plain,
        previous_hash=head.hash,
    )
    entry.hash = entry.computed_hash()
    head.n, head.hash = entry.n, entry.hash
    db.session.add(entry)
    db.session.flush()
    return entry


def _plain(details: Mapping[str, Any]) -> dict[str, Any]:
    """`details` as they will be read back from JSON."""
    encoded = orjson.dumps(dict(details), default=str)
    if b"@" in encoded:
        raise ValueError("an audit line holds ids and counts, never an address")
    plain: dict[str, Any] = orjson.loads(encoded)
    return plain


def sender_of(organization: Organization) -> Sender:
    """From whom the organization's e-mail comes."""
    return Sender(
        name=organization.sender_name or organization.name,
        email=organization.sender_email,
        reply_to=organization.reply_to,
    )


def look_at_sender(organization: Organization) -> bool:
    """Have the records of the sender's domain looked up, unless no record could help: a free mail
    service lets nobody else send in its name."""
    domain = domains.domain_of(organization.sender_email)
    if not domain or domains.is_free_mailer(domain):
        return False
    mail.ask_about_domain(domain)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an organization says about itself. Colours are "#rrggbb" or ""."""

    name: str
    postal_address: str = ""
    sender_name: str = ""
    sender_email: str = ""
    reply_to: str = ""
    website: str = ""
    accent: str = ""
    accent_dark: str = ""
    crisis_line: str = ""
    language: str = "en"
    time_zone: str = "America/Chicago"
    second_look_above: int | None = None
    quiet_from: str = ""
    quiet_until: str = ""


def create_organization(slug: str, profile: Profile) -> Organization:
    """A new tenant. Raises Conflict when the slug is taken, Invalid like `change_profile`."""
    if queries.organization_by_slug(slug) is not None:
        raise Conflict(_("There is an organization with this short name already."), field="slug")
    organization = Organization(id=uuid7(), slug=slug)
    _apply(organization, profile)
    db.session.add(organization)
    db.session.flush()
    record("organization.created", organization_id=organization.id)
    return organization


def change_profile(organization: Organization, profile: Profile, *, by: uuid.UUID | None) -> None:
    """Change what the organization says about itself; the log names the fields, not the words.

    Raises Invalid (field `accent` or `accent_dark`) for a colour that cannot be read.
    """
    changed = _apply(organization, profile)
    if changed:
        record(
            "organization.changed",
            organization_id=organization.id,
            user_id=by,
            subject_kind="organization",
            subject_id=organization.id,
            details={"fields": changed},
        )
    if "sender_email" in changed:
        look_at_sender(organization)


def _apply(organization: Organization, profile: Profile) -> list[str]:
    accent, dark = _readable(profile.accent, profile.accent_dark)
    if profile.second_look_above is not None and len(queries.senders(organization.id)) < 2:
        raise Invalid(
            _("Nobody could take the second look: only one person of your team may send mailings."),
            field="second_look_above",
        )
    values = asdict(profile) | {"accent": accent, "accent_dark": dark}
    changed = [name for name, value in values.items() if getattr(organization, name) != value]
    for name, value in values.items():
        setattr(organization, name, value)
    organization.accent_css = (
        colours.style_sheet(accent, dark or colours.lighten_for_dark(accent)) if accent else ""
    )
    return sorted(changed)


def _readable(accent: str, dark: str) -> tuple[str, str]:
    """Both colours as we store them. Raises Invalid where text in one could not be read."""
    found = []
    for field, text, is_dark in (("accent", accent, False), ("accent_dark", dark, True)):
        try:
            colour = colours.parse(text) if text else ""
        except ValueError:
            raise Invalid(
                _("Please write a color as # and six digits, like #0b5d5a."), field=field
            ) from None
        reached = colours.least_contrast(colour, dark=is_dark) if colour else 21.0
        if reached < colours.TEXT_CONTRAST:
            raise Invalid(
                _(
                    "Text in this color is hard to read on a dark page: its contrast is %(reached).1f, and it needs 4.5. Please choose a lighter one.",
                    reached=_down(reached),
                )
                if is_dark
                else _(
                    "Text in this color is hard to read on a light page: its contrast is %(reached).1f, and it needs 4.5. Please choose a darker one.",
                    reached=_down(reached),
                ),
                field=field,
            )
        found.append(colour)
    return found[0], found[1] if found[0] else ""


def _down(value: float) -> float:
    """Rounded down, so that a refused 4.49 does not read as 4.5."""
    return int(value * 10) / 10


def organization_to_begin_with(user_id: uuid.UUID) -> uuid.UUID | None:
    """For which organization a new session works: as the last one did, else the first by name."""
    last = queries.last_organization(user_id)
    found = queries.working_membership(user_id, last)
    return found.organization_id if found is not None else None


def switch_organization(session: Session, organization_id: uuid.UUID) -> Membership:
    """Let a session work for another organization. Raises NotFound where it is no member."""
    found = queries.membership(session.user_id, organization_id)
    if found is None:
        raise NotFound
    session.organization_id = organization_id
    record(
        "account.switched",
        organization_id=organization_id,
        user_id=session.user_id,
        subject_kind="session",
        subject_id=session.id,
    )
    return found


def add_member(
    organization_id: uuid.UUID, user: User, role: Role, *, by: uuid.UUID | None
) -> Membership:
    """Let a user work for an organization. Raises Conflict when they do already."""
    if queries.membership(user.id, organization_id) is not None:
        raise Conflict(_("This person is on the team already."), field="email")
    found = Membership(
        organization_id=organization_id, user_id=user.id, role=role, created_at=clock.now()
    )
    db.session.add(found)
    db.session.flush()
    record(
        "team.joined",
        organization_id=organization_id,
        user_id=by,
        subject_kind="user",
        subject_id=user.id,
        details={"role": role},
    )
    return found


def change_role(member: Membership, role: Role, *, by: uuid.UUID) -> None:
    """Give a member another role, from their next click on.

    Raises Conflict for the last owner.
    """
    if member.role == role:
        return
    _keep_an_owner(member, role)
    before, member.role = member.role, role
    record(
        "team.role_changed",
        organization_id=member.organization_id,
        user_id=by,
        subject_kind="user",
        subject_id=member.user_id,
        details={"from": before, "to": role},
    )


def remove_member(member: Membership, *, by: uuid.UUID) -> None:
    """Take a member off the team, from their next click on. Raises Conflict for the last owner."""
    _keep_an_owner(member, None)
    record(
        "team.removed",
        organization_id=member.organization_id,
        user_id=by,
        subject_kind="user",
        subject_id=member.user_id,
        details={"role": member.role},
    )
    db.session.delete(member)
    db.session.flush()


def _keep_an_owner(member: Membership, role: Role | None) -> None:
    """Two owners who leave at the same moment: the second waits at the lock and is refused."""
    if member.role != Role.OWNER or role == Role.OWNER:
        return
    queries.lock_owners(member.organization_id)
    if queries.owner_count(member.organization_id) <= 1:
        raise Conflict(
            _("An organization needs an owner. Make somebody else an owner first."), field="role"
        )


def invite(
    organization: Organization, email: str, role: Role, *, by: User
) -> tuple[Invitation, str]:
    """Invite an address by e-mail, for seven days; an open invitation of it ends.

    Answers alike whether the address has an account or not. Raises Conflict for a member.
    Returns the invitation and its token, which is stored nowhere.
    """
    known = queries.member_by_email(organization.id, email)
    if known is not None:
        raise Conflict(_("This person is on the team already."), field="email")
    for earlier in queries.open_invitations(organization.id):
        if email_key(earlier.email) == email_key(email):
            earlier.revoked_at = clock.now()
    invitation = Invitation(
        id=uuid7(),
        organization=organization,
        email=email,
        role=role,
        invited_by_id=by.id,
        created_at=clock.now(),
    )
    db.session.add(invitation)
    token = _send(invitation, by)
    _record_invitation("team.invited", invitation, by)
    return invitation, token


def invite_again(invitation: Invitation, *, by: User) -> str:
    """Send a new link for seven more days; the old link ends. Raises Conflict when it is over."""
    if invitation.accepted_at is not None or invitation.revoked_at is not None:
        raise Conflict
    token = _send(invitation, by)
    _record_invitation("team.invited_again", invitation, by)
    return token


def revoke_invitation(invitation: Invitation, *, by: User) -> None:
    """End an invitation. Raises Conflict when it was accepted."""
    if invitation.accepted_at is not None:
        raise Conflict
    invitation.revoked_at = invitation.revoked_at or clock.now()
    _record_invitation("team.invitation_revoked", invitation, by)


def accept_invitation(invitation: Invitation, user: User) -> Membership:
    """Join the team. Raises Gone when the invitation is over, Forbidden for another address.

    Somebody who is a member meanwhile keeps the role they have.
    """
    _hold(invitation)
    if email_key(invitation.email) != user.email_key:
        raise Forbidden
    invitation.accepted_at = clock.now()
    found = queries.membership(user.id, invitation.organization_id)
    return found or add_member(invitation.organization_id, user, Role(invitation.role), by=user.id)


def accept_as_new(invitation: Invitation, *, name: str, password: str) -> User:
    """Make an account for the invited address and join. Raises Gone, Conflict, Invalid."""
    _hold(invitation)
    organization = invitation.organization
    user = accounts.create_user(
        invitation.email,
        name=name,
        password=password,
        language=organization.language,
        time_zone=organization.time_zone,
    )
    accept_invitation(invitation, user)
    return user


def _hold(invitation: Invitation) -> None:
    """Lock an invitation, so that two clicks at once are one. Raises Gone when it is over."""
    db.session.flush()
    db.session.refresh(invitation, with_for_update={"of": Invitation})
    if not invitation.is_open(clock.now()):
        raise Gone


def _send(invitation: Invitation, by: User) -> str:
    token = random_token()
    invitation.token_hash = fingerprint(token)
    invitation.expires_at = clock.now() + INVITATION_LIFETIME
    db.session.flush()
    emails.send_invitation(invitation, token, by, sender_of(invitation.organization))
    return token


def _record_invitation(action: str, invitation: Invitation, by: User) -> None:
    record(
        action,
        organization_id=invitation.organization_id,
        user_id=by.id,
        subject_kind="invitation",
        subject_id=invitation.id,
        details={"role": invitation.role},
    )
