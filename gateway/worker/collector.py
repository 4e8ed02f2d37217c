"""Hands lines of the audit to their collector by syslog over TLS (RFC 5425, PS3.15 A.6).

Syslog has no word for "taken": what was sent may lie in a buffer when a connection breaks. So each
batch is a connection of its own, and it counts once the collector, having read to our end of it,
has ended it in its turn. Anything else means that the batch is sent again; lines keep their
sequenceId.
"""

import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.clock import Deadline
from gateway.errors import CollectorUnavailable
from gateway.settings import HOST_AND_PORT, Settings

CONNECT_S = 10.0
STALL_S = 30.0
"""Longest wait for the collector to take one line, or to end the connection."""

CLOSE_WAIT = 8
"""State of a TCP connection whose other end was closed in order (linux/tcp_states.h)."""


@dataclass(frozen=True)
class Collector:
    """certificate_file  of ours, with its key; "": the collector asks for none"""

    host: str
    port: int
    ca_file: str = ""
    certificate_file: str = ""


def collector_of(settings: Settings) -> Collector | None:
    """None if the audit stays here."""
    found = HOST_AND_PORT.fullmatch(settings.audit_syslog)
    if found is None:
        return None
    return Collector(
        found["host"].strip("[]"),
        int(found["port"]),
        settings.audit_syslog_ca_file,
        settings.audit_syslog_certificate_file,
    )


def deliver(collector: Collector, frames: Sequence[bytes]) -> None:
    """Send these and wait until the collector has read all of them.

    raises  CollectorUnavailable; then some of them may have come, and all must be sent again
    """
    try:
        context = ssl.create_default_context(cafile=collector.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if collector.certificate_file:
            context.load_cert_chain(collector.certificate_file)
        place = (collector.host, collector.port)
        with socket.create_connection(place, timeout=CONNECT_S) as plain:
            plain.settimeout(STALL_S)
            with context.wrap_socket(plain, server_hostname=collector.host) as line:
                for frame in frames:
                    line.sendall(frame)
                _end(line)
    except ssl.SSLCertVerificationError as error:
        raise CollectorUnavailable("certificate", error.verify_message) from error
    except TimeoutError as error:
        raise CollectorUnavailable("slow") from error
    except (OSError, ValueError) as error:
        raise CollectorUnavailable("broken", type(error).__name__) from error


def _end(line: ssl.SSLSocket) -> None:
    """Say that this is all, and wait for the collector to say so too (RFC 5425 4.4: it must).

    One that ended before it had read to our word resets the connection when it closes it. rsyslog
    reads to our word and hangs up without one of its own (measured, 8.2302): then the kernels tell
    whether it had read all of it.
    """
    try:
        plain = line.unwrap()
    except ssl.SSLEOFError:
        if not _all_was_read(line):
            raise
        return
    with suppress(TimeoutError), plain:  # it has said it, and only keeps the connection
        plain.recv(1)


def _all_was_read(line: ssl.SSLSocket) -> bool:
    """Whether the other side closed its end behind our last byte.

    What lies unread in a connection that is closed, or comes to it later, is answered by a reset:
    so all of it is acknowledged, and there was none.
    """
    deadline = Deadline(STALL_S)
    while not deadline.passed:
        (waiting,) = struct.unpack("i", fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)))
        if line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != CLOSE_WAIT:
            return False
        if not waiting:  # asked before the state: a reset empties the queue, too
            return True
        time.sleep(0.02)
    return False
