"""Brings the database to the tables that this version of the gateway uses.

Migrations (gateway/records/migrations) are numbered and go forward only.
"""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.errors import RecordsRefused
from gateway.records import (
    accounts,
    alarms,
    arrivals,
    audit,
    audit_patients,
    clients,
    codes,
    deliveries,
    dispatch,
    events,
    fingerprints,
    leases,
    notices,
    outside,
    persons,
    probes,
    reconciling,
    recovery,
    register,
    register_drafts,
    replays,
    rules,
    sessions,
    sharing,
    sightings,
    snapshots,
    studies,
)
from gateway.records.engine import Records

TABLES = (
    events.site_event,
    probes.site_probe,
    leases.lease,
    studies.study,
    studies.series,
    studies.patient_name,
    studies.word_of_name,
    studies.word_ending,
    studies.modality_set,
    studies.site_cursor,
    studies.study_deletion,
    alarms.alarm,
    notices.notice,
    persons.due,
    persons.person_link,
    persons.person_member,
    persons.person_decision,
    rules.rule_version,
    rules.rule_activation,
    accounts.account,
    accounts.account_post,
    accounts.wrong_try,
    recovery.recovery_code,
    outside.outside_account,
    sessions.login_session,
    clients.oauth_client,
    clients.oauth_redirect,
    codes.oauth_code,
    clients.signing_key,
    clients.withdrawn_token,
    audit.audit_entry,
    audit.audit_cursor,
    audit_patients.audit_patient,
    arrivals.arrival,
    arrivals.manifest,
    deliveries.delivery,
    deliveries.delivery_event,
    deliveries.delivery_instance,
    dispatch.destination_pace,
    reconciling.reconciliation,
    reconciling.reconciled,
    replays.rule_replay,
    sharing.share,
    sharing.link_session,
    snapshots.rollout_snapshot,
    snapshots.snapshot_order,
    register.facility_revision,
    register.unit_revision,
    register_drafts.register_draft,
    sightings.sender,
    sightings.sender_day,
    sightings.study_day,
    sightings.clock_day,
    sightings.seen_study,
    sightings.sighting,
    sightings.evidence_cursor,
    fingerprints.unit_fingerprint,
    fingerprints.ignored_sender,
)
SCRIPTS = "gateway.records:migrations"
ONE_AT_A_TIME = 0x47415445  # key of PostgreSQL's advisory lock: "GATE"


def migrate(records: Records) -> bool:
    """Bring the tables up to date; any number of processes may call this at the same time.

    returns  whether there was anything to do
    raises   RecordsRefused if the database was written by a newer gateway
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    # SQLite: the transaction itself is the lock (BEGIN IMMEDIATE), and DDL is undone with it.
    with records.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
        current = MigrationContext.configure(connection).get_current_revision()
        if current == head:
            return False
        if current and current not in {script.revision for script in scripts.walk_revisions()}:
            raise RecordsRefused(f"the database is of a newer gateway (migration {current})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True


def known_migrations() -> list[str]:
    """The migrations that this version of the gateway can make, the oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    return config
