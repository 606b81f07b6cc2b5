"""Commands: `campaign accounts …`. An account is always somebody's at an organization."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

import click
from email_validator import EmailNotValidError, validate_email
from flask.cli import with_appcontext

from campaign.accounts import queries as account_queries
from campaign.accounts import services as accounts_services
from campaign.accounts.models import User
from campaign.db import db
from campaign.errors import CampaignError
from campaign.organizations import queries, services
from campaign.organizations.models import MATRIX, MEANING, Organization, Permission, Role
from campaign.web.links import external

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LINK_LIFETIME = timedelta(days=7)


@click.group()
def accounts() -> None:
    """People who log in."""


@accounts.command()
@click.argument("email")
@click.option("--organization", "slug", required=True, metavar="SLUG", help="Where they work.")
@click.option(
    "--role", required=True, type=click.Choice([role.value for role in Role]), help="What they do."
)
@click.option("--name", default="", help="Their name.")
@click.option(
    "--organization-name", metavar="NAME", help="Make the organization, with this name, if needed."
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@with_appcontext
def create(
    *,
    email: str,
    slug: str,
    role: str,
    name: str,
    organization_name: str | None,
    password_stdin: bool,
) -> None:
    """Make an account for EMAIL at an organization.

    Asks for a password on a terminal; elsewhere, and without --password-stdin, prints a link to
    set one, good for seven days. Somebody who has an account keeps its password and joins.

    \b
    Examples:
      campaign accounts create ana@example.org --organization stop --role owner
      campaign accounts create ana@example.org --organization stop --role owner \\
          --organization-name "Southside Together"
      printf %s "$PASSWORD" | campaign accounts create bo@example.org \\
          --organization stop --role viewer --password-stdin

    Exit codes: 0 done, 1 not done (it says why), 2 wrong use.
    """
    try:
        address = validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise click.BadParameter(str(error), param_hint="EMAIL") from None
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    user = account_queries.user_by_email(address)
    if user is None and password is None and sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    try:
        organization = _organization(slug, organization_name)
        is_new = user is None
        user = user or accounts_services.create_user(address, name=name, password=password)
        _join(organization, user, Role(role))
        link = _link(user) if user.password_hash is None else ""
    except CampaignError as error:
        db.session.rollback()
        raise click.ClickException(str(error.message)) from None
    db.session.commit()
    click.echo(f"{address} works for {organization.slug} as {role}.")
    if link:
        click.echo(f"Set a password within {LINK_LIFETIME.days} days at:\n{link}")
    elif not is_new:
        click.echo("The account was there already: its password is as it was.")


def _organization(slug: str, name: str | None) -> Organization:
    found = queries.organization_by_slug(slug)
    if found is not None:
        return found
    if not name:
        raise CampaignError(
            f"There is no organization called {slug}. Add --organization-name NAME to make it."
        )
    if not SLUG.fullmatch(slug) or len(slug) > 80:
        raise CampaignError(
            "A short name has small letters, digits and single hyphens, like next-steps."
        )
    return services.create_organization(slug, services.Profile(name=name))


def _join(organization: Organization, user: User, role: Role) -> None:
    found = queries.membership(user.id, organization.id)
    if found is None:
        services.add_member(organization.id, user, role, by=None)
    elif found.role != role:
        raise CampaignError(
            f"This person works for {organization.slug} as {found.role} already. "
            "An owner can change the role under Team."
        )


def _link(user: User) -> str:
    token = accounts_services.make_password_link(user, lifetime=LINK_LIFETIME)
    return external("accounts.set_password", token=token)


@accounts.command()
def roles() -> None:
    """Print who may do what, as the table in docs/roles.md.

    \b
    Example: campaign accounts roles > docs/roles.md
    """
    click.echo(roles_page(), nl=False)


def roles_page() -> str:
    """The role matrix in Markdown."""
    head = ["May", *(f"`{role.value}`" for role in Role)]
    lines = [
        "# Roles",
        "",
        "Who may do what in an organization: the table that the guard enforces before any view of",
        "the console runs (`MATRIX` in `campaign/organizations/models.py`). Written by",
        "`campaign accounts roles`; a test compares the two. Sending, exporting and changing roles",
        "ask for the password again unless it was given in the last 15 minutes.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
    ]
    for permission in Permission:
        ticks = ("yes" if permission in MATRIX[role] else "–" for role in Role)
        lines.append(f"| {MEANING[permission]} (`{permission.value}`) | {' | '.join(ticks)} |")
    return "\n".join([*lines, ""])
