"""Campaigns, clinics, the timeline and the partners in the console."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from campaign.campaigns import queries, services
from campaign.campaigns.forms import (
    NEW,
    OUTCOMES,
    STATUSES,
    CampaignForm,
    ClinicForm,
    EndForm,
    MilestoneForm,
    NewClinicForm,
    NewPartnerForm,
    PartnerForm,
    StatusForm,
)
from campaign.campaigns.models import (
    Campaign,
    CampaignState,
    Clinic,
    Milestone,
    Partnership,
    slug_from,
)
from campaign.db import db
from campaign.errors import CampaignError, NotFound
from campaign.organizations.models import Organization, Permission
from campaign.places import queries as places
from campaign.web import flashes
from campaign.web.access import allow
from campaign.web.actor import actor
from campaign.web.forms import spread
from campaign.web.links import external
from campaign.web.page_cache import page_cache

blueprint = Blueprint("organize_campaigns", __name__)


@blueprint.after_request
def show_at_once(response: Response) -> Response:
    """What was changed here shows on the public pages at the next look, not seconds later."""
    if request.method == "POST":
        page_cache().clear()
    return response


def found_campaign(campaign_id: uuid.UUID) -> Campaign:
    """A campaign of the organization one works for; raises NotFound."""
    campaign = queries.campaign_of(actor().organization_id, campaign_id)
    if campaign is None:
        raise NotFound
    return campaign


def found_clinic(clinic_id: uuid.UUID) -> tuple[Clinic, Campaign]:
    clinic = queries.clinic_of(actor().organization_id, clinic_id)
    if clinic is None:
        raise NotFound
    return clinic, found_campaign(clinic.campaign_id)


def found_milestone(milestone_id: uuid.UUID) -> tuple[Milestone, Campaign]:
    milestone = queries.milestone_of(actor().organization_id, milestone_id)
    if milestone is None:
        raise NotFound
    return milestone, found_campaign(milestone.campaign_id)


def found_partnership(partnership_id: uuid.UUID) -> tuple[Partnership, Campaign]:
    partnership = queries.partnership_of(actor().organization_id, partnership_id)
    if partnership is None:
        raise NotFound
    return partnership, found_campaign(partnership.campaign_id)


def to(endpoint: str, **values: Any) -> Response:
    """See another page of this file."""
    return redirect(url_for(f"organize_campaigns.{endpoint}", **values), 303)


def step() -> int:
    """The direction asked for by a "move up" or "move down" button."""
    return -1 if request.form.get("direction") == "up" else 1


# Campaigns


@blueprint.get("/organize/campaigns/")
@allow(Permission.DASHBOARD)
def campaigns() -> str:
    return render_template(
        "campaigns/campaigns.html",
        campaigns=queries.campaigns_of(actor().organization_id),
        edits=actor().can(Permission.CAMPAIGNS_EDIT),
    )


@blueprint.route("/organize/campaigns/new", methods=["GET", "POST"])
@allow(Permission.CAMPAIGNS_EDIT)
def new_campaign() -> Response | str:
    form = CampaignForm()
    if form.is_posted_and_valid():
        try:
            campaign = services.create_campaign(
                actor().organization_id, form.details(), user_id=actor().user_id
            )
        except CampaignError as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("The draft is saved. Nobody sees it until you publish it."))
            return to("campaign", campaign_id=campaign.id)
    suggestion = slug_from(form.title_en.data or form.title_es.data or "", fallback="")
    return render_template("campaigns/new_campaign.html", form=form, suggestion=suggestion)


@blueprint.route("/organize/campaigns/<uuid:campaign_id>", methods=["GET", "POST"])
@allow(Permission.CAMPAIGNS_EDIT)
def campaign(campaign_id: uuid.UUID) -> Response | str:
    campaign = found_campaign(campaign_id)
    form = CampaignForm(
        data=spread(
            title=campaign.title,
            summary=campaign.summary,
            story=campaign.story,
            decision_label=campaign.decision_label,
        )
        | {
            "slug": campaign.slug,
            "decision_on": campaign.decision_on,
            "goal": campaign.goal,
            "crisis_line": campaign.crisis_line,
        }
    )
    if form.is_posted_and_valid():
        try:
            services.edit_campaign(campaign, form.details())
        except CampaignError as error:
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("Saved."))
            return to("campaign", campaign_id=campaign.id)
    return render_template(
        "campaigns/campaign.html",
        form=form,
        campaign=campaign,
        outcomes=OUTCOMES,
        public_url=external("front.campaign", campaign=campaign.slug),
    )


@blueprint.post("/organize/campaigns/<uuid:campaign_id>/publish")
@allow(Permission.CAMPAIGNS_EDIT)
def publish_campaign(campaign_id: uuid.UUID) -> Response:
    campaign = found_campaign(campaign_id)
    services.publish_campaign(campaign, user_id=actor().user_id)
    db.session.commit()
    flashes.undoable(
        _("The campaign is public now."),
        url_for("organize_campaigns.withdraw_campaign", campaign_id=campaign.id),
    )
    return to("campaign", campaign_id=campaign.id)


@blueprint.post("/organize/campaigns/<uuid:campaign_id>/withdraw")
@allow(Permission.CAMPAIGNS_EDIT)
def withdraw_campaign(campaign_id: uuid.UUID) -> Response:
    campaign = found_campaign(campaign_id)
    services.withdraw_campaign(campaign, user_id=actor().user_id)
    db.session.commit()
    flashes.undoable(
        _("The campaign is a draft again. Nobody else sees it."),
        url_for("organize_campaigns.publish_campaign", campaign_id=campaign.id),
    )
    return to("campaign", campaign_id=campaign.id)


@blueprint.post("/organize/campaigns/<uuid:campaign_id>/end")
@allow(Permission.CAMPAIGNS_EDIT)
def end_campaign(campaign_id: uuid.UUID) -> Response:
    campaign = found_campaign(campaign_id)
    form = EndForm()
    if not form.is_posted_and_valid():
        flashes.failed(_("Choose how it ended."))
        return to("campaign", campaign_id=campaign.id)
    services.end_campaign(campaign, CampaignState(form.outcome.data), user_id=actor().user_id)
    db.session.commit()
    flashes.undoable(
        _("The campaign has ended. Its page says so."),
        url_for("organize_campaigns.reopen_campaign", campaign_id=campaign.id),
    )
    return to("campaign", campaign_id=campaign.id)


@blueprint.post("/organize/campaigns/<uuid:campaign_id>/reopen")
@allow(Permission.CAMPAIGNS_EDIT)
def reopen_campaign(campaign_id: uuid.UUID) -> Response:
    campaign = found_campaign(campaign_id)
    services.reopen_campaign(campaign, user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("The campaign is running again."))
    return to("campaign", campaign_id=campaign.id)


# Clinics


@blueprint.get("/organize/campaigns/<uuid:campaign_id>/clinics")
@allow(Permission.CAMPAIGNS_EDIT)
def clinics(campaign_id: uuid.UUID) -> str:
    campaign = found_campaign(campaign_id)
    return render_template(
        "campaigns/clinics.html", campaign=campaign, clinics=queries.clinics_of(campaign.id)
    )


@blueprint.route("/organize/campaigns/<uuid:campaign_id>/clinics/new", methods=["GET", "POST"])
@allow(Permission.CAMPAIGNS_EDIT)
def new_clinic(campaign_id: uuid.UUID) -> Response | str:
    campaign = found_campaign(campaign_id)
    form = NewClinicForm()
    if form.is_posted_and_valid():
        services.add_clinic(
            campaign, form.details(), form.status_details(), user_id=actor().user_id
        )
        db.session.commit()
        flashes.done(_("The clinic is on the page."))
        return to("clinics", campaign_id=campaign.id)
    return render_template("campaigns/new_clinic.html", campaign=campaign, form=form)


@blueprint.route("/organize/campaigns/clinics/<uuid:clinic_id>", methods=["GET", "POST"])
@allow(Permission.CAMPAIGNS_EDIT)
def clinic(clinic_id: uuid.UUID) -> Response | str:
    clinic, campaign = found_clinic(clinic_id)
    form = ClinicForm(data=facts_of(clinic))
    if form.is_posted_and_valid():
        services.edit_clinic(clinic, form.details())
        db.session.commit()
        flashes.done(_("Saved."))
        return to("clinics", campaign_id=campaign.id)
    return clinic_page(clinic, campaign, form, StatusForm(formdata=None, status=clinic.status))


@blueprint.post("/organize/campaigns/clinics/<uuid:clinic_id>/status")
@allow(Permission.CAMPAIGNS_EDIT)
def change_clinic_status(clinic_id: uuid.UUID) -> Response | str:
    clinic, campaign = found_clinic(clinic_id)
    form = StatusForm()
    if form.is_posted_and_valid():
        services.change_clinic_status(clinic, form.status_details(), user_id=actor().user_id)
        db.session.commit()
        flashes.done(_("The new status is on the page and in the history."))
        return to("clinic", clinic_id=clinic.id)
    return clinic_page(clinic, campaign, ClinicForm(formdata=None, data=facts_of(clinic)), form)


def facts_of(clinic: Clinic) -> dict[str, Any]:
    """What the form of a clinic begins with."""
    return spread(services=clinic.services) | {
        "name": clinic.name,
        "address": clinic.address,
        "postal_code": clinic.postal_code,
        "district": str(clinic.district_id or ""),
        "people_served": clinic.people_served,
    }


def clinic_page(clinic: Clinic, campaign: Campaign, form: ClinicForm, status: StatusForm) -> str:
    """A clinic: its facts, the form for a new status, and what it was before."""
    return render_template(
        "campaigns/clinic.html",
        clinic=clinic,
        campaign=campaign,
        form=form,
        status_form=status,
        history=queries.status_history(clinic.id),
        statuses=STATUSES,
        shares=places.shares_of(clinic.postal_code),
    )


@blueprint.post("/organize/campaigns/clinics/<uuid:clinic_id>/move")
@allow(Permission.CAMPAIGNS_EDIT)
def move_clinic(clinic_id: uuid.UUID) -> Response:
    clinic, campaign = found_clinic(clinic_id)
    services.move_clinic(clinic, step())
    db.session.commit()
    return to("clinics", campaign_id=campaign.id)


@blueprint.post("/organize/campaigns/clinics/<uuid:clinic_id>/remove")
@allow(Permission.CAMPAIGNS_EDIT)
def remove_clinic(clinic_id: uuid.UUID) -> Response:
    clinic, campaign = found_clinic(clinic_id)
    try:
        services.remove_clinic(clinic)
    except CampaignError as error:
        flashes.failed(error.message)
        return to("clinic", clinic_id=clinic_id)
    db.session.commit()
    flashes.done(_("The clinic is off the list."))
    return to("clinics", campaign_id=campaign.id)


# The timeline


@blueprint.get("/organize/campaigns/<uuid:campaign_id>/timeline")
@allow(Permission.CAMPAIGNS_EDIT)
def milestones(campaign_id: uuid.UUID) -> str:
    campaign = found_campaign(campaign_id)
    return render_template(
        "campaigns/milestones.html",
        campaign=campaign,
        milestones=queries.milestones_of(campaign.id),
    )


@blueprint.route("/organize/campaigns/<uuid:campaign_id>/timeline/new", methods=["GET", "POST"])
@allow(Permission.CAMPAIGNS_EDIT)
def new_milestone(campaign_id: uuid.UUID) -> Response | str:
    campaign = found_campaign(campaign_id)
    form = MilestoneForm()
    if form.is_posted_and_valid():
        services.add_milestone(campaign, form.details())
        db.session.commit()
        flashes.done(_("It is on the timeline."))
        return to("milestones", campaign_id=campaign.id)
    return render_template("campaigns/new_milestone.html", campaign=campaign, form=form)


@blueprint.route("/organize/campaigns/milestones/<uuid:milestone_id>", methods=["GET", "POST"])
@allow(Permission.CAMPAIGNS_EDIT)
def milestone(milestone_id: uuid.UUID) -> Response | str:
    milestone, campaign = found_milestone(milestone_id)
    form = MilestoneForm(
        data=spread(title=milestone.title, result=milestone.result)
        | {"on": milestone.on, "is_public": milestone.is_public}
    )
    if form.is_posted_and_valid():
        services.edit_milestone(milestone, form.details())
        db.session.commit()
        flashes.done(_("Saved."))
        return to("milestones", campaign_id=campaign.id)
    return render_template(
        "campaigns/milestone.html", campaign=campaign, milestone=milestone, form=form
    )


@blueprint.post("/organize/campaigns/milestones/<uuid:milestone_id>/remove")
@allow(Permission.CAMPAIGNS_EDIT)
def remove_milestone(milestone_id: uuid.UUID) -> Response:
    milestone, campaign = found_milestone(milestone_id)
    services.remove_milestone(milestone)
    db.session.commit()
    flashes.done(_("It is off the timeline."))
    return to("milestones", campaign_id=campaign.id)


# Partners


@blueprint.get("/organize/campaigns/<uuid:campaign_id>/partners")
@allow(Permission.CAMPAIGNS_EDIT)
def partners(campaign_id: uuid.UUID) -> str:
    campaign = found_campaign(campaign_id)
    return render_template(
        "campaigns/partners.html",
        campaign=campaign,
        partnerships=queries.partnerships_of(campaign.id),
        manages=actor().can(Permission.PARTNERS_MANAGE),
    )


@blueprint.route("/organize/campaigns/<uuid:campaign_id>/partners/new", methods=["GET", "POST"])
@allow(Permission.PARTNERS_MANAGE)
def new_partner(campaign_id: uuid.UUID) -> Response | str:
    campaign = found_campaign(campaign_id)
    form = NewPartnerForm()
    if form.is_posted_and_valid():
        try:
            partner = named_partner(form)
            services.add_partner(campaign, partner, form.partner_details(), user_id=actor().user_id)
        except CampaignError as error:
            db.session.rollback()
            form.add_error(error.field, error.message)
        else:
            db.session.commit()
            flashes.done(_("%(name)s is a partner now.", name=partner.name))
            return to("partners", campaign_id=campaign_id)
    return render_template("campaigns/new_partner.html", campaign=campaign, form=form)


def named_partner(form: NewPartnerForm) -> Organization:
    """The organization the form names: looked up, or made. Raises Invalid at `partner`."""
    if form.kind.data == NEW:
        return services.create_partner_organization(
            form.partner.data,
            website=form.website.data,
            contact=form.contact.data,
            user_id=actor().user_id,
        )
    return services.find_partner(form.partner.data)


@blueprint.route("/organize/campaigns/partnerships/<uuid:partnership_id>", methods=["GET", "POST"])
@allow(Permission.PARTNERS_MANAGE)
def partnership(partnership_id: uuid.UUID) -> Response | str:
    partnership, campaign = found_partnership(partnership_id)
    form = PartnerForm(data=spread(wording=partnership.wording, about=partnership.about))
    if form.is_posted_and_valid():
        services.edit_partner(partnership, form.partner_details())
        db.session.commit()
        flashes.done(_("Saved. People who said yes before said it to the old words."))
        return to("partners", campaign_id=campaign.id)
    return render_template(
        "campaigns/partnership.html", campaign=campaign, partnership=partnership, form=form
    )


@blueprint.post("/organize/campaigns/partnerships/<uuid:partnership_id>/leave")
@allow(Permission.PARTNERS_MANAGE)
def end_partnership(partnership_id: uuid.UUID) -> Response:
    partnership, campaign = found_partnership(partnership_id)
    services.end_partnership(partnership, user_id=actor().user_id)
    db.session.commit()
    flashes.undoable(
        _("%(name)s has left. Its box is off the form.", name=partnership.partner.name),
        url_for("organize_campaigns.resume_partnership", partnership_id=partnership.id),
    )
    return to("partners", campaign_id=campaign.id)


@blueprint.post("/organize/campaigns/partnerships/<uuid:partnership_id>/return")
@allow(Permission.PARTNERS_MANAGE)
def resume_partnership(partnership_id: uuid.UUID) -> Response:
    partnership, campaign = found_partnership(partnership_id)
    services.resume_partnership(partnership, user_id=actor().user_id)
    db.session.commit()
    flashes.done(_("%(name)s is a partner again.", name=partnership.partner.name))
    return to("partners", campaign_id=campaign.id)


@blueprint.post("/organize/campaigns/partnerships/<uuid:partnership_id>/move")
@allow(Permission.PARTNERS_MANAGE)
def move_partner(partnership_id: uuid.UUID) -> Response:
    partnership, campaign = found_partnership(partnership_id)
    services.move_partner(partnership, step())
    db.session.commit()
    return to("partners", campaign_id=campaign.id)
