"""Changing users and their sessions: log in, log out, passwords, one-time links."""

from __future__ import annotations

import uuid
from datetime import timedelta
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from flask_babel import gettext as _
from sqlalchemy import update

from campaign import clock
from campaign.accounts import emails, queries
from campaign.accounts.models import (
    RESET_LIFETIME,
    SEEN_EVERY,
    AccountToken,
    Session,
    User,
    email_key,
)
from campaign.db import db
from campaign.errors import Conflict, Gone, Invalid
from campaign.tokens import fingerprint, random_token

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 200
FEWEST_CHARACTERS = 5

# Argon2id as RFC 9106 has it, with OWASP's lesser memory (19 MiB, two passes): about 30 ms.
# Four at a time, so that a rush of log-ins stays below 80 MiB.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_hashing = BoundedSemaphore(4)
_nobody = (
    "$argon2id$v=19$m=19456,t=2,p=1$hQpMI/4xa1GZRYytZ6k10g"
    "$KvmH3MzvJ2bQE45BdGwEW1LAOYc6uQzgRwZB5aphHpc"
)

COMMON = frozenset(
    [
        "password",
        "password1",
        "password12",
        "password123",
        "passw0rd",
        "12345678",
        "123456789",
        "1234567890",
        "0123456789",
        "87654321",
        "qwertyui",
        "qwertyuiop",
        "qwerty123",
        "1q2w3e4r",
        "1qaz2wsx",
        "iloveyou",
        "sunshine",
        "princess",
        "football",
        "baseball",
        "superman",
        "trustno1",
        "welcome1",
        "letmein1",
        "starwars",
        "whatever",
        "computer",
        "changeme",
        "change-me",
        "campaign",
        "organize",
        "organizer",
        "abcdefgh",
        "abcd1234",
        "11111111",
        "00000000",
        "asdfghjkl",
        "zxcvbnm1",
        "michael1",
        "chicago1",
        "chicago123",
        "contraseña",
        "contrasena",
        "bienvenido",
        "administrator",
        "administrador",
    ]
)


def hash_password(password: str) -> str:
    """The Argon2id hash of a password."""
    with _hashing:
        return _hasher.hash(password)


def check_password(password: str, *, email: str = "", name: str = "") -> None:
    """Raise Invalid (field `password`) where a password is too easy to guess.

    Length and known bad ones count, as NIST SP 800-63B has it; no rule about kinds of characters.
    """
    lowered = password.lower()
    own = {email_key(email), email_key(email).split("@")[0], name.strip().lower()} - {""}
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(
            _("Please use %(count)d characters or more.", count=SHORTEST_PASSWORD), field="password"
        )
    if len(password) > LONGEST_PASSWORD:
        raise Invalid(
            _("Please use %(count)d characters at most.", count=LONGEST_PASSWORD), field="password"
        )
    if lowered in COMMON or lowered in own or len(set(lowered)) < FEWEST_CHARACTERS:
        raise Invalid(
            _("This one is easy to guess. A few words in a row make a good password."),
            field="password",
        )


def authenticate(address: str, password: str) -> User | None:
    """The user whose address and password these are, else None, in the same time either way.

    Counts a failure on the user's row; raises the hash to today's parameters on success.
    """
    user = queries.user_by_email(address)
    known = user is not None and user.is_active and user.password_hash is not None
    is_right = _verify(user.password_hash or "" if user and known else _nobody, password)
    if user is None or not known or not is_right:
        if user is not None:
            user.failed_login_count = User.failed_login_count + 1
        return None
    if _hasher.check_needs_rehash(user.password_hash or ""):
        user.password_hash = hash_password(password)
    return user


def is_password_of(user: User, password: str) -> bool:
    """Whether `password` is this user's."""
    return user.password_hash is not None and _verify(user.password_hash, password)


def _verify(hashed: str, password: str) -> bool:
    with _hashing:
        try:
            return _hasher.verify(hashed, password[:LONGEST_PASSWORD])
        except (Argon2Error, InvalidHashError):
            return False


