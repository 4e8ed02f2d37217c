"""Serves the OHIF viewer that `.ci/viewer` has put into the viewer folder, and its configuration.

The folder holds index.html and app/KEY/...; whatever lies below app/ never changes under its
name. Every other address below /viewer/ is a page of the viewer itself, which reads it.
"""

import json
from pathlib import Path, PurePosixPath

from flask import Blueprint, Response, render_template, request, send_from_directory

from gateway.model.access import Action
from gateway.web import problem_page
from gateway.web.permissions import needs

PREFIX = "/viewer"
YEAR_S = 365 * 24 * 3600

# Nothing from elsewhere, no inline script, no eval. Styles are written into the page by the
# viewer's libraries; PDF reports are shown from blob: addresses.
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "object-src 'self' blob:",
        "frame-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
# A worker obeys the policy that came with its own script. The image decoders (JPEG-LS and JPEG,
# compiled to WebAssembly) build their bindings by eval, so only workers may: they see no page.
WORKER_POLICY = "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'"

MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}


def create_blueprint(viewer_dir: Path, dicomweb_root: str = "/dicom-web") -> Blueprint:
    """Routes below /viewer/.

    viewer_dir     folder that `.ci/viewer` fills; it may appear while we run
    dicomweb_root  our DICOMweb address without a trailing slash; a path means our own origin
    """
    viewer = Blueprint("viewer", __name__, url_prefix=PREFIX)
    folder = viewer_dir.absolute()
    config = f"window.config = {json.dumps(configuration(dicomweb_root), indent=2)};\n"

    @viewer.get("/app-config.js")
    @needs(Action.OPEN)
    def app_config() -> Response:
        answer = Response(config, mimetype=MEDIA_TYPES[".js"])
        answer.cache_control.no_cache = True
        answer.add_etag()
        answer.make_conditional(request)
        return answer

    @viewer.get("/app/<path:name>")
    @needs(Action.OPEN)
    def asset(name: str) -> Response:
        return _asset(folder / "app", name)

    @viewer.get("/")
    @viewer.get("/<path:page>")
    @needs(Action.VIEW)
    def page(page: str = "") -> Response:
        if not (folder / "index.html").is_file():
            told = Response(render_template("viewer_missing.html"), status=503)
            told.headers["Content-Security-Policy"] = problem_page.PAGE_POLICY
            return told
        answer = send_from_directory(folder, "index.html", mimetype=MEDIA_TYPES[".html"])
        answer.headers["Content-Security-Policy"] = PAGE_POLICY
        return answer

    @viewer.after_request
    def protect(answer: Response) -> Response:
        answer.headers.setdefault(
            "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"
        )
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return answer

    return viewer


def _asset(folder: Path, name: str) -> Response:
    """One file below app/, in its gzip form where there is one and the browser takes it."""
    suffix = PurePosixPath(name).suffix
    media_type = MEDIA_TYPES.get(suffix, "application/octet-stream")
    packed = request.accept_encodings.quality("gzip") > 0
    if packed and (folder / f"{name}.gz").is_file():
        answer = send_from_directory(folder, f"{name}.gz", mimetype=media_type, max_age=YEAR_S)
        answer.headers["Content-Encoding"] = "gzip"
    else:
        answer = send_from_directory(folder, name, mimetype=media_type, max_age=YEAR_S)
    answer.vary.add("Accept-Encoding")
    answer.cache_control.immutable = True
    if suffix in (".js", ".mjs"):
        answer.headers["Content-Security-Policy"] = WORKER_POLICY
    return answer


def configuration(dicomweb_root: str) -> dict[str, object]:
    """OHIF's own configuration (`window.config`): one source, the gateway, and no other."""
    return {
        "routerBasename": PREFIX,
        "extensions": [],
        "modes": [],
        "customizationService": {},
        "showStudyList": True,
        "maxNumberOfWebWorkers": 3,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": True,
        "showLoadingIndicator": True,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": {"option": "never"},
        "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 25},
        "defaultDataSourceName": "region",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "region",
                "configuration": {
                    "friendlyName": "Regional imaging gateway",
                    "name": "region",
                    "qidoRoot": dicomweb_root,
                    "wadoRoot": dicomweb_root,
                    "wadoUriRoot": dicomweb_root,
                    "qidoSupportsIncludeField": True,
                    "supportsReject": False,
                    "supportsFuzzyMatching": False,
                    "supportsWildcard": True,
                    "enableStudyLazyLoad": True,
                    "imageRendering": "wadors",
                    "thumbnailRendering": "wadors",
                    "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
                    "omitQuotationForMultipartRequest": False,
                },
            }
        ],
    }
