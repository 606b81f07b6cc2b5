"""The application, wired in one place: settings, extensions, blueprints, commands, schedule."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from flask import Blueprint, Flask
from flask.cli import FlaskGroup
from sqlalchemy.exc import OperationalError
from werkzeug.middleware.proxy_fix import ProxyFix

import campaign.accounts.models
import campaign.accounts.views.login
import campaign.accounts.views.organize
import campaign.buddies.models
import campaign.buddies.views.organize
import campaign.buddies.views.public
import campaign.campaigns.models
import campaign.campaigns.views.organize
import campaign.checkin.models
import campaign.checkin.queries
import campaign.checkin.views.organize
import campaign.checkin.views.public
import campaign.checkin.views.reports
import campaign.checkin.views.sheets
import campaign.console.views.home
import campaign.console.views.person
import campaign.console.views.shell
import campaign.designs.models
import campaign.designs.views.pictures
import campaign.designs.views.public
import campaign.events.models
import campaign.events.rounds
import campaign.events.views.answers
import campaign.events.views.calendar
import campaign.events.views.hosts
import campaign.events.views.organize
import campaign.events.views.parts
import campaign.events.views.public
import campaign.exports.cli
import campaign.exports.models
import campaign.exports.views.organize
import campaign.exports.views.partner
import campaign.fields.models
import campaign.fields.views.organize
import campaign.front.views
import campaign.hearings.models
import campaign.hearings.views.organize
import campaign.hearings.views.public
import campaign.imports.cli
import campaign.imports.models
import campaign.imports.views.organize
import campaign.ladders.models
import campaign.ladders.views.organize
import campaign.lists.cli
import campaign.lists.models
import campaign.lists.views.organize
import campaign.lists.views.segments
import campaign.mail.cli
import campaign.mail.models
import campaign.mail.views.mailbox
import campaign.mail.views.unsubscribe
import campaign.mail.views.webhook
import campaign.mailings.cli
import campaign.mailings.models
import campaign.mailings.shown
import campaign.mailings.views.compose
import campaign.mailings.views.links
import campaign.mailings.views.organize
import campaign.mailings.views.pages
import campaign.mailings.views.readers
import campaign.mailings.views.templates
import campaign.mailings.views.tried
import campaign.mailings.views.versions
import campaign.numbers.models
import campaign.numbers.views.organize
import campaign.operations.cli
import campaign.operations.views
import campaign.organizations.cli
import campaign.organizations.models
import campaign.organizations.views.guard
import campaign.organizations.views.organize
import campaign.organizations.views.public
import campaign.people.cli
import campaign.people.models
import campaign.people.views.organize
import campaign.petitions.models
import campaign.petitions.views.express
import campaign.petitions.views.organize
import campaign.petitions.views.public
import campaign.places.cli
import campaign.places.models
import campaign.privacy.cli
import campaign.privacy.views.organize
import campaign.privacy.views.preferences
import campaign.results.views.organize
import campaign.sit_ins.models
import campaign.sit_ins.views.legal
import campaign.sit_ins.views.organize
import campaign.sit_ins.views.public
import campaign.table.models
import campaign.table.views.organize
from campaign import schedule
from campaign.db import db, engine_options, prepare_engine
from campaign.settings import Settings, SettingsError, from_environ
from campaign.tokens import Signer
from campaign.web import (
    csrf,
    error_pages,
    few,
    filters,
    headers,
    languages,
    limits,
    logs,
    page_cache,
    requests,
    static_files,
)
from campaign.worker import make_celery

ROOT = Path(__file__).resolve().parent
BODY_LIMIT_BYTES = 1024 * 1024
FORM_PARTS_LIMIT = 100

BLUEPRINTS: tuple[Blueprint, ...] = (
    campaign.operations.views.blueprint,
    campaign.front.views.blueprint,
    campaign.petitions.views.public.blueprint,
    campaign.events.views.public.blueprint,
    campaign.events.views.calendar.blueprint,
    campaign.events.views.hosts.blueprint,
    campaign.hearings.views.public.blueprint,
    campaign.checkin.views.public.blueprint,
    campaign.buddies.views.public.blueprint,
    campaign.sit_ins.views.public.blueprint,
    campaign.privacy.views.preferences.blueprint,
    campaign.mail.views.unsubscribe.blueprint,
    campaign.mail.views.webhook.blueprint,
    campaign.mail.views.mailbox.blueprint,
    campaign.designs.views.public.blueprint,
    campaign.mailings.views.links.blueprint,
    campaign.accounts.views.login.blueprint,
    campaign.accounts.views.organize.blueprint,
    campaign.organizations.views.public.blueprint,
    campaign.organizations.views.organize.blueprint,
    campaign.console.views.home.blueprint,
    campaign.console.views.person.blueprint,
    campaign.campaigns.views.organize.blueprint,
    campaign.petitions.views.organize.blueprint,
    campaign.events.views.organize.blueprint,
    campaign.events.views.parts.blueprint,
    campaign.events.views.answers.blueprint,
    campaign.hearings.views.organize.blueprint,
    campaign.checkin.views.organize.blueprint,
    campaign.checkin.views.sheets.blueprint,
    campaign.checkin.views.reports.blueprint,
    campaign.buddies.views.organize.blueprint,
    campaign.sit_ins.views.organize.blueprint,
    campaign.sit_ins.views.legal.blueprint,
    campaign.table.views.organize.blueprint,
    campaign.people.views.organize.blueprint,
    campaign.fields.views.organize.blueprint,
    campaign.privacy.views.organize.blueprint,
    campaign.lists.views.organize.blueprint,
    campaign.lists.views.segments.blueprint,
    campaign.imports.views.organize.blueprint,
    campaign.numbers.views.organize.blueprint,
    campaign.mailings.views.pages.blueprint,
    campaign.mailings.views.templates.blueprint,
    campaign.designs.views.pictures.blueprint,
    campaign.results.views.organize.blueprint,
    campaign.ladders.views.organize.blueprint,
    campaign.exports.views.organize.blueprint,
    campaign.exports.views.partner.blueprint,
)
COMMANDS: tuple[click.Command, ...] = (
    campaign.organizations.cli.accounts,
    campaign.people.cli.people,
    campaign.places.cli.places,
    campaign.lists.cli.lists,
    campaign.mailings.cli.mailings,
    campaign.mail.cli.mail,
    *campaign.operations.cli.COMMANDS,
)


def create_app(settings: Settings | None = None) -> Flask:
    """A new application. Raises SettingsError when a setting is missing or wrong."""
    settings = settings or from_environ()
    logs.report_errors(settings.sentry_dsn)
    app = Flask(
        "campaign",
        root_path=str(ROOT),
        template_folder=str(ROOT.parent / "templates"),
        static_folder=str(ROOT / "static"),
    )
    url = settings.sqlalchemy_url
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SECRET_KEY_FALLBACKS=list(settings.secret_key_fallbacks),
        SQLALCHEMY_DATABASE_URI=url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(url),
        MAX_CONTENT_LENGTH=BODY_LIMIT_BYTES,
        MAX_FORM_MEMORY_SIZE=BODY_LIMIT_BYTES,
        MAX_FORM_PARTS=FORM_PARTS_LIMIT,
        TRUSTED_HOSTS=list(settings.hosts),
        SESSION_COOKIE_NAME="__Host-session" if settings.is_secure else "session",
        SESSION_COOKIE_SECURE=settings.is_secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        TRANSLATIONS=ROOT / "translations",
        PREFERRED_URL_SCHEME="https" if settings.is_secure else "http",
        TEMPLATES_AUTO_RELOAD=False,
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.extensions["settings"] = settings
    app.extensions["signer"] = Signer(settings.secret_key, settings.secret_key_fallbacks)
    campaign.petitions.views.express.init_app(app)
    campaign.events.rounds.init_app(app, campaign.checkin.queries.signed_in_among)
    campaign.designs.views.pictures.init_app(app, campaign.mailings.shown.is_waiting)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    if settings.is_sqlite:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    db.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
    languages.init_app(app)
    filters.init_app(app)
    few.init_app(app)
    limits.init_app(app, settings)
    requests.init_app(app, settings)
    campaign.accounts.views.login.init_app(app)
    campaign.organizations.views.guard.init_app(app)
    campaign.console.views.shell.init_app(app)
    csrf.init_app(app)
    headers.init_app(app, settings)
    error_pages.init_app(app)
    static_files.init_app(app)
    page_cache.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    for command in COMMANDS:
        app.cli.add_command(command)
    make_celery(app, settings)
    schedule.set_up(app.extensions["celery"])
    return app


def main() -> None:
    """The `campaign` command."""
    try:
        settings = from_environ()
    except SettingsError as error:
        click.echo(f"campaign: {error}", err=True)
        sys.exit(2)
    logs.configure(settings.log_format)
    group = FlaskGroup(
        name="campaign",
        help="Campaign: organize people to keep a clinic, a library or a service open.",
        create_app=lambda: create_app(settings),
        add_version_option=False,
        add_default_commands=True,
    )
    try:
        group.main(prog_name="campaign")
    except OperationalError as error:
        first = str(error.orig).partition("\n")[0]
        click.echo(f"campaign: no answer from the database: {first}", err=True)
        click.echo("campaign doctor looks at each part and says what to do.", err=True)
        sys.exit(1)
