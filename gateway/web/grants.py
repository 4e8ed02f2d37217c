"""What a grant does not give: files, unless it says so, and pictures without a mark.

Whoever may look can copy what is on the screen, and frames are what a viewer draws from. So this is
no lock: it keeps whole studies from being carried off by a button or a program, and a picture that
is passed on names the account from which it came.
"""

from flask import g

from gateway.bootstrap import Gateway
from gateway.clock import utc_now
from gateway.errors import AccountRefused, OnlyToView
from gateway.model.access import Role, sees_by_grant
from gateway.model.answers import Location
from gateway.records.accounts import load_login


def check_files(study_uid: str, location: Location) -> None:
    """raises  OnlyToView for files of a study that a grant alone shows, and does not give"""
    if is_by_grant(study_uid, location) and study_uid not in g.actor.files:
        raise OnlyToView


def may_be_by_grant() -> bool:
    """Whether this request may be one by a grant; for most it is not, and nothing is looked up."""
    return Role.EXPERT in g.decision.roles


def is_by_grant(study_uid: str, location: Location) -> bool:
    holders = [holder.site_id for holder in location.holders]
    return may_be_by_grant() and sees_by_grant(g.decision, study_uid, holders)


def mark_of(gateway: Gateway) -> str:
    """Who looks, and when; in letters that every picture can show."""
    account_id = g.actor.subject
    try:
        login = load_login(gateway.records, account_id)
    except AccountRefused:
        login = account_id
    return f"{login if login.isascii() else account_id} {utc_now():%Y-%m-%d %H:%M} UTC"
