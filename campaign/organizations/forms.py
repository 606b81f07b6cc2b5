"""Forms of the organization's profile, its team, and the invitation."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from flask_babel import lazy_gettext as _l
from wtforms import DateField, Field
from wtforms.validators import Optional, ValidationError

from campaign.accounts.forms import language_choices, new_password_field, zone_choices
from campaign.organizations.models import Role
from campaign.organizations.services import Profile
from campaign.web.fields import area, choice, count, email, hour, text
from campaign.web.forms import Form

ROLE_WORDS = {
    Role.OWNER: _l("Owner"),
    Role.ORGANIZER: _l("Organizer"),
    Role.DATA_ENTRY: _l("Data entry"),
    Role.VIEWER: _l("Viewer"),
    Role.LEGAL: _l("Legal team"),
    Role.PARTNER: _l("Partner"),
}
ROLE_MEANING = {
    Role.OWNER: _l("Everything, the team and these settings included."),
    Role.ORGANIZER: _l("Campaigns, petitions, people, lists, mailings and exports."),
    Role.DATA_ENTRY: _l("Adds and corrects people and signatures. Sends nothing."),
    Role.VIEWER: _l("Sees the numbers. No names."),
    Role.LEGAL: _l("Sees who risks arrest at a sit-in, and events. Nothing else."),
    Role.PARTNER: _l("Sees and exports only the people who said yes to your organization."),
}

ACTION_WORDS: dict[str, Any] = {
    "account.log_in": _l("Logged in"),
    "account.log_out": _l("Logged out"),
    "account.password_changed": _l("Changed the password"),
    "account.password_reset": _l("Set a new password by email"),
    "account.session_ended": _l("Logged a device out"),
    "account.sessions_ended": _l("Logged other devices out"),
    "account.switched": _l("Came over from another organization"),
    "organization.created": _l("Made the organization"),
    "organization.changed": _l("Changed the settings"),
    "team.joined": _l("Joined the team"),
    "team.role_changed": _l("Changed a role"),
    "team.removed": _l("Took somebody off the team"),
    "team.invited": _l("Invited somebody"),
    "team.invited_again": _l("Sent an invitation again"),
    "team.invitation_revoked": _l("Took an invitation back"),
    "campaign.created": _l("Made a campaign"),
    "campaign.published": _l("Published a campaign"),
    "campaign.withdrawn": _l("Took a campaign back to a draft"),
    "campaign.ended": _l("Ended a campaign"),
    "campaign.reopened": _l("Opened a campaign again"),
    "partner.added": _l("Added a partner"),
    "partner.left": _l("Ended a partnership"),
    "petition.created": _l("Made a petition"),
    "petition.edited": _l("Changed a petition"),
    "petition.published": _l("Published a petition"),
    "petition.closed": _l("Closed a petition"),
    "signature.withdrawn": _l("A signature was withdrawn"),
    "signatures.listed": _l("Looked at signatures"),
    "signatures.approved": _l("Let signatures count"),
    "signatures.rejected": _l("Turned signatures down"),
    "signatures.review_again": _l("Put signatures back to be looked at"),
    "signatures.invalidated": _l("Took signatures out of the count"),
    "signatures.restored": _l("Put signatures back into the count"),
    "signatures.display_lowered": _l("Hid names of signers"),
    "comments.approved": _l("Let comments be seen"),
    "comments.hidden": _l("Hid comments"),
    "comments.waiting": _l("Put comments back to be read"),
    "hearing.opened": _l("Took speakers for a hearing"),
    "hearing.changed": _l("Changed what a hearing asks"),
    "hearing.closed": _l("Closed the list of speakers"),
    "hearing.listed": _l("Looked at the speakers of a hearing"),
    "hearing.speaker_removed": _l("Took somebody off the list of speakers"),
    "hearing.speaker_returned": _l("Put somebody back on the list of speakers"),
    "people.listed": _l("Looked at the list of people"),
    "people.import": _l("Brought in people from a file"),
    "person.erased": _l("Erased a person"),
    "consent.withdrawn": _l("A consent was withdrawn"),
    "answers.listed": _l("Looked at who comes to an event"),
    "answers.exported": _l("Took a list for the door out in a file"),
    "door.listed": _l("Looked at the names at the door"),
    "event.created": _l("Made an event"),
    "event.changed": _l("Changed an event"),
    "event.published": _l("Published an event"),
    "event.withdrawn": _l("Took an event back to a draft"),
    "event.cancelled": _l("Cancelled an event"),
    "event.approved": _l("Approved an event that was proposed"),
    "event.declined": _l("Declined an event that was proposed"),
    "date.changed": _l("Changed a date of an event"),
    "date.cancelled": _l("Cancelled a date of an event"),
    "date.removed": _l("Took a date out of a series"),
    "date.restored": _l("Brought a date of an event back"),
    "shift.added": _l("Added a shift"),
    "shift.changed": _l("Changed a shift"),
    "host.invited": _l("Invited a host"),
    "host.accepted": _l("A host said yes"),
    "host.taken_off": _l("Took a host off"),
    "host.put_back": _l("Put a host back"),
    "rsvp.added": _l("Wrote an answer down"),
    "rsvp.changed": _l("Changed somebody's answer"),
    "rsvp.cancelled": _l("Took somebody's answer back"),
    "rsvp.approved": _l("Let an answer count"),
    "rsvp.rejected": _l("Turned an answer down"),
    "buddies.ended": _l("Ended an introduction"),
    "event.expected": _l("Wrote a forecast for an event"),
    "arrests.listed": _l("Looked at who risks arrest"),
    "arrests.noted": _l("Noted an arrest or a release"),
    "arrests.purged": _l("The list of who risks arrest was deleted"),
    "person.sensitive": _l("Looked at somebody's sensitive fields"),
    "people.sensitive": _l("Looked at sensitive fields in the list of people"),
    "people.changed": _l("Changed many people at once"),
    "people.changed.undone": _l("Took back a change of many people"),
    "field.made": _l("Made a field for people"),
    "field.changed": _l("Changed a field for people"),
    "field.deleted": _l("Deleted a field for people"),
    "field.restored": _l("Brought a field for people back"),
    "list.deleted": _l("Deleted a list"),
    "list.restored": _l("Brought a list back"),
    "segment.deleted": _l("Deleted a segment"),
    "segment.restored": _l("Brought a segment back"),
    "picture.delete": _l("Deleted a picture for email"),
    "mailing.send": _l("Sent a mailing"),
    "mailing.schedule": _l("Set the time of a mailing"),
    "mailing.unschedule": _l("Took the time of a mailing back"),
    "mailing.returned": _l("A mailing went back to a draft"),
    "mailing.pause": _l("Paused a mailing"),
    "mailing.resume": _l("Let a mailing go on"),
    "mailing.stop": _l("Stopped a mailing"),
    "mailing.report": _l("Downloaded the report of a mailing"),
    "mailing.resend": _l("Wrote again to those who did not act"),
    "mailing.look_asked": _l("Asked for a second look at a mailing"),
    "mailing.agreed": _l("Agreed to a mailing"),
    "mailing.sent_back": _l("Sent a mailing back to its author"),
    "mailing.held": _l("A mailing had grown and waits for a second look"),
    "mailing.decided": _l("Decided which version of a mailing goes to everybody else"),
    "mailing.variant_stopped": _l("Stopped one version of a mailing"),
    "mailing.again": _l("Sent again to those nobody knows about"),
    "ladder.on": _l("Switched a ladder on"),
    "ladder.paused": _l("Paused a ladder"),
    "ladder.resumed": _l("Let a ladder go on"),
    "ladder.off": _l("Switched a ladder off"),
    "ladder.changed": _l("Changed a ladder that is in use"),
    "ladder.taken_out": _l("Took somebody out of a ladder"),
    "ladder.deleted": _l("Deleted a ladder"),
    "ladder.restored": _l("Brought a ladder back"),
    "people.export.requested": _l("Asked for an export of people"),
    "people.export.downloaded": _l("Fetched an export of people"),
    "people.export.command": _l("Exported people at the command line"),
    "partner.export.requested": _l("Asked for an export for a partner"),
    "partner.export.downloaded": _l("Fetched an export for a partner"),
    "partner.export.command": _l("Exported for a partner at the command line"),
}


def action_words(action: str) -> Any:
    """What a line of the audit log says happened; a test finds actions without words."""
    return ACTION_WORDS.get(action, action)


HOURS = ("quiet_from", "quiet_until")
"""Fields of the profile that are a time of day."""


def role_choices() -> list[tuple[str, object]]:
    """All roles, the one with most rights first."""
    return [(role.value, words) for role, words in ROLE_WORDS.items()]


class OrganizationForm(Form):
    """What the organization says about itself."""

    name = text(_l("Name"), required=True)
    postal_address = area(
        _l("Postal address"),
        limit=300,
        description=_l(
            "It stands below every page and every email. The law asks for it in mailings."
        ),
        render_kw={"rows": "3", "autocomplete": "street-address"},
    )
    website = text(_l("Website"), limit=300, render_kw={"type": "url", "placeholder": "https://"})
    crisis_line = text(
        _l("Crisis line"),
        description=_l("Who to call, in a few words, for example: Warmline, 555-0134, 4 to 10 pm."),
    )
    sender_name = text(_l("Emails come from (name)"))
    sender_email = email(_l("Emails come from (address)"))
    reply_to = email(_l("Answers go to"))
    accent = text(
        _l("Color on light pages"),
        limit=7,
        description=_l("# and six digits, like #0b5d5a. Leave it empty for our teal."),
        render_kw={"placeholder": "#0b5d5a", "spellcheck": "false"},
    )
    accent_dark = text(
        _l("Color on dark pages"),
        limit=7,
        description=_l("Leave it empty and we take a lighter shade of the first."),
        render_kw={"placeholder": "#63c7bd", "spellcheck": "false"},
    )
    second_look_above = count(
        _l("Ask a second person above this many readers"),
        description=_l(
            "Then nobody sends to more people than this alone. Leave it empty to let one person decide."
        ),
    )
    quiet_from = hour(_l("Quiet hours from"))
    quiet_until = hour(_l("until"))
    language = choice(_l("First language"), language_choices)
    time_zone = choice(_l("Time zone"), zone_choices)

    def validate_time_zone(self, field: Field) -> None:
        if field.data not in available_timezones():
            raise ValidationError(_l("Please choose a time zone from the list."))

    def validate_website(self, field: Field) -> None:
        parts = urlsplit(field.data or "")
        if field.data and (parts.scheme not in {"http", "https"} or not parts.hostname):
            raise ValidationError(_l("Please write the whole address, like https://example.org."))

    def validate_quiet_from(self, _field: Field) -> None:
        if any(self[name].data is None for name in HOURS):
            raise ValidationError(_l("Say both when the quiet hours begin and when they end."))

    validate_quiet_until = validate_quiet_from  # asked of the one that is filled in

    def profile(self) -> Profile:
        """What was typed."""
        values: dict[str, Any] = {name: field.data or "" for name, field in self._fields.items()}
        return Profile(
            **values
            | {"second_look_above": self.second_look_above.data}
            | {name: at.isoformat("minutes") if (at := self[name].data) else "" for name in HOURS}
        )


class InviteForm(Form):
    """Whom to invite."""

    email = email(_l("Email"), required=True)
    role = choice(_l("Role"), role_choices, default=Role.ORGANIZER.value)


class RoleForm(Form):
    """Another role for a member."""

    role = choice(_l("Role"), role_choices)


class JoinForm(Form):
    """A new account, made by an invitation."""

    name = text(_l("Your name"), required=True, limit=120, render_kw={"autocomplete": "name"})
    password = new_password_field()


class AuditFilter(Form):
    """Which lines of the log to show; a GET form."""

    action = choice(_l("What"), [], validate_choice=False)
    person = choice(_l("Who"), [], validate_choice=False)
    since = DateField(_l("From"), validators=[Optional()])
    until = DateField(_l("Until"), validators=[Optional()])
