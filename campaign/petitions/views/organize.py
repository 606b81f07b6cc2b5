"""Petitions and signatures in the console."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from werkzeug.wrappers import Response

from campaign import clock
from campaign.campaigns import queries as campaigns
from campaign.campaigns.models import slug_from
from campaign.db import db
from campaign.errors import CampaignError
from campaign.fields.models import CustomField
from campaign.fields.queries import fields_of
from campaign.fields.rules import in_words
from campaign.organizations.models import Permission
from campaign.organizations.services import record
from campaign.people import strangers
from campaign.petitions import queries, rules, services
from campaign.petitions.forms import (
    DIRECT,
    InvalidateForm,
    PetitionForm,
    SignForm,
    filters_from,
    values_of,
)
from campaign.petitions.models import (
    CommentState,
    Display,
    Invalidation,
    Petition,
    Signature,
    SignatureState,
)
from campaign.petitions.views.public import page as public_page
from campaign.places import queries as places
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.filters import number, short_day, zone_name
from campaign.web.languages import language
from campaign.web.links import external
from campaign.web.page_cache import page_cache
from campaign.web.pagination import keyset_page

blueprint = Blueprint("organize_petitions", __name__)
GROWTH_DAYS = 60
UNDO_IDS = 50
REASONS = {
    strangers.HONEYPOT: _l("a hidden field was filled in"),
    strangers.SOURCE_LIMIT: _l("very many from one place"),
    strangers.BURST: _l("very many at once"),
    strangers.FAST: _l("sent within seconds"),
    strangers.DISPOSABLE: _l("throw-away email address"),
    strangers.LINKS: _l("links in the comment"),
}
STATES = [
    (SignatureState.CONFIRMED, _l("Confirmed")),
    (SignatureState.UNVERIFIED, _l("Without email")),
    (SignatureState.PENDING, _l("Not confirmed yet")),
    (SignatureState.REVIEW, _l("Held for a look")),
    (SignatureState.WITHDRAWN, _l("Taken back")),
    (SignatureState.INVALIDATED, _l("Not counted")),
]


@blueprint.after_request
def show_at_once(response: Response) -> Response:
    """What was changed here shows on the public pages at the next look, not seconds later."""
    if request.method == "POST":
        queries.forget_sheets()
        page_cache().clear()
    return response


def found(petition_id: uuid.UUID) -> Petition:
    """A petition of the organization one works for; raises NotFound."""
    return queries.petition_of(actor().organization_id, petition_id)


def to(endpoint: str, **values: Any) -> Response:
    """See another page of this file."""
    return redirect(url_for(f"organize_petitions.{endpoint}", **values), 303)


def zone() -> ZoneInfo:
    """The zone in which this page counts days."""
    return clock.zone(zone_name())


def chosen_ids() -> list[uuid.UUID]:
    """The rows that were ticked; what is no id is left out."""
    ids = []
    for text in request.form.getlist("ids")[:500]:
        try:
            ids.append(uuid.UUID(text))
        except ValueError:
            continue
    return ids


# Petitions


@blueprint.get("/organize/petitions/")
@allow(Permission.PETITIONS_VIEW)
def petitions() -> str:
    rows = queries.petitions_of(actor().organization_id)
    ids = [row.id for row in rows]
    return render_template(
        "petitions/index.html",
        petitions=rows,
        counts=queries.counts(ids),
        week=queries.confirmed_since(ids, clock.now() - timedelta(days=7)),
        has_campaign=bool(campaigns.campaigns_of(actor().organization_id)),
        edits=actor().can(Permission.PETITIONS_EDIT),
    )


def form_for(**values: Any) -> PetitionForm:
    mine = campaigns.campaigns_of(actor().organization_id)
    clinics = [clinic for row in mine for clinic in campaigns.clinics_of(row.id)]
    own = fields_of(actor().organization_id, with_sensitive=True)
    return PetitionForm.of(mine, clinics, own, **values)


@blueprint.route("/organize/petitions/new", methods=["GET", "POST"])
@allow(Permission.PETITIONS_EDIT)
def new_petition() -> Response | str:
    form = form_for(
        data={"goal": 100, "has_comments": True, "campaign": request.args.get("campaign")}
    )
    if form.is_posted_and_valid():
        try:
            petition = services.create_petition(
                actor().organization_id, form.details(zone()), user_id=actor().user_id
            )
        except CampaignError as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("The draft is saved. Nobody sees it until you publish it."))
            return to("edit_petition", petition_id=petition.id)
    suggestion = slug_from(form.title_en.data or form.title_es.data or "", fallback="")
    return render_template("petitions/new.html", form=form, suggestion=suggestion)


@blueprint.route("/organize/petitions/<uuid:petition_id>/edit", methods=["GET", "POST"])
@allow(Permission.PETITIONS_EDIT)
def edit_petition(petition_id: uuid.UUID) -> Response | str:
    petition = found(petition_id)
    form = form_for(data=values_of(petition, zone()))
    if form.is_posted_and_valid():
        try:
            services.edit_petition(petition, form.details(zone()), user_id=actor().user_id)
        except CampaignError as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return to("edit_petition", petition_id=petition.id)
    return render_template(
        "petitions/edit.html",
        form=form,
        public_url=external("petitions.petition", petition=petition.slug),
        **frame(petition),
    )


@blueprint.get("/organize/petitions/<uuid:petition_id>/preview")
@allow(Permission.PETITIONS_VIEW)
def preview(petition_id: uuid.UUID) -> str:
    """The page as the public will see it; its form does not send."""
    petition = found(petition_id)
    form = SignForm.of(queries.sheet_of(petition), formdata=None)
    return public_page(petition, form, is_preview=True)


@blueprint.post("/organize/petitions/<uuid:petition_id>/publish")
@allow(Permission.PETITIONS_EDIT)
def publish(petition_id: uuid.UUID) -> Response:
    petition = found(petition_id)
    services.publish_petition(petition, user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("The petition is public now. People can sign."))
    return to("petition", petition_id=petition.id)


@blueprint.post("/organize/petitions/<uuid:petition_id>/close")
@allow(Permission.PETITIONS_EDIT)
def close(petition_id: uuid.UUID) -> Response:
    petition = found(petition_id)
    services.close_petition(petition, user_id=actor().user_id)
    db.session.commit()
    flashes.undoable(
        _("The petition is closed. Its page stays and says what came of it."),
        url_for("organize_petitions.publish", petition_id=petition.id),
    )
    return to("petition", petition_id=petition.id)


def frame(petition: Petition) -> dict[str, Any]:
    """What every page of one petition shows: its tabs with what waits."""
    states = queries.states_of(petition.id)
    return {
        "petition": petition,
        "states": states,
        "review_count": states[SignatureState.REVIEW],
        "comment_count": queries.waiting_comments([petition.id])[petition.id],
        "edits": actor().can(Permission.PETITIONS_EDIT),
        "moderates": actor().can(Permission.SIGNATURES_MODERATE),
        "sees_signatures": actor().can(Permission.SIGNATURES_VIEW),
        "is_open": petition.is_open(clock.now()),
    }


@blueprint.get("/organize/petitions/<uuid:petition_id>")
@allow(Permission.PETITIONS_VIEW)
def petition(petition_id: uuid.UUID) -> str:
    """How it stands: numbers, growth, sources, wards. Nobody's name."""
    petition = found(petition_id)
    counts = queries.count(petition.id)
    by_district = queries.counts_by_district(petition.id)
    week = clock.now() - timedelta(days=7)
    return render_template(
        "petitions/show.html",
        counts=counts,
        goal=rules.goal_for(counts.confirmed, petition.goal),
        week=queries.confirmed_since([petition.id], week)[petition.id],
        growth=[
            (short_day(when), count)
            for when, count in queries.growth(petition.id, zone(), GROWTH_DAYS)
        ],
        sources=[
            (source or _("Came directly"), count) for source, count in queries.sources(petition.id)
        ],
        referred=queries.referred(petition.id),
        shapes=places.map_shapes(
            {key: value for key, value in by_district.items() if key is not None},
            language=language(),
        ),
        elsewhere=by_district.get(None, 0),
        public_url=external("petitions.petition", petition=petition.slug),
        **frame(petition),
    )


