"""The Flask application: one blueprint for each kind of door."""

from flask import Flask

from gateway.bootstrap import Gateway
from gateway.records.journal import Journal
from gateway.records.keyring import load_keyring
from gateway.web import (
    auditing,
    capabilities,
    entrance,
    errors,
    events,
    front_proxy,
    health,
    home,
    limits,
    metrics,
    oauth,
    permissions,
    qido,
    reports,
    sign_in,
    stow,
    upload,
    viewer,
    wado,
    wado_uri,
)
from gateway.web.application import Application
from gateway.web.console import door as console
from gateway.web.identity import Identity
from gateway.web.scope import check_path


def create_app(gateway: Gateway, identify: permissions.Identify | None = None) -> Flask:
    """The WSGI application of one web process.

    identify  who sends a request; None: as GATEWAY_ACCESS says
    raises    SettingsError if people are to sign in and `gateway init` has not been run
    """
    app = Application("gateway.web")
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    errors.register(app, is_secure=gateway.settings.base_url.startswith("https://"))
    entrance.register(app, gateway.settings)
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
    app.register_blueprint(metrics.create_blueprint(gateway))
    if gateway.settings.metrics_port:
        metrics.register(app, gateway.settings.metrics_port)
    auditor = None
    if gateway.settings.access == "login":
        keyring = load_keyring(gateway.settings.keyring_file)
        identity = Identity(gateway)
        journal = Journal(gateway.settings.state_dir / "audit")
        app.extensions["journal"] = journal  # wsgi.py brings its lines into the table
        auditor = auditing.Auditor(journal, keyring)
        auditing.register(app)
        app.register_blueprint(oauth.create_blueprint(gateway, identity, keyring, auditor))
        app.register_blueprint(sign_in.create_blueprint(gateway, identity, keyring, auditor))
        app.config.update(
            SECRET_KEY=keyring.derived("forms"),
            SESSION_COOKIE_NAME=f"{identity.cookie}-form",  # for the token of forms alone
            SESSION_COOKIE_SECURE=identity.is_secure,
            SESSION_COOKIE_SAMESITE="Strict",
        )
        identify = identify or identity
    permissions.register(app, identify, auditor)
    if gateway.settings.access == "login":
        limits.register(app, gateway.settings)
    capabilities.register(app, gateway)
    return app
