"""Commands: `campaign lists …`."""

from __future__ import annotations

import click


@click.group()
def lists() -> None:
    """Lists."""
