"""The token that every form of ours brings back (trust.md H60), by Flask-WTF.

It stands beside the checks of where a form comes from: a browser that tells neither Origin nor
Sec-Fetch-Site truly still cannot know it. The token is bound to a cookie of its own, so it works
for the local operator too, who has no session.
"""

from flask import Flask, current_app
from flask_wtf.csrf import CSRFError, CSRFProtect

from gateway.errors import StaleForm
from gateway.records.keyring import Keyring

LIFE_S = 12 * 3600  # a rule may be thought over for a working day; a session ends sooner


def register(app: Flask, keyring: Keyring, cookie: str, *, is_secure: bool) -> None:
    """Give each page `csrf_token()`; `check_token` judges what comes back."""
    app.config.update(
        SECRET_KEY=keyring.derived("forms"),
        SESSION_COOKIE_NAME=f"{cookie}-form",  # for the token of forms alone
        SESSION_COOKIE_SECURE=is_secure,
        SESSION_COOKIE_SAMESITE="Strict",
        WTF_CSRF_CHECK_DEFAULT=False,  # programs store images and take tokens without a page
        WTF_CSRF_TIME_LIMIT=LIFE_S,
        WTF_CSRF_SSL_STRICT=False,  # the origin is judged by web/identity.py and the console
    )
    CSRFProtect(app)


def check_token() -> None:
    """Judge the request at hand: its field `csrf_token`, or its header X-CSRFToken.

    raises  StaleForm
    """
    try:
        current_app.extensions["csrf"].protect()
    except CSRFError as error:
        raise StaleForm(str(error.description)) from error
