"""The Flask application: one blueprint for each kind of door."""

from flask import Flask

from gateway.bootstrap import Gateway
from gateway.web import (
    capabilities,
    errors,
    events,
    front_proxy,
    health,
    home,
    qido,
    reports,
    stow,
    upload,
    viewer,
    wado,
    wado_uri,
)
from gateway.web.application import Application
from gateway.web.console import door as console
from gateway.web.scope import check_path


def create_app(gateway: Gateway) -> Flask:
    """The WSGI application of one web process."""
    app = Application("gateway.web")
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    errors.register(app)
    app.before_request(check_path)
    for prefix, name in (("/dicom-web", "region"), ("/sites/<site_id>/dicom-web", "site")):
        for door in (qido, wado, stow):
            app.register_blueprint(door.create_blueprint(gateway, name), url_prefix=prefix)
    app.register_blueprint(health.create_blueprint(gateway))
    app.register_blueprint(front_proxy.create_blueprint(gateway))
    app.register_blueprint(events.create_blueprint(gateway))
    app.register_blueprint(home.create_blueprint(gateway))
    app.register_blueprint(upload.create_blueprint(gateway))
    app.register_blueprint(wado_uri.create_blueprint(gateway))
    app.register_blueprint(reports.create_blueprint(gateway))
    app.register_blueprint(console.create_blueprint(gateway))
    app.register_blueprint(viewer.create_blueprint(gateway.settings.viewer_dir))
    capabilities.register(app, gateway)
    return app
