"""The first page: what this address is, which hospitals answer, and where to go from here; and the
styles, scripts and icons of all pages, compressed for who takes that.
"""

from flask import Blueprint, Response, render_template, request

from gateway.bootstrap import Gateway
from gateway.model.access import Action
from gateway.model.wording import number, span
from gateway.web.health import describe_sites
from gateway.web.packed import PackedBodies, packed_answer
from gateway.web.permissions import may, needs

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
TROUBLE = {
    "unreachable": ("соединение не устанавливается", "cannot be reached"),
    "timeout": ("не отвечает вовремя", "does not answer in time"),
    "busy": ("занят", "is busy"),
    "refused": ("отвечает ошибкой", "answers with an error"),
    "untrusted": ("не принимает пароль или сертификат", "refuses our password or certificate"),
    "garbage": ("отвечает не по DICOMweb", "does not speak DICOMweb"),
    "cut": ("обрывает ответ", "breaks its answers off"),
}


FILES = "home.static"
TEXTS = frozenset({"text/css", "text/javascript", "application/javascript", "image/svg+xml"})
VERSIONED = "vendor/"
"""Files below have their version in their name: they never change."""
YEAR_S = 31_536_000
MOST_BYTES = 4 * 2**20  # of files, packed


def create_blueprint(gateway: Gateway) -> Blueprint:
    """`/`, in Russian with English beside it."""
    door = Blueprint("home", __name__, static_folder="static", static_url_path="/static")

    made = PackedBodies(MOST_BYTES)

    @door.after_request
    def pack(answer: Response) -> Response:
        return _packed(made, answer) if request.endpoint == FILES else answer

    @door.get("/")
    @needs(Action.SEE_STATUS)
    def home() -> Response:
        region = gateway.region
        page = render_template(
            "home.html",
            region=region,
            sites=describe_sites(gateway),
            trouble=TROUBLE,
            may={str(action) for action in Action if may(action)},
            open=gateway.settings.access == "open",
            number=number,
            span=span,
            dicomweb=f"{gateway.settings.base_url}/dicom-web",
        )
        answer = Response(page)
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
        return answer

    return door


def _packed(made: PackedBodies, file: Response) -> Response:
    """A file as it is sent: both of its forms have one tag, which is therefore a weak one."""
    tag, _ = file.get_etag()
    if tag is None:
        return file
    if file.status_code == 200 and file.mimetype in TEXTS:
        file.direct_passthrough = False
        packed = made.find(tag) or made.keep(tag, file.get_data())
        file.close()
        assert packed is not None, "no style is that large"  # noqa: S101
        plain, file = file, packed_answer(packed, file.headers["Content-Type"])
        file.last_modified = plain.last_modified
    if (request.view_args or {}).get("filename", "").startswith(VERSIONED):
        file.headers["Cache-Control"] = f"public, max-age={YEAR_S}, immutable"
    else:
        file.headers["Cache-Control"] = "no-cache"
    file.set_etag(tag, weak=True)
    file.vary.add("Accept-Encoding")
    return file