# Signatures


def is_sensitive_shown(own: Sequence[CustomField], rows: Sequence[Signature]) -> bool:
    """Whether any of these signers answered a sensitive question that is shown."""
    sensitive = {field.id.hex for field in own if field.is_sensitive}
    return any(not sensitive.isdisjoint(row.answers) for row in rows)


@blueprint.get("/organize/petitions/<uuid:petition_id>/signatures")
@allow(Permission.SIGNATURES_VIEW, writes=True)
def signatures(petition_id: uuid.UUID) -> str:
    """The table of signatures. Looking at names is noted in the log."""
    petition = found(petition_id)
    filters = filters_from(request.args, zone())
    rows = keyset_page(queries.signatures(petition.id, filters), Signature.id)
    own = fields_of(petition.organization_id, with_sensitive=actor().can(Permission.SENSITIVE_VIEW))
    answers = {row.id: in_words(own, row.answers, language()) for row in rows.rows if row.answers}
    record(
        "signatures.listed",
        organization_id=petition.organization_id,
        user_id=actor().user_id,
        subject_kind="petition",
        subject_id=petition.id,
        details={
            "rows": len(rows.rows),
            "filters": sorted(set(request.args) - {"lang"}),
            "sensitive": is_sensitive_shown(own, rows.rows),
        },
    )
    db.session.commit()
    return render_template(
        "petitions/signatures.html",
        answers=answers,
        page=rows,
        asked=request.args,
        wards=places.district_names(language()),
        sources=[
            (source or DIRECT, source or _("Came directly"))
            for source, _uses in queries.sources(petition.id, limit=50)
        ],
        all_states=STATES,
        **frame(petition),
    )


