"""Brings the sample studies into the demo region's sites: made once, loaded where they are missing.

What the samples are is said in samples.py, how files travel in load.py; here is only whether.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import requests

from gateway.errors import DemoError
from gateway.model.sites import Site
from gateway.region_file import load_region

Say = Callable[[str], None]
Make = Callable[[Path, Say], None]
"""(folder, say): write the files of each site into folder/SITE_ID."""
Load = Callable[[Path, Site, Say], None]
"""(folder, site, say): store every file of the folder at the site."""

ASK_S = 10.0


def fill_sites(region_file: Path, samples: Path, say: Say, *, make: Make, load: Load) -> None:
    """Store at each site of the region those samples that are its own, unless they are there.

    raises  DemoError if a site does not answer; whatever `make` and `load` raise
    """
    region = load_region(region_file)
    make_once(samples, say, make)
    for site in region.sites:
        files = sum(1 for file in (samples / site.site_id).rglob("*.dcm") if file.is_file())
        if files > count_instances(site):
            load(samples / site.site_id, site, say)


def make_once(samples: Path, say: Say, make: Make) -> None:
    """Write the sample files if they are not complete yet; a broken try is thrown away."""
    complete = samples / ".complete"
    if complete.exists():
        return
    samples.mkdir(parents=True, exist_ok=True)
    for entry in samples.iterdir():  # the folder itself may be a mount point
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    make(samples, say)
    complete.touch()


def count_instances(site: Site) -> int:
    """How many instances an Orthanc holds. Raises DemoError if it does not say."""
    try:
        answer = requests.get(
            f"{site.url}/statistics", auth=(site.username, site.password), timeout=ASK_S
        )
        answer.raise_for_status()
        return int(answer.json()["CountInstances"])
    except (requests.RequestException, ValueError, KeyError) as error:
        raise DemoError(f"{site.site_id}: does not say what it holds ({error})") from error
