"""The process in which pixels are decoded and documents are parsed: one job after another.

Decoders hold Python's interpreter lock for seconds and are the part that hostile files attack, so
they run here: without secrets, without a network, with a limit of memory, and killed when late.
Requests come and answers go by the socket that is standard input; see workers.py for the frame.
"""

import json
import logging
import os
import resource
import socket
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from gateway.dicom.documents import read_document
from gateway.dicom.rendering import render
from gateway.dicom.transcode import (
    CannotDecode,
    native_frame,
    read_file,
    to_explicit_little_endian,
    with_one_frame,
)
from gateway.dicom.view_query import OutOfPicture, view_of
from gateway.pixels.workers import ANSWER, HEAD

MEMORY_LIMIT = 3 * 2**30
NICENESS = 5  # bytes that only pass go first


def instance(_options: dict[str, Any], file: bytes) -> bytes:
    return to_explicit_little_endian(file)


def frame(options: dict[str, Any], file: bytes, stored: bytes | None = None) -> bytes:
    """One frame of a whole file, or the only one that was given beside the header."""
    if stored is not None:
        return native_frame(with_one_frame(file, stored), 1)
    return native_frame(read_file(file), options["number"])


def picture(options: dict[str, Any], file: bytes, stored: bytes | None = None) -> bytes:
    number = options["number"]
    image = read_file(file) if stored is None else with_one_frame(file, stored)
    place = number if stored is None else 1
    view, mark = view_of(options["view"]), options["mark"]
    return render(image, options["media_type"], view, number, place, mark)


def document(_options: dict[str, Any], file: bytes) -> bytes:
    return read_document(read_file(file))


JOBS: dict[str, Callable[..., bytes]] = {
    job.__name__: job for job in (instance, frame, picture, document)
}


def main() -> None:
    """Work until the parent closes its end."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    logging.disable()  # pydicom would write down what it reads
    warnings.simplefilter("ignore")
    with socket.socket(fileno=0) as parent, parent.makefile("rwb") as stream:
        while head := stream.read(HEAD.size):
            asked = json.loads(stream.read(HEAD.unpack(head)[0]))
            kind, answer = _done(asked, [stream.read(size) for size in asked["sizes"]])
            stream.write(ANSWER.pack(kind, len(answer)))
            stream.write(answer)
            stream.flush()


def _done(asked: dict[str, Any], parts: Sequence[bytes]) -> tuple[bytes, bytes]:
    try:
        return b"done", JOBS[asked["job"]](asked["options"], *parts)
    except OutOfPicture:
        return b"view", b""
    except LookupError:
        return b"none", b""
    except CannotDecode as error:
        return b"deny", str(error).encode()


if __name__ == "__main__":
    main()
