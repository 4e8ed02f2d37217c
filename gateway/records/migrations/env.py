"""Alembic comes here from records/schema.py, which brings the connection and holds the lock."""

from alembic import context

from gateway.records.engine import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction spans all steps
)
context.run_migrations()
