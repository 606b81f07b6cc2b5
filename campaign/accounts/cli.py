"""Commands: `campaign accounts …`."""

from __future__ import annotations

import click


@click.group()
def accounts() -> None:
    """Accounts."""
