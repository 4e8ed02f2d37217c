"""The Python package dicomweb-client, an independent client, works against the gateway as it is."""

import io

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient

from tests.journeys.conftest import Region
from tests.studies import ROOT, a_study

pytestmark = pytest.mark.real


@pytest.fixture
def client(region: Region) -> DICOMwebClient:
    return DICOMwebClient(url=region.gateway.dicomweb)


def test_it_finds_every_study_by_paging(client: DICOMwebClient, region: Region) -> None:
    found = client.search_for_studies(get_remaining=True, limit=7, fields=["StudyDescription"])
    uids = [row["0020000D"]["Value"][0] for row in found]
    wanted = {i.study_uid for site in region.loaded.values() for i in site}
    assert (len(uids), wanted - set(uids)) == (len(set(uids)), set())


def test_it_searches_by_a_russian_name(client: DICOMwebClient) -> None:
    found = client.search_for_studies(search_filters={"PatientName": "Сидорова*"})
    assert [row["0020000D"]["Value"] for row in found] == [[f"{ROOT}.10"]]


def test_it_searches_series_and_instances(client: DICOMwebClient) -> None:
    series = client.search_for_series(study_instance_uid=f"{ROOT}.1")
    instances = client.search_for_instances(study_instance_uid=f"{ROOT}.1")
    assert (len(series), len(instances)) == (2, 3)


def test_it_retrieves_a_study_a_series_and_an_instance(
    client: DICOMwebClient, region: Region
) -> None:
    study = client.retrieve_study(f"{ROOT}.1")
    series = client.retrieve_series(f"{ROOT}.1", f"{ROOT}.1.2")
    instance = client.retrieve_instance(f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.2")
    pixels = {i.instance_uid: i.pixels for i in region.loaded["gkb1"]}
    found = [ds.PixelData == pixels[ds.SOPInstanceUID] for ds in (*study, *series, instance)]
    assert found == [True] * 5


def test_it_reads_metadata_and_bulk_data(client: DICOMwebClient, region: Region) -> None:
    rows = client.retrieve_series_metadata(f"{ROOT}.1", f"{ROOT}.1.2")
    bulk = client.retrieve_bulkdata(rows[0]["7FE00010"]["BulkDataURI"])
    assert bulk == [region.loaded["gkb1"][2].pixels]


@pytest.mark.parametrize("media_types", [None, (("application/octet-stream", "*"),)])
def test_it_reads_frames(
    client: DICOMwebClient, region: Region, media_types: tuple[tuple[str, str], ...] | None
) -> None:
    instance = next(i for i in region.loaded["zlat"] if i.study_uid == f"{ROOT}.20")
    frames = client.retrieve_instance_frames(
        instance.study_uid,
        instance.series_uid,
        instance.instance_uid,
        frame_numbers=[1, 5],
        media_types=media_types,
    )
    size = len(instance.pixels) // 5
    assert frames == [instance.pixels[:size], instance.pixels[4 * size :]]


def test_it_reads_a_rendering(client: DICOMwebClient) -> None:
    data = client.retrieve_instance_rendered(
        f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1", media_types=("image/png",)
    )
    assert data[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("big", [False, True], ids=["with a length", "chunked"])
def test_it_stores(empty_region: Region, big: bool) -> None:
    client = DICOMwebClient(
        url=empty_region.gateway.dicomweb, **({"chunk_size": 1000} if big else {})
    )
    study = a_study(200 + big, (2,))
    datasets = [pydicom.dcmread(io.BytesIO(i.data)) for i in study]
    answer = client.store_instances(datasets)
    assert (len(answer.ReferencedSOPSequence), "FailedSOPSequence" in answer) == (2, False)
    assert len(client.search_for_instances(study_instance_uid=study[0].study_uid)) == 2
