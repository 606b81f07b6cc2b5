"""Access marks: every endpoint says who may use it, or the architecture test fails.

    @blueprint.get("/petitions/")
    @allow(Permission.PETITIONS_VIEW)
    def petitions() -> str: ...

The mark sits directly above the function, below the route. Enforcing is the guard's work
(`organizations/views/guard.py`), in one place before any view runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


class Who(StrEnum):
    """The kinds of asker."""

    PUBLIC = "public"  # anybody, no cookie
    LINK = "link"  # whoever holds the signed or random link
    SIGNED_IN = "signed in"  # any person with an account
    ROLE = "role"  # an account whose role has the permission
    MACHINE = "machine"  # a program that proves itself by signature or token
    DEVELOPMENT = "development"  # only on a development BASE_URL, else 404


@dataclass(frozen=True, slots=True)
class Access:
    """The mark. `fresh`: a log-in of the last minutes. `csrf`: whether a form token is asked.

    `upload`: how many bytes a body may have here, for pages that take a file; 0: the usual.
    """

    who: Who
    permission: str = ""
    fresh: bool = False
    csrf: bool = True
    writes: bool = False
    upload: int = 0


def _mark(access: Access) -> Callable[[View], View]:
    def mark(view: View) -> View:
        if hasattr(view, "access"):
            raise TypeError(f"{view.__name__} already has an access mark")
        view.access = access  # type: ignore[attr-defined]
        return view

    return mark


def public(view: View) -> View:
    """Anybody; sets no cookie."""
    return _mark(Access(Who.PUBLIC))(view)


def link(view: View) -> View:
    """Whoever holds the link: the token in the path is the permission."""
    return _mark(Access(Who.LINK))(view)


def signed_in(view: View) -> View:
    """Any person with an account."""
    return _mark(Access(Who.SIGNED_IN))(view)


def allow(
    permission: str, *, fresh: bool = False, writes: bool = False, upload: int = 0
) -> Callable[[View], View]:
    """An account whose role in the present organization has `permission`.

    `fresh` asks for the password again unless it was given in the last minutes; `writes` marks
    a GET that leaves a trace of its own (an audit row); `upload` lets a body of that many bytes
    in, once the guard has let its sender in.
    """
    return _mark(Access(Who.ROLE, permission=permission, fresh=fresh, writes=writes, upload=upload))


def machine(view: View) -> View:
    """A program, proven by signature, token or capability: no form token is asked."""
    return _mark(Access(Who.MACHINE, csrf=False))(view)


def development(view: View) -> View:
    """Exists only in development; elsewhere 404."""
    return _mark(Access(Who.DEVELOPMENT))(view)


def access_of(view: Callable[..., Any] | None) -> Access | None:
    """The mark of a view, or None."""
    found = getattr(view, "access", None)
    return found if isinstance(found, Access) else None
