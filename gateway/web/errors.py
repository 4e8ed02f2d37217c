"""Turns errors into answers: the only place that chooses an error status (RFC 9457 problems, and
pages for browsers: problem_page.py).

The body names the field and says what to do; it never echoes what was sent.
"""

from math import ceil

import orjson
from flask import Flask, Response, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from gateway.errors import (
    AuditUnavailable,
    BadRequest,
    BadSignature,
    ForeignPage,
    GatewayBusy,
    GatewayError,
    Gone,
    IssuerUnavailable,
    NoRoom,
    NoSiteAnswered,
    NotAcceptable,
    NotAllowed,
    NotFound,
    NotRecordable,
    NotSignedIn,
    OAuthRefused,
    OnlyToView,
    PatientsDiffer,
    PayloadTooLarge,
    RangeNotSatisfiable,
    RecordsUnavailable,
    RegisterChanged,
    RuleSetChanged,
    RuleSetRefused,
    SiteBusy,
    SiteError,
    SiteTimeout,
    TooBroad,
    TooManyTries,
    TooSlow,
    UnsupportedMediaType,
)
from gateway.log import log
from gateway.web.problem_page import is_for_a_person, page_of

STATUS: tuple[tuple[type[GatewayError], int, str], ...] = (
    (NotAcceptable, 406, "Not acceptable"),
    (UnsupportedMediaType, 415, "Unsupported media type"),
    (PayloadTooLarge, 413, "Too large"),
    (TooSlow, 408, "Too slow"),
    (RangeNotSatisfiable, 416, "Range not satisfiable"),
    (TooBroad, 413, "Too broad"),
    (BadRequest, 400, "Bad request"),
    (NotRecordable, 400, "Bad request"),
    (Gone, 410, "Gone"),
    (NotFound, 404, "Not found"),
    (BadSignature, 401, "Not signed"),
    (ForeignPage, 403, "Sent by another page"),
    (NotSignedIn, 401, "Sign in first"),
    (OnlyToView, 403, "Only to view"),
    (NotAllowed, 403, "Not allowed"),
    (TooManyTries, 429, "Too many tries"),
    (OAuthRefused, 400, "No token"),
    (PatientsDiffer, 409, "Different patients under one StudyInstanceUID"),
    (RegisterChanged, 409, "Somebody changed the register since you read it"),
    (RuleSetChanged, 412, "Somebody saved another version of these rules"),
    (RuleSetRefused, 409, "These rules cannot be used so"),
    (NoRoom, 507, "The gateway's disk is full"),
    (AuditUnavailable, 503, "The audit cannot be written"),
    (RecordsUnavailable, 503, "Database is away"),
    (IssuerUnavailable, 503, "Sign-in service is away"),
    (NoSiteAnswered, 503, "No site could answer"),
    (GatewayBusy, 503, "Gateway is busy"),
    (SiteBusy, 503, "Site is busy"),
    (SiteTimeout, 504, "Site did not answer in time"),
    (SiteError, 502, "Site failed"),
    (GatewayError, 500, "Gateway failed"),
)

# What Flask refuses before a door is reached, in the same words as our own refusals.
WHAT_IS_WRONG = {
    404: {"field": "path", "detail": "names no resource of this service; ask OPTIONS /dicom-web"},
    405: {"field": "method", "detail": "is none of those that Allow lists"},
}

UNLESS_SAID = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}
"""Headers of every answer that does not have its own."""
ONLY_TLS = {"Strict-Transport-Security": "max-age=31536000"}
"""Besides, where callers come by https."""


