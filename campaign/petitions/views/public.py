"""A petition: read, sign, confirm, thanks, withdraw."""

from __future__ import annotations

from flask import Blueprint, render_template

from campaign.petitions import queries
from campaign.web.access import link, public

blueprint = Blueprint("petitions", __name__)


@blueprint.get("/p/<petition>")
@public
def petition(petition: str) -> str:
    found = queries.petition_by_slug(petition)
    return render_template("petitions/petition.html", petition=found)


@blueprint.get("/confirm/<token>")
@link
def confirm(token: str) -> str:
    found = queries.signature_by_token(token)
    return render_template("petitions/confirm.html", signature=found, token=token)


@blueprint.get("/withdraw/<token>")
@link
def withdraw(token: str) -> str:
    return render_template("petitions/withdraw.html", token=token)
