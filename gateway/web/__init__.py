"""The Flask application: one blueprint for each kind of door."""

from flask import Flask

from gateway.bootstrap import Gateway
from gateway.openid import open_issuer
from gateway.records.journal import Journal
from gateway.records.keyring import load_keyring, make_keyring
from gateway.web import (
    account,
    audit_desk,
    auditing,
    authenticator,
    authorize,
    capabilities,
    emergency,
    entrance,
    errors,
    events,
    form_tokens,
    front_proxy,
    health,
    home,
    limits,
    metrics,
    oauth,
    openapi,
    outside,
    permissions,
    qido,
    reports,
    sharing,
    sign_in,
    step_up,
    stow,
    upload,
    viewer,
    wado,
    wado_uri,
    withdrawal,
)
from gateway.web.application import Application
from gateway.web.console import door as console
from gateway.web.identity import Identity
from gateway.web.rollout import api as rollout_api
from gateway.web.rollout import door as rollout
from gateway.web.scope import check_path


def create_app(gateway: Gateway, identify: permissions.Identify | None = None) -> Flask:
    """The WSGI application of one web process.

    identify  who sends a request; None: as GATEWAY_ACCESS says
    raises    SettingsError if people are to sign in and `gateway init` has not been run
    """
    app = Application("gateway.web")
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    errors.register(app, gateway.settings.base_url)
    app.context_processor(lambda: {"region": gateway.region})  # narrow pages name it, too
    entrance.register(app, gateway.settings)
    app.before_request(check_path)
    for prefix, name in (("/dicom-web", "region"), ("/sites/<site_id>/dicom-web", "site")):
        for door in (qido, wado, stow):
            app.register_blueprint(door.create_blueprint(gateway, name), url_prefix=prefix)
    app.register_blueprint(health.create_blueprint(gateway))
    app.register_blueprint(front_proxy.create_blueprint(gateway))
    app.register_blueprint(events.create_blueprint(gateway))
    app.register_blueprint(openapi.create_blueprint())
    app.register_blueprint(rollout_api.create_blueprint(gateway))
    app.register_blueprint(home.create_blueprint(gateway))
    app.register_blueprint(upload.create_blueprint(gateway))
    app.register_blueprint(wado_uri.create_blueprint(gateway))
    app.register_blueprint(reports.create_blueprint(gateway))
    app.register_blueprint(console.create_blueprint(gateway))
    app.register_blueprint(rollout.create_blueprint(gateway))
    app.register_blueprint(viewer.create_blueprint(gateway.settings.viewer_dir))
    people_sign_in = gateway.settings.access == "login"
    app.register_blueprint(metrics.create_blueprint(gateway))
    if gateway.settings.metrics_port:
        metrics.register(app, gateway.settings.metrics_port)
    issuer = open_issuer(gateway.settings) if people_sign_in else None
    auditor, again, identity = None, None, Identity(gateway, issuer)
    key_file = gateway.settings.keyring_file
    keyring = load_keyring(key_file) if people_sign_in else make_keyring(key_file)
    form_tokens.register(app, keyring, identity.cookie, is_secure=identity.is_secure)
    if people_sign_in:
        journal = Journal(gateway.settings.state_dir / "audit")
        app.extensions["journal"] = journal  # wsgi.py brings its lines into the table
        auditor = auditing.Auditor(journal, keyring)
        auditing.register(app)
        app.extensions["running"] = withdrawal.register(app, identity)
        app.register_blueprint(oauth.create_blueprint(gateway, identity, keyring, auditor))
        app.register_blueprint(authorize.create_blueprint(gateway, identity, keyring, auditor))
        passwords = sign_in.Passwords()
        again = step_up.StepUp(gateway, identity, keyring, auditor, passwords)
        app.register_blueprint(
            sign_in.create_blueprint(gateway, identity, keyring, auditor, passwords)
        )
        app.register_blueprint(sharing.create_blueprint(gateway, identity, keyring, auditor))
        app.register_blueprint(account.create_blueprint(gateway, identity, auditor, passwords))
        app.register_blueprint(emergency.create_blueprint(gateway))
        app.register_blueprint(authenticator.create_blueprint(gateway, identity, keyring))
        if issuer is not None:
            app.register_blueprint(
                outside.create_blueprint(gateway, identity, keyring, auditor, issuer)
            )
        identify = identify or identity
    app.register_blueprint(audit_desk.create_blueprint(gateway, keyring))
    permissions.register(app, identify, auditor, again)
    if people_sign_in:
        limits.register(app, gateway.settings)
    capabilities.register(app, gateway)
    return app
