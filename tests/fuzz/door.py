"""A gateway in this process, and what every answer of it keeps to, whatever was asked."""

import time
from dataclasses import dataclass

from flask import Flask
from werkzeug.test import TestResponse

CPU_S = 2.0
"""Of one request (trust.md 3)."""
NEVER = ("Traceback", "gateway/", "site-packages", "sqlalchemy", "werkzeug")
"""Words of the inside that no answer says."""


@dataclass
class Door:
    """Sends requests as the local operator, so that nothing is refused for want of a right."""

    app: Flask
    base_url: str = "http://localhost"

    def ask(self, method: str, path: str, **kwargs: object) -> TestResponse:
        """The answer; it is no fault of the gateway and did not take long. 503 is the truth where
        a site that may hold the thing does not answer.

        raises  AssertionError
        """
        answer, took_s = self._timed(method, path, **kwargs)
        if took_s > CPU_S:  # the generator's own garbage may have been collected just then
            answer, took_s = self._timed(method, path, **kwargs)
        assert took_s <= CPU_S
        body = answer.get_data()
        assert answer.status_code < 500 or answer.status_code == 503, body[:500]
        if answer.status_code >= 400 and answer.status_code != 412 and body:
            told = body.decode()
            assert answer.content_type.partition(";")[0] in (
                "application/problem+json", "application/dicom+json", "application/dicom+xml",
                "application/json", "text/html",
            ), answer.content_type  # fmt: skip
            assert not any(word in told for word in NEVER), told[:500]
            if answer.content_type == "application/problem+json":
                assert answer.get_json()["status"] == answer.status_code
                assert len(told) < 2000
        return answer

    def _timed(self, method: str, path: str, **kwargs: object) -> tuple[TestResponse, float]:
        """The whole answer, and the processor seconds that it took."""
        began_s = time.thread_time()
        answer = self.app.test_client().open(path, self.base_url, method=method, **kwargs)
        answer.get_data()
        answer.close()
        return answer, time.thread_time() - began_s
