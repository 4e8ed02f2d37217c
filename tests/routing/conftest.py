"""A site's index as the follower writes it; see tests/index/conftest.py."""

from tests.index.conftest import follow, postgres, postgres_url, records

__all__ = ["follow", "postgres", "postgres_url", "records"]