@blueprint.post("/organize/petitions/<uuid:petition_id>/signatures/lower")
@allow(Permission.SIGNATURES_MODERATE)
def lower(petition_id: uuid.UUID) -> Response:
    """Show less of the chosen names in public."""
    petition = found(petition_id)
    display = Display.INITIAL if request.form.get("display") == "initial" else Display.HIDDEN
    changed = services.lower_display(petition, chosen_ids(), display, user_id=actor().user_id)
    db.session.commit()
    flashes.done(
        ngettext(
            "%(count)s name is shown less now.",
            "%(count)s names are shown less now.",
            changed,
            count=number(changed),
        )
    )
    return to("signatures", petition_id=petition.id)


# Comments


@blueprint.get("/organize/petitions/<uuid:petition_id>/comments")
@allow(Permission.SIGNATURES_MODERATE)
def comments(petition_id: uuid.UUID) -> str:
    petition = found(petition_id)
    asked = request.args.get("state", "")
    state = asked if asked in {"approved", "hidden"} else CommentState.WAITING
    return render_template(
        "petitions/comments.html",
        page=keyset_page(queries.comments(petition.id, state), Signature.id),
        state=state,
        public=lambda row: queries.as_public(row, petition, places.district_names(language())),
        **frame(petition),
    )


@blueprint.post(
    "/organize/petitions/<uuid:petition_id>/comments/<any(approved,hidden,waiting):state>"
)
@allow(Permission.SIGNATURES_MODERATE)
def decide_comments(petition_id: uuid.UUID, state: str) -> Response:
    """Approve or hide the chosen comments; "waiting" takes it back."""
    petition, ids = found(petition_id), chosen_ids() or _ids_in_address()
    changed = services.decide_comments(petition, ids, CommentState(state), user_id=actor().user_id)
    db.session.commit()
    words = {
        "approved": ngettext(
            "%(count)s comment is on the page now.",
            "%(count)s comments are on the page now.",
            changed,
            count=number(changed),
        ),
        "hidden": ngettext(
            "%(count)s comment is hidden.",
            "%(count)s comments are hidden.",
            changed,
            count=number(changed),
        ),
        "waiting": ngettext(
            "%(count)s comment waits again.",
            "%(count)s comments wait again.",
            changed,
            count=number(changed),
        ),
    }
    _tell(words[state], changed, "decide_comments", petition, ids, back="waiting", now=state)
    return to("comments", petition_id=petition.id)


def _tell(
    text: str,
    changed: int,
    endpoint: str,
    petition: Petition,
    ids: list[uuid.UUID],
    *,
    back: str,
    now: str,
) -> None:
    """Say what was done, with a way back where there is one."""
    if not changed:
        flashes.told(_("Nothing was chosen."))
    elif now == back or len(ids) > UNDO_IDS:
        flashes.done(text)
    else:
        values: dict[str, Any] = {"petition_id": petition.id, "ids": [one.hex for one in ids]}
        if back:
            values["state"] = back
        flashes.undoable(text, url_for(f"organize_petitions.{endpoint}", **values))


def _ids_in_address() -> list[uuid.UUID]:
    """The rows that an undo button names in its address."""
    ids = []
    for text in request.args.getlist("ids")[:UNDO_IDS]:
        try:
            ids.append(uuid.UUID(text))
        except ValueError:
            continue
    return ids


# Signatures held for a look


@blueprint.get("/organize/petitions/<uuid:petition_id>/review")
@allow(Permission.SIGNATURES_MODERATE)
def review(petition_id: uuid.UUID) -> str:
    petition = found(petition_id)
    return render_template(
        "petitions/review.html",
        page=keyset_page(queries.held(petition.id), Signature.id, newest_first=False),
        reasons=REASONS,
        **frame(petition),
    )