def create_user(
    email: str,
    *,
    name: str = "",
    password: str | None = None,
    language: str = "en",
    time_zone: str = "America/Chicago",
    is_demo: bool = False,
) -> User:
    """A new user. Raises Conflict when the address has one, Invalid for a weak password."""
    if queries.user_by_email(email) is not None:
        raise Conflict(_("Somebody already logs in with this address."), field="email")
    if password is not None:
        check_password(password, email=email, name=name)
    user = User(
        email=email.strip(),
        email_key=email_key(email),
        name=name.strip(),
        password_hash=hash_password(password) if password is not None else None,
        language=language,
        time_zone=time_zone,
        is_demo=is_demo,
    )
    db.session.add(user)
    db.session.flush()
    return user


def begin_session(user: User, *, ip: str, user_agent: str) -> Session:
    """A new session of `user`; its `token` is known here and never again."""
    now = clock.now()
    token = random_token(32)
    session = Session(
        user=user,
        token_hash=fingerprint(token),
        created_at=now,
        seen_at=now,
        authenticated_at=now,
        ip=ip[:64],
        user_agent=user_agent[:300],
    )
    session.token = token
    user.last_login_at = now
    user.failed_login_count = 0
    db.session.add(session)
    db.session.flush()
    return session


def see_session(session: Session) -> bool:
    """Note that a session is in use, at most once a minute; whether a note was due."""
    now = clock.now()
    if now - session.seen_at < SEEN_EVERY:
        return False
    db.session.execute(update(Session).where(Session.id == session.id).values(seen_at=now))
    return True


def refresh_session(session: Session) -> None:
    """The password was given again."""
    session.authenticated_at = clock.now()


def end_session(session: Session) -> None:
    """Log a device out: at its next request it is asked to log in."""
    if session.ended_at is None:
        session.ended_at = clock.now()


def end_sessions(user_id: uuid.UUID, *, but: uuid.UUID | None = None) -> int:
    """Log a user out everywhere, except in session `but`; how many were alive."""
    ended = 0
    for session in queries.live_sessions(user_id):
        if session.id != but:
            end_session(session)
            ended += 1
    return ended


def make_password_link(user: User, *, lifetime: timedelta = RESET_LIFETIME) -> str:
    """A new token of a link to set a password; earlier links of this user end."""
    now = clock.now()
    _end_links(user)
    token = random_token()
    db.session.add(
        AccountToken(
            user_id=user.id,
            token_hash=fingerprint(token),
            created_at=now,
            expires_at=now + lifetime,
        )
    )
    db.session.flush()
    return token


def request_reset(address: str) -> bool:
    """E-mail a link to set a new password, if the address has a user; whether it has one."""
    user = queries.user_by_email(address)
    if user is None or not user.is_active:
        return False
    emails.send_reset(user, make_password_link(user))
    return True


def reset_password(token: str, password: str) -> User:
    """Set a new password by a link, once; ends every session and tells the owner.

    Raises Gone when the link is used, old or unknown, Invalid for a weak password.
    """
    link = queries.open_token(token, clock.now())
    user = db.session.get(User, link.user_id) if link is not None else None
    if link is None or user is None or not user.is_active:
        raise Gone
    had_password = user.password_hash is not None
    _set_password(user, password)
    end_sessions(user.id)
    if had_password:
        emails.send_password_changed(user)
    return user


def change_profile(user: User, *, name: str, language: str, time_zone: str) -> None:
    """How a user is called, and how the console speaks to them."""
    user.name = name
    user.language = language
    user.time_zone = time_zone


def change_password(user: User, password: str, *, keep: uuid.UUID | None = None) -> int:
    """Set a new password; ends all sessions but `keep`, tells the owner; how many ended.

    Raises Invalid for a weak password.
    """
    _set_password(user, password)
    emails.send_password_changed(user)
    return end_sessions(user.id, but=keep)


def _set_password(user: User, password: str) -> None:
    check_password(password, email=user.email, name=user.name)
    user.password_hash = hash_password(password)
    user.failed_login_count = 0
    _end_links(user)


def _end_links(user: User) -> None:
    db.session.execute(
        update(AccountToken)
        .where(AccountToken.user_id == user.id, AccountToken.used_at.is_(None))
        .values(used_at=clock.now())
    )
