# SPDX-License-Identifier: GPL-3.0-or-later
#
# gateway_bell - an Orthanc plugin of the Regional Imaging Gateway
#
# This program is free software: you can redistribute it and/or modify it under the terms of the
# GNU General Public License as published by the Free Software Foundation, either version 3 of the
# License, or (at your option) any later version. It is distributed in the hope that it will be
# useful, but WITHOUT ANY WARRANTY; without even the implied warranty of MERCHANTABILITY or FITNESS
# FOR A PARTICULAR PURPOSE. See <https://www.gnu.org/licenses/>.
#
# It runs inside Orthanc, which is under the same licence. It shares no code with the gateway: the
# two talk by the signed message below.
"""Tells the gateway that images have arrived, so that it need not wait for its next look.

It only rings: the gateway reads `/changes` anyway, so an event that is lost costs seconds. Orthanc
is never held up: its callback puts a few words into a bounded queue, and a thread of our own sends
them. No patient data leaves here: UIDs and Orthanc's own ids only.

Orthanc's configuration (or the variables GATEWAY_BELL_URL, _SITE, _KEY_FILE, _CA_FILE):

    "PythonScript": "/etc/orthanc/gateway_bell.py",
    "GatewayBell": {
      "Url": "https://images.region.example/events",
      "Site": "gkb1",
      "KeyFile": "/etc/orthanc/gateway.key"
    }

KeyFile holds the same text as `event_key_file` of this site in the gateway's region.toml. CaFile is
needed only when the gateway's certificate is of an authority that this machine does not know.

Signature: HMAC-SHA256 with the key over `timestamp + "." + body`, see gateway/model/events.py.
Works with Orthanc 1.10.1 and later on Python 3.11 and later; standard library only.
"""

import collections
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orthanc

VERSION = "1.0"
QUEUE_LIMIT = 2000  # waiting changes; a full queue drops the oldest
GATHER_S = 0.5  # instances of one study within this time are one event
LOOKUPS_LIMIT = 50  # parents asked for in one round, so that a burst does not load the database
TIMEOUT_S = 3.0
TRIES = 2
STOP_S = 1.0
HEARD = 202
KEY_LENGTH = 16


def main() -> None:
    """Read the configuration and start to listen; without one, only say so."""
    options = read_options(json.loads(orthanc.GetConfiguration()), os.environ)
    if not options:
        orthanc.LogWarning(f"gateway_bell {VERSION}: off, no GatewayBell is configured")
        return
    try:
        bell = Bell(**options)
    except (OSError, ValueError) as error:
        orthanc.LogError(f"gateway_bell {VERSION}: off, {error}")
        return
    orthanc.RegisterOnChangeCallback(bell.on_change)
    orthanc.LogWarning(
        f"gateway_bell {VERSION}: rings {options['url']} for the site {options['site']}"
    )