@blueprint.post("/organize/petitions/<uuid:petition_id>/review/approve")
@allow(Permission.SIGNATURES_MODERATE)
def approve(petition_id: uuid.UUID) -> Response:
    """Let the chosen signatures go their way: now their confirmation e-mail goes out."""
    petition = found(petition_id)
    gone, waiting = services.approve_reviews(petition, chosen_ids(), user_id=actor().user_id)
    db.session.commit()
    flashes.done(
        ngettext(
            "%(count)s signature is on its way.",
            "%(count)s signatures are on their way.",
            gone,
            count=number(gone),
        )
    )
    if waiting:
        flashes.told(
            ngettext(
                "%(count)s must wait until tomorrow: its address had three emails today.",
                "%(count)s must wait until tomorrow: their addresses had three emails today.",
                waiting,
                count=number(waiting),
            )
        )
    return to("review", petition_id=petition.id)


@blueprint.post("/organize/petitions/<uuid:petition_id>/review/reject")
@allow(Permission.SIGNATURES_MODERATE)
def reject(petition_id: uuid.UUID) -> Response:
    """Turn the chosen signatures away."""
    petition, ids = found(petition_id), chosen_ids()
    changed = services.reject_reviews(petition, ids, user_id=actor().user_id)
    db.session.commit()
    text = ngettext(
        "%(count)s signature is turned away.",
        "%(count)s signatures are turned away.",
        changed,
        count=number(changed),
    )
    _tell(text, changed, "review_again", petition, ids, back="", now="rejected")
    return to("review", petition_id=petition.id)


@blueprint.post("/organize/petitions/<uuid:petition_id>/review/again")
@allow(Permission.SIGNATURES_MODERATE)
def review_again(petition_id: uuid.UUID) -> Response:
    """Take turning away back."""
    petition = found(petition_id)
    services.review_again(petition, _ids_in_address(), user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("They are held for a look again."))
    return to("review", petition_id=petition.id)


# Invalidation


@blueprint.route("/organize/petitions/<uuid:petition_id>/invalidate", methods=["GET", "POST"])
@allow(Permission.SIGNATURES_MODERATE)
def invalidate(petition_id: uuid.UUID) -> Response | str:
    """Take signatures out of the count by a rule: first how many it means, then the doing."""
    petition, form, fitting = found(petition_id), InvalidateForm(), None
    if form.is_posted_and_valid():
        rule = form.rule(zone())
        try:
            if request.form.get("step") == "do":
                done = services.invalidate(
                    petition, rule, reason=form.reason.data or "", user_id=actor().user_id
                )
                db.session.commit()
                return _invalidated(petition, done)
            if rule.is_empty:
                form.add_error("", _("Fill in at least one field."))
            else:
                fitting = queries.count_fitting(petition.id, rule)
        except CampaignError as error:
            db.session.rollback()
            petition = found(petition_id)
            form.add_error(error.field, error.message)
            fitting = queries.count_fitting(petition.id, rule)
    return render_template(
        "petitions/invalidate.html",
        form=form,
        fitting=fitting,
        invalidations=queries.invalidations_of(petition.id),
        labels={name: field.label.text for name, field in form._fields.items()},
        **frame(petition),
    )


def _invalidated(petition: Petition, done: Invalidation) -> Response:
    flashes.undoable(
        ngettext(
            "%(count)s signature is out of the count.",
            "%(count)s signatures are out of the count.",
            done.count,
            count=number(done.count),
        ),
        url_for("organize_petitions.restore", petition_id=petition.id, invalidation_id=done.id),
    )
    return to("invalidate", petition_id=petition.id)


@blueprint.post("/organize/petitions/<uuid:petition_id>/invalidate/<uuid:invalidation_id>/restore")
@allow(Permission.SIGNATURES_MODERATE)
def restore(petition_id: uuid.UUID, invalidation_id: uuid.UUID) -> Response:
    """Bring invalidated signatures back."""
    petition = found(petition_id)
    invalidation = queries.invalidation_of(petition.id, invalidation_id)
    count = services.revert_invalidation(invalidation, user_id=actor().user_id)
    db.session.commit()
    flashes.done(
        ngettext(
            "%(count)s signature is back.",
            "%(count)s signatures are back.",
            count,
            count=number(count),
        )
    )
    return to("invalidate", petition_id=petition.id)
