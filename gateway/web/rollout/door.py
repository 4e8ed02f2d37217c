"""`/rollout`: how digital is each hospital, and how we know (rollout.md 4). Aggregates only: no
page here shows a study, and a count of fewer than five of them is told as "<5".
"""

from flask import Blueprint

from gateway.bootstrap import Gateway
from gateway.rollout.register import Shelf
from gateway.rollout.sender_shelf import SenderShelf
from gateway.web.console.frame import guard
from gateway.web.rollout import (
    discrepancies,
    facilities,
    facility,
    glance,
    programme,
    register,
    register_edit,
    register_files,
    report,
    senders,
)
from gateway.web.rollout.frame import Desk, mark_of_code
from gateway.web.rollout.teller import Teller


def create_blueprint(gateway: Gateway) -> Blueprint:
    """All pages of the rollout and of the register."""
    door = Blueprint("rollout", __name__, url_prefix="/rollout")
    shelf = Shelf(gateway.records)
    teller, looks = Teller(gateway.records, shelf), SenderShelf(gateway.records)
    desk = Desk(gateway, teller, shelf, looks, mark_of_code())
    guard(door, desk.problem)
    for page in (
        glance, facilities, facility, discrepancies, programme, report, senders, register,
        register_edit, register_files,
    ):  # fmt: skip
        page.add_routes(door, desk)
    return door