def read_options(configuration: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Url, Site, KeyFile and CaFile; Orthanc's configuration wins. Empty if there is no Url."""
    section = configuration.get("GatewayBell", {})
    names = {"url": "Url", "site": "Site", "key_file": "KeyFile", "ca_file": "CaFile"}
    options = {
        name: section.get(key) or environ.get("GATEWAY_BELL_" + name.upper(), "")
        for name, key in names.items()
    }
    return options if options["url"] else {}


class Bell:
    """Takes changes from Orthanc's threads and rings from its own."""

    def __init__(self, url: str, site: str, key_file: str, ca_file: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("GatewayBell.Url must look like https://images.region.example/events")
        if not site or not key_file:
            raise ValueError("GatewayBell needs Site and KeyFile")
        with open(key_file, encoding="utf-8") as file:
            self._key = file.read().strip().encode("utf-8")
        if len(self._key) < KEY_LENGTH:
            raise ValueError(f"the key in KeyFile must have at least {KEY_LENGTH} letters")
        self._parts = parts
        self._site = site
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=ca_file or None)
        self._queue: collections.deque[tuple[str, str, str]] = collections.deque(maxlen=QUEUE_LIMIT)
        self._dropped = 0  # by a full queue, or because nobody answered
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._silent = False
        self._connection: http.client.HTTPConnection | None = None
        self._orthanc_version = ""
        self._thread = threading.Thread(target=self._run, name="gateway_bell", daemon=True)

    def on_change(self, change_type: int, _level: int, resource_id: str) -> None:
        """Orthanc calls this for every change and waits for it: only take note, never wait."""
        if change_type == orthanc.ChangeType.NEW_INSTANCE:
            self._put("NewInstance", resource_id)
        elif change_type == orthanc.ChangeType.STABLE_STUDY:
            self._put("StableStudy", resource_id)
        elif change_type == orthanc.ChangeType.ORTHANC_STARTED:
            self._put("Started", "")
            self._thread.start()
        elif change_type == orthanc.ChangeType.ORTHANC_STOPPED:
            self.stop()

    def _put(self, event: str, resource_id: str) -> None:
        if len(self._queue) == QUEUE_LIMIT:
            self._dropped += 1
        self._queue.append((event, resource_id, utc_now()))
        self._wake.set()

    def stop(self) -> None:
        """End the thread; what waits has STOP_S to go out."""
        self._stopping.set()
        self._wake.set()
        if not self._thread.is_alive():
            return
        self._thread.join(STOP_S)
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._stopping.wait(GATHER_S)  # more instances of the same study follow
            self._wake.clear()
            try:
                self._ring_all()
            except Exception as error:  # noqa: BLE001 - a door: the thread lives as long as Orthanc
                orthanc.LogError(f"gateway_bell: {type(error).__name__}: {error}")
            if self._stopping.is_set():
                return

    def _ring_all(self) -> None:
        events = self._gather([self._queue.popleft() for _ in range(len(self._queue))])
        for n, event in enumerate(events):
            problem = self._ring(event)
            if problem:
                # Nobody is there: what remains would only hold up the next round.
                self._unheard(problem, lost=len(events) - n)
                return
        if events:
            self._heard()

    def _gather(self, waiting: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
        """Turn changes into events: new instances of one study are one event with their count."""
        events: dict[tuple[str, str], dict[str, Any]] = {}
        lookups = 0
        for name, resource_id, at in waiting:
            study_id, study_uid = "", ""
            if name == "StableStudy":
                study_id, study_uid = find_study("/studies/" + resource_id)
            elif name == "NewInstance" and lookups < LOOKUPS_LIMIT:
                lookups += 1
                study_id, study_uid = find_study("/instances/" + resource_id + "/study")
            # Those that were not looked up ring together, as instances of no named study.
            event = events.setdefault(
                (name, study_id),
                {"event": name, "orthanc_id": resource_id, "count": 0, "at": at},
            )
            event["count"] += 1
            if study_uid:
                event["study_uid"] = study_uid
        return list(events.values())

    def _ring(self, event: dict[str, Any]) -> str:
        """Send one event, twice at most. Returns why it was not heard, or ""."""
        body = json.dumps({**self._sender(), **event}).encode("utf-8")
        problem = ""
        for _ in range(TRIES):
            try:
                status = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                problem = type(error).__name__
            else:
                if status == HEARD:
                    return ""
                problem = f"HTTP {status}"
                if 400 <= status < 500:
                    break  # the same words would be refused again
            if self._stopping.is_set():
                break
        return problem

    def _sender(self) -> dict[str, Any]:
        if not self._orthanc_version:
            self._orthanc_version = json.loads(orthanc.RestApiGet("/system"))["Version"]
        return {
            "version": 1,
            "site": self._site,
            "plugin": VERSION,
            "orthanc": self._orthanc_version,
        }

    def _post(self, body: bytes) -> int:
        timestamp = str(int(time.time()))
        mac = hmac.new(self._key, timestamp.encode("ascii") + b"." + body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "Connection": "close",
            "X-Gateway-Site": self._site,
            "X-Gateway-Timestamp": timestamp,
            "X-Gateway-Signature": "v1=" + mac.hexdigest(),
        }
        # http.client knows neither proxies of the environment nor redirects.
        connection = self._connect()
        try:
            connection.request("POST", self._parts.path or "/", body, headers)
            return connection.getresponse().status
        finally:
            self._connection = None
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        else:
            self._connection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=self._tls
            )
        return self._connection

    def _heard(self) -> None:
        if self._silent or self._dropped:
            orthanc.LogWarning(f"gateway_bell: heard again, {self._dropped} events lost")
        self._silent = False
        self._dropped = 0

    def _unheard(self, problem: str, lost: int) -> None:
        self._dropped += lost
        if not self._silent:
            orthanc.LogWarning(
                f"gateway_bell: not heard ({problem}); the gateway will find the images by itself"
            )
        self._silent = True


def find_study(path: str) -> tuple[str, str]:
    """(Orthanc's id, StudyInstanceUID) of the study at a path, empty if it is already gone."""
    try:
        study = json.loads(orthanc.RestApiGet(path))
        return study["ID"], study["MainDicomTags"].get("StudyInstanceUID", "")
    except (orthanc.OrthancException, ValueError, KeyError):
        return "", ""


def utc_now() -> str:
    """Now, as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat()


main()
