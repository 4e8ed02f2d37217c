"""Reads region.toml and the secrets that it names; follows changes of the file."""

import os
import tomllib
from pathlib import Path

from gateway.errors import SettingsError
from gateway.model.address_lists import with_address_lists
from gateway.model.destinations import with_destinations
from gateway.model.outside import with_posts
from gateway.model.reading_region import parse_region
from gateway.model.sites import Region


def load_region(path: Path) -> Region:
    """Read and check region.toml.

    raises  SettingsError; each mistake starts with the file's name
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError([f"{path}: there is no such file; name one with --region"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: cannot be read ({error})"]) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path}: is no TOML file: {error}"]) from error

    def read_secret(kind: str, reference: str) -> str:
        if kind == "env":
            value = os.environ.get(reference)
            if not value:
                raise LookupError(f"names the variable {reference}, which is not set")
            return value
        file = path.parent / reference
        try:
            secret = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise LookupError(f"names {reference}, which cannot be read") from None
        if not secret:
            raise LookupError(f"names {reference}, which is empty")
        return secret

    try:
        region = with_destinations(parse_region(document, read_secret), document, read_secret)
        return with_posts(with_address_lists(region, document, read_secret), document)
    except SettingsError as error:
        raise SettingsError([f"{path}: {line}" for line in error.mistakes]) from error


class RegionFile:
    """The region as the file says now; a broken edit keeps the last good one and says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._stamp = self._read_stamp()
        self._region = load_region(path)

    def _read_stamp(self) -> tuple[int, int, int]:
        try:
            stat = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    @property
    def region(self) -> Region:
        return self._region

    def refresh(self) -> bool:
        """Take a changed file. Returns whether the region is a new one."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._region = load_region(self.path)
        except SettingsError as error:
            self.problem = str(error)
            return False
        self.problem = ""
        return True
