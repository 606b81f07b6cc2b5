"""What accounts write: a link to set a password, and that a password was changed.

Subjects name the account and nothing of what it is for.
"""

from __future__ import annotations

from flask_babel import force_locale

from campaign import clock
from campaign.accounts.models import User
from campaign.mail.letters import merge_tag, render_letter
from campaign.mail.services import queue_email
from campaign.web.filters import moment
from campaign.web.links import external


def send_reset(user: User, token: str) -> None:
    """The link to set a password: good for an hour, once."""
    letter = render_letter("accounts/reset", user.language, url=merge_tag("url"))
    queue_email(
        user.email,
        letter,
        organization_id=None,
        kind="password-reset",
        values={"url": external("accounts.set_password", token=token, lang=user.language)},
    )


def send_password_changed(user: User) -> None:
    """Tell the owner, with the way back in if it was somebody else."""
    letter = render_letter(
        "accounts/password_changed", user.language, when=merge_tag("when"), url=merge_tag("url")
    )
    with force_locale(user.language):
        when = moment(clock.now(), "medium", user.time_zone)
    queue_email(
        user.email,
        letter,
        organization_id=None,
        kind="password-changed",
        values={
            "when": when,
            "url": external("accounts.ask_reset", lang=user.language),
        },
    )
