"""WSGI door: gunicorn loads `gateway.wsgi:create()` in each web process."""

from flask import Flask

from gateway import log
from gateway.bootstrap import build_gateway
from gateway.settings import load_settings
from gateway.web import create_app


def create() -> Flask:
    """The application of this process, by GATEWAY_* settings."""
    settings = load_settings()
    log.configure(settings.log_level, settings.log_form)
    return create_app(build_gateway(settings))
