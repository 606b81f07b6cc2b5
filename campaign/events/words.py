"""What events are called by people: the names of kinds, states, access facts, needs and roles."""

from __future__ import annotations

from typing import Any

from flask_babel import lazy_gettext as _l

from campaign.events.models import (
    Access,
    Company,
    EventKind,
    EventState,
    Need,
    OccurrenceState,
    RsvpState,
    ShiftRole,
)

KIND_NAMES: dict[str, Any] = {
    EventKind.VIGIL: _l("Vigil"),
    EventKind.HEARING: _l("Hearing"),
    EventKind.TOWN_HALL: _l("Town hall"),
    EventKind.PROTEST: _l("Protest"),
    EventKind.SIT_IN: _l("Sit-in"),
    EventKind.MEETING: _l("Meeting"),
    EventKind.TRAINING: _l("Training"),
    EventKind.PHONE_BANK: _l("Phone bank"),
    EventKind.OUTREACH: _l("Outreach"),
    EventKind.PRESS_CONFERENCE: _l("Press conference"),
}
STATE_NAMES: dict[str, Any] = {
    EventState.PROPOSED: _l("Proposed"),
    EventState.DRAFT: _l("Draft"),
    EventState.PUBLISHED: _l("Published"),
    EventState.CANCELLED: _l("Cancelled"),
    "over": _l("Over"),
}
DATE_STATE_NAMES: dict[str, Any] = {
    OccurrenceState.SCHEDULED: _l("Takes place"),
    OccurrenceState.CANCELLED: _l("Cancelled"),
    OccurrenceState.REMOVED: _l("Left out"),
}
ANSWER_NAMES: dict[str, Any] = {
    RsvpState.ACCEPTED: _l("Coming"),
    RsvpState.TENTATIVE: _l("Maybe"),
    RsvpState.DECLINED: _l("Cannot come"),
    RsvpState.WAITING: _l("In line"),
    RsvpState.CANCELLED: _l("Taken back"),
}
ACCESS_NAMES: dict[str, Any] = {
    Access.STEP_FREE: _l("No steps"),
    Access.ACCESSIBLE_RESTROOM: _l("Accessible restroom"),
    Access.SIGN_LANGUAGE: _l("Sign language"),
    Access.CAPTIONS: _l("Live captions"),
    Access.INTERPRETATION: _l("Interpretation"),
    Access.QUIET_ROOM: _l("Quiet room"),
    Access.SCENT_FREE: _l("Please wear no scent"),
    Access.CHILD_CARE: _l("Child care"),
    Access.FOOD: _l("Food"),
    Access.TRANSIT: _l("Near a bus or train"),
    Access.PARKING: _l("Parking"),
}
NEED_NAMES: dict[str, Any] = {
    Need.RIDE: _l("A ride"),
    Need.INTERPRETATION: _l("Interpretation"),
    Need.SIGN_LANGUAGE: _l("Sign language"),
    Need.WHEELCHAIR: _l("Room for a wheelchair"),
    Need.CHILD_CARE: _l("Child care"),
    Need.OTHER: _l("Something else"),
}
ROLE_NAMES: dict[str, Any] = {
    ShiftRole.ANYBODY: _l("Anybody"),
    ShiftRole.MARSHAL: _l("Marshal"),
    ShiftRole.DRIVER: _l("Driver"),
    ShiftRole.INTERPRETER: _l("Interpreter"),
    ShiftRole.LEGAL_OBSERVER: _l("Legal observer"),
    ShiftRole.PEER_SUPPORTER: _l("Peer supporter"),
    ShiftRole.GREETER: _l("Greeter"),
}
COMPANY_NAMES: dict[str, Any] = {
    Company.NONE: _l("I come on my own or with my guests"),
    Company.ASK: _l("I would like somebody to go with"),
    Company.OFFER: _l("I can go with somebody"),
}
