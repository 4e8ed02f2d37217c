"""Structured logs: one line per event, facts as fields, never patient data.

`log.info("delivery verified", site="north", study_uid=...)`. JSON for machines by default in
containers, readable lines on a terminal. Control characters are escaped, values cut at 1 KB. A UID
leads to a patient for whoever may ask a PACS, so it stands there under another name (trust.md H70);
`gateway log-name` tells which.
"""

import hashlib
import hmac
import json
import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import structlog

FIELD_LIMIT = 1024
EXCEPTION_LIMIT = 16 * 1024
"""Of a traceback; its end says what went wrong."""
UID = re.compile(r"(?<![0-9.])(?:2\.25\.[0-9]{20,}|[0-2](?:\.[0-9]+){6,})(?![0-9])", re.ASCII)
"""What is no address and no version, but the UID of something at a hospital."""
Event = MutableMapping[str, Any]


class Names:
    """What UIDs are called in the log: the same as long as the key file is."""

    def __init__(self, key_file: Path | None) -> None:
        told = b""
        if key_file is not None and key_file.is_file():
            told = key_file.read_bytes()
        self._key = hashlib.sha256(b"names of UIDs in logs " + told).digest()

    def of(self, uid: str) -> str:
        return "uid-" + hmac.new(self._key, uid.encode(), hashlib.sha256).hexdigest()[:16]

    def hide(self, _logger: object, _method: str, event: Event) -> Event:
        """A structlog processor: no UID is left in any text."""
        for key, value in event.items():
            event[key] = self._hidden(value)
        return event

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return UID.sub(lambda found: self.of(found.group()), value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._hidden(one) for one in value]
        if isinstance(value, dict):
            return {key: self._hidden(one) for key, one in value.items()}
        return value


REQUEST: ContextVar[str] = ContextVar("request", default="")
"""Id of the request or job that is worked on: in every line of the log, in the audit, and sent to
the sites that are asked for it (X-Request-Id). 16 hexadecimal digits, or empty."""


def _name_request(_logger: object, _method: str, event: Event) -> Event:
    if request := REQUEST.get():
        event.setdefault("request", request)
    return event


def _shorten(_logger: object, _method: str, event: Event) -> Event:
    """Cut every text at FIELD_LIMIT and escape control characters, so that nobody's words begin a
    line of their own (trust.md H68). A traceback keeps its lines, each set in.
    """
    for key, value in event.items():
        if key == "exception" and isinstance(value, str):
            lines = value[-EXCEPTION_LIMIT:].split("\n")
            event[key] = "\n".join(f"  {_visible(line)}" for line in lines)
        else:
            event[key] = _short(value)
    return event


def _short(value: Any) -> Any:
    if isinstance(value, str):
        safe = _visible(value[:FIELD_LIMIT])
        return safe if len(value) <= FIELD_LIMIT else safe + "…"
    if isinstance(value, list | tuple | set | frozenset):
        return [_short(one) for one in value]
    if isinstance(value, dict):
        return {_short(key): _short(one) for key, one in value.items()}
    return value


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def configure(level: str, form: str, key_file: Path | None = None) -> None:
    """Set up logging for this process.

    level     a name of the standard library, like "INFO"
    form      "text" for people, "json" for machines
    key_file  of the gateway (`gateway init`): without it the names of UIDs can be guessed
    """
    renderer: Any
    if form == "json":
        renderer = structlog.processors.JSONRenderer(
            serializer=lambda event, **_: json.dumps(event, ensure_ascii=False, default=str)
        )
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=32)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _name_request,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            Names(key_file).hide,
            _shorten,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for noisy in ("httpx", "httpcore", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


log: structlog.typing.FilteringBoundLogger = structlog.get_logger("gateway")
