"""A database that somebody holds locked: whoever reads goes on, whoever writes is told to wait."""

import sqlite3
from contextlib import closing

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from gateway.bootstrap import build_gateway
from gateway.errors import RecordsUnavailable
from gateway.records import engine
from gateway.records.delivery_desk import Filter, list_deliveries
from gateway.settings import Settings
from gateway.web import create_app
from tests.arrived import NOW, plan, touch
from tests.web.forms import with_token
from tests.web.test_console import OURS, REGION, UID


@pytest.fixture
def gateway(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_S", 0.2)
    (tmp_path / "region.toml").write_text(REGION, encoding="utf-8")
    gateway = build_gateway(
        Settings(
            region=tmp_path / "region.toml", state_dir=tmp_path, redis_url="redis://127.0.0.1:1/0"
        )
    )
    touch(gateway.records, UID, 3, NOW)
    plan(gateway.records, UID, NOW)
    yield gateway
    gateway.pool.shutdown()
    gateway.records.close()


def test_a_locked_database_is_503_with_retry_after_and_never_500(gateway):
    """F38"""
    client = with_token(create_app(gateway).test_client())
    (one,) = list_deliveries(gateway.records, Filter())
    path, data = f"/console/deliveries/{one.delivery_id}/act", {"act": "exclude", "reason": "x"}
    file = gateway.records.engine.url.database
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = client.post(path, data=data, headers=OURS)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/console/deliveries").status_code == 200, "who only reads is served"
        other.execute("ROLLBACK")
    assert list_deliveries(gateway.records, Filter())[0].state == "planned"
    assert client.post(path, data=data, headers=OURS).status_code == 303
    assert list_deliveries(gateway.records, Filter())[0].state == "excluded"


@pytest.mark.parametrize(
    "trouble", [psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected]
)
def test_a_transaction_that_another_one_undid_may_be_tried_again(gateway, trouble):
    with pytest.raises(RecordsUnavailable), gateway.records.write():
        raise OperationalError("UPDATE", None, trouble("canceled"))
    assert RecordsUnavailable.transient
