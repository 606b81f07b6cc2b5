"""Domain errors: raised low, translated once at the edge (`web/error_pages.py`).

`message` is what a person may read, in English and marked for translation where it is raised;
it never carries a name, an address or a token.
"""

from __future__ import annotations


class CampaignError(Exception):
    """Something the rules of the domain do not allow. `message` can be shown to the person."""

    def __init__(self, message: str = "", *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class NotFound(CampaignError):
    """No such thing, or not in this organization: the two are never told apart (404)."""


class Gone(CampaignError):
    """It was here and is over: an expired link, an erased person (410)."""


class Forbidden(CampaignError):
    """Known, but this role may not (403)."""


class Invalid(CampaignError):
    """Input that cannot be taken; `field` names the field, "" for the whole (400)."""


class Conflict(CampaignError):
    """The thing is in a state that does not allow this, or changed meanwhile (409)."""


class TooMany(CampaignError):
    """Over a limit (429). `retry_after` is in seconds."""

    def __init__(self, message: str = "", *, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(CampaignError):
    """An outside service said no for good: never retry."""


class Busy(CampaignError):
    """An outside service said not now. `retry_after` in seconds, None when it did not say."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unknown(CampaignError):
    """An outside service may or may not have done it: neither repeat nor forget."""
