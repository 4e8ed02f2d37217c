import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from gateway.errors import RecordsRefused
from gateway.records import schema
from gateway.records.engine import metadata, open_records
from gateway.records.schema import migrate
from tests.forked import FORKS


def test_migrations_lead_to_the_tables_of_the_models(records):
    with records.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = compare_metadata(context, metadata)
        names = set(sa.inspect(connection).get_table_names())
    assert differences == []
    assert names == {table.name for table in schema.TABLES} | {"alembic_version"}


def test_migrations_lead_to_the_indexes_of_the_models(tmp_path):
    """Letter by letter: SQLite uses a partial index only for a search in the same words."""

    def written(records):
        question = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''")
        with records.read() as connection:
            return {row.name: row.sql for row in connection.execute(question)}

    migrated = open_records(f"sqlite:///{tmp_path / 'migrated.db'}")
    migrate(migrated)
    created = open_records(f"sqlite:///{tmp_path / 'created.db'}")
    metadata.create_all(created.engine)
    assert written(migrated) == written(created)
    migrated.close()
    created.close()


def test_second_migration_has_nothing_to_do(empty_database_url):
    records = open_records(empty_database_url)
    assert [migrate(records), migrate(records)] == [True, False]
    records.close()


def _migrate_elsewhere(url, start, done):
    records = open_records(url)
    start.wait()
    done.put(migrate(records))
    records.close()


def test_processes_that_start_at_once_migrate_once(empty_database_url):
    start, done = FORKS.Barrier(5), FORKS.Queue()
    processes = [
        FORKS.Process(target=_migrate_elsewhere, args=(empty_database_url, start, done))
        for _ in range(5)
    ]
    for process in processes:
        process.start()
    results = [done.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(results) == [False, False, False, False, True]


def test_database_of_a_newer_gateway_is_left_alone(records):
    with records.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RecordsRefused, match="newer gateway"):
        migrate(records)


def test_failed_migration_leaves_nothing_behind(empty_database_url, monkeypatch):
    records = open_records(empty_database_url)

    def fail_at_the_end(*_args):
        command_upgrade(*_args)
        raise RuntimeError("power cut")

    command_upgrade = schema.command.upgrade
    monkeypatch.setattr(schema.command, "upgrade", fail_at_the_end)
    with pytest.raises(RuntimeError):
        migrate(records)
    with records.read() as connection:
        assert sa.inspect(connection).get_table_names() == []
    records.close()
