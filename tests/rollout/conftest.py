from tests.records.conftest import database_url, records

__all__ = ["database_url", "records"]
