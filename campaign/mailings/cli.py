"""Commands: `campaign mailings …`."""

from __future__ import annotations

import click


@click.group()
def mailings() -> None:
    """Mailings."""
