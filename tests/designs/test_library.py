"""The library: adding, describing, deleting, and who sees what."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from campaign import clock
from campaign.accounts.models import User
from campaign.db import db
from campaign.designs import delivery, queries
from campaign.designs.models import Picture, PictureFile
from campaign.designs.pictures import MEGABYTE
from campaign.mailings import services as mailings
from campaign.organizations.models import AuditEntry, Organization, Role
from tests.conftest import Client
from tests.factories.designs import image_bytes, make_picture
from tests.factories.mailings import make_message, make_reader, send_out
from tests.factories.organizations import log_in, make_member, make_organization
from tests.factories.pages import read

HOME = "/organize/mailings/pictures/"


@pytest.fixture
def organization(app: Flask) -> Organization:
    return make_organization()


@pytest.fixture
def organizer(organization: Organization, client: Client) -> User:
    user = make_member(organization, Role.ORGANIZER)
    log_in(client, user)
    return user


def upload(client: Client, data: bytes, name: str = "The March!.png", alt: str = "A march") -> int:
    answer = client.submit(HOME, {"file": (io.BytesIO(data), name), "alt": alt})
    upload.page = answer  # type: ignore[attr-defined]
    return answer.status_code


def path_of(picture: Picture, *, small: bool = False) -> str:
    return queries.picture_url(picture, small=small).partition("127.0.0.1:8000")[2]


def test_a_picture_is_added_and_anybody_with_its_address_sees_it(
    client: Client, app: Flask, organization: Organization, organizer: User
) -> None:
    assert upload(client, image_bytes(size=(1200, 600))) == 303
    assert upload(client, image_bytes(), "the march.png") == 303
    newest, first = queries.pictures_of(organization.id)
    assert (first.name, newest.name) == ("the-march", "the-march-2")
    assert (first.width, first.shown_width, first.shown_height) == (1072, 536, 268)
    assert "A march" in client.get(HOME).text
    stranger = app.test_client()
    answer = stranger.get(path_of(first))
    assert answer.status_code == 200
    assert answer.content_type == "image/png"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    again = stranger.get(path_of(first), headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert stranger.get(path_of(first, small=True)).status_code == 200
    assert stranger.get(path_of(first).replace(".png", ".jpg")).status_code == 404
    assert stranger.get("/images/AAAAAAAAAAAAAAAAAAAAAA.png").status_code == 404


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Choose a picture."),
        (b"x" * (40 * MEGABYTE), "This file is larger than 10 MB."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture that we can use"),
        (image_bytes("JPEG", (300, 300))[:900], "This picture is damaged."),
    ],
)
def test_what_cannot_be_used_is_said_at_the_field_and_the_rest_is_kept(
    client: Client, organization: Organization, organizer: User, data: bytes, said: str
) -> None:
    assert upload(client, data, alt="Neighbors with candles") == 400
    page = read(upload.page)  # type: ignore[attr-defined]
    assert said in page.text
    assert 'value="Neighbors with candles"' in upload.page.text  # type: ignore[attr-defined]
    assert queries.pictures_of(organization.id) == []


def test_a_description_is_asked(client: Client, organizer: User) -> None:
    assert upload(client, image_bytes(), alt="") == 400
    assert "Describe it for people who do not see it." in upload.page.text  # type: ignore[attr-defined]


def test_it_can_be_described_anew_deleted_and_brought_back(
    client: Client, organization: Organization, organizer: User
) -> None:
    picture = make_picture(organization)
    db.session.commit()
    client.submit(f"{HOME}{picture.id}", {"alt": "People on State Street"})
    assert "People on State Street" in client.get(HOME).text
    client.submit(f"{HOME}{picture.id}", {}, form="/delete")
    assert "People on State Street" not in read(client.get(HOME)).text
    assert client.get(path_of(picture)).status_code == 404
    assert db.session.scalars(select(AuditEntry.action)).all()[-1] == "picture.delete"
    token = client.get(HOME).text.partition('csrf-token" content="')[2].partition('"')[0]
    client.post(f"{HOME}{picture.id}/restore", data={"csrf_token": token})
    assert client.get(path_of(picture)).status_code == 200


def test_what_went_out_or_will_stays(
    client: Client, organization: Organization, organizer: User
) -> None:
    make_reader(organization)
    sent, waiting = make_picture(organization), make_picture(organization)
    body = "![A march]({}) and {{{{ first_name|x }}}}"
    send_out(make_message(organization, body=body.format(queries.picture_url(sent))))
    later = make_message(organization, body=body.format(queries.picture_url(waiting)))
    tomorrow = (clock.now() + timedelta(days=1)).replace(tzinfo=None)
    mailings.schedule_message(later, tomorrow, "UTC", user_id=organizer.id)
    db.session.commit()
    assert "so it stays" in client.get(f"{HOME}{sent.id}").text
    token = client.get(HOME).text.partition('csrf-token" content="')[2].partition('"')[0]
    for picture, said in ((sent, "went out, so it stays"), (waiting, "that is scheduled")):
        client.post(f"{HOME}{picture.id}/delete", data={"csrf_token": token})
        assert said in client.get(HOME).text
        db.session.refresh(picture)
        assert picture.deleted_at is None
    mailings.unschedule_message(later, user_id=organizer.id)
    db.session.commit()
    client.post(f"{HOME}{waiting.id}/delete", data={"csrf_token": token})
    assert db.session.get_one(Picture, waiting.id).deleted_at is not None


def test_bytes_go_a_month_after_deleting_but_not_what_went_out(
    organization: Organization,
) -> None:
    old, new, kept = (make_picture(organization) for _ in range(3))
    old.deleted_at = kept.deleted_at = clock.now() - timedelta(days=31)
    new.deleted_at, kept.kept_at = clock.now(), clock.now()
    db.session.flush()
    assert delivery.forget_pictures() == 2
    assert delivery.forget_pictures() == 0
    left = select(func.count()).where(PictureFile.picture_id.in_([new.id, kept.id]))
    assert db.session.scalar(left) == 4


def test_somebody_elses_library_is_not_there(client: Client, organizer: User) -> None:
    theirs = make_picture(make_organization(), alt="Theirs")
    db.session.commit()
    assert "Theirs" not in client.get(HOME).text
    assert client.get(f"{HOME}{theirs.id}").status_code == 404
