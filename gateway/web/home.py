"""The first page: what this address is, which hospitals answer, and where to go from here."""

from flask import Blueprint, Response, render_template

from gateway.bootstrap import Gateway
from gateway.model.access import Action
from gateway.model.wording import number, span
from gateway.web.health import describe_sites
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


def create_blueprint(gateway: Gateway) -> Blueprint:
    """`/`, in Russian with English beside it."""
    door = Blueprint("home", __name__, static_folder="static", static_url_path="/static")

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
