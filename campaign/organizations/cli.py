"""Commands: `campaign accounts …`. An account is always somebody's at an organization."""

from __future__ import annotations

import click


@click.group()
def accounts() -> None:
    """People who log in."""