def problem(status: int, title: str, **facts: object) -> Response:
    """application/problem+json (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, **facts}
    answer = Response(orjson.dumps(body), status, content_type="application/problem+json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def answer_of(error: GatewayError) -> Response:
    """The answer that tells a caller about this error."""
    status, title = next((s, t) for kind, s, t in STATUS if isinstance(error, kind))
    if isinstance(error, BadRequest):
        answer = problem(status, title, field=error.field, detail=error.problem)
        if isinstance(error, RangeNotSatisfiable):
            answer.headers["Content-Range"] = f"bytes */{error.size}"
        return answer
    if isinstance(error, NotRecordable):
        detail = "holds a NUL, or a number or a date beyond every range"
        return problem(status, title, field="request", detail=detail)
    if isinstance(error, OnlyToView):
        return problem(
            status,
            title,
            detail="Исследование показано только для просмотра, файлы не выдаются; о них просят "
            "врача, который дал доступ. This study was granted to be viewed; ask the doctor who "
            "granted it for its files.",
        )
    if isinstance(error, BadSignature):
        return problem(status, title, detail=str(error))
    if isinstance(error, NotSignedIn):
        answer = problem(status, title)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="gateway"'
        return answer
    if isinstance(error, OAuthRefused):  # in the words of RFC 6749 5.2, which clients understand
        refused = error.code == "invalid_client"
        answer = problem(401 if refused else status, title, error=error.code)
        answer.content_type = "application/json"
        if refused:
            answer.headers["WWW-Authenticate"] = 'Basic realm="gateway"'
        return answer
    if isinstance(error, TooManyTries):
        answer = problem(status, title)
        answer.headers["Retry-After"] = str(ceil(error.wait_s))
        return answer
    if isinstance(error, Gone):
        return problem(status, title, detail=f"The {error.what} was there; no site has it now.")
    if isinstance(error, NotFound):
        return problem(status, title, detail=f"All sites answered, and none has this {error.what}.")
    if isinstance(error, PatientsDiffer):
        below = f"dicom-web/studies/{error.study_uid}"
        return problem(
            status,
            title,
            detail="These sites hold different patients under this StudyInstanceUID, so it is not "
            "given at the common address. Open it at the address of the hospital that you mean.",
            open={site_id: f"/sites/{site_id}/{below}" for site_id in error.sites},
        )
    if isinstance(error, NoSiteAnswered):
        answer = problem(
            status,
            title,
            detail="The sites that may hold this did not answer. Try again.",
            sites=error.silent,
        )
        answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer
    if isinstance(error, SiteError):
        answer = problem(status, title, site=error.site_id, code=error.code)
        answer.headers["Retry-After"] = "10"
        return answer
    if isinstance(error, IssuerUnavailable):
        answer = problem(status, title)
        answer.headers["Retry-After"] = "10"
        return answer
    if isinstance(error, GatewayBusy):
        answer = problem(status, title, detail=str(error))
        answer.headers["Retry-After"] = "5"
        return answer
    answer = problem(status, title)
    if status == 503:  # the database or the audit is away: a moment later it may be there
        answer.headers["Retry-After"] = "5"
    return answer


def lead_to_sign_in(error: NotSignedIn) -> ResponseReturnValue:
    """A person is led to the sign-in, a patient whose half hour is over to the link's page, a
    program is told.
    """
    wants_page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if wants_page and any(name.endswith("gateway-link") for name in request.cookies):
        return redirect(url_for("sharing.form"), 303)
    if wants_page and "sign_in.form" in current_app.view_functions:
        return redirect(url_for("sign_in.form", back=request.full_path.rstrip("?")), 303)
    plain = answer_of(error)
    return page_of(plain, error) if is_for_a_person() else plain


def register(app: Flask, base_url: str = "") -> None:
    """Attach the handlers to the application.

    base_url  by which callers reach it; by https alone if it says so
    """
    is_secure = base_url.startswith("https://")
    unless_said = UNLESS_SAID | (ONLY_TLS if is_secure else {})

    def shown(plain: Response, error: Exception) -> Response:
        return page_of(plain, error, base_url) if is_for_a_person() else plain

    app.register_error_handler(NotSignedIn, lead_to_sign_in)

    @app.errorhandler(GatewayError)
    def on_gateway_error(error: GatewayError) -> Response:
        if not isinstance(error, BadRequest | NotFound | NotAllowed | OAuthRefused):
            log.warning("request failed", error=type(error).__name__, why=str(error))
        return shown(answer_of(error), error)

    @app.errorhandler(HTTPException)
    def on_http_error(error: HTTPException) -> Response:
        status = error.code or 500
        answer = problem(status, error.name, **WHAT_IS_WRONG.get(status, {}))
        for name, value in error.get_headers():
            if name.lower() in ("allow", "retry-after"):
                answer.headers[name] = value
        return shown(answer, error)

    @app.errorhandler(Exception)
    def on_fault(error: Exception) -> Response:
        log.exception("fault in the gateway", error=type(error).__name__)
        detail = "This is a fault of the gateway; see its log."
        return shown(problem(500, "Gateway failed", detail=detail), error)

    @app.after_request
    def guard(answer: Response) -> Response:
        present = {name.lower() for name, _ in answer.headers}
        for name, value in unless_said.items():
            if name.lower() not in present:
                answer.headers.add(name, value)
        return answer
