from tests.records.conftest import database_url, postgres_url, records

__all__ = ["database_url", "postgres_url", "records"]
