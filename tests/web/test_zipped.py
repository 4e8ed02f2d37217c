"""Names in a zip: readable, each its own, the same each time, and never a path of their own."""

from gateway.web.opening import Target
from gateway.web.zipped import name_entries
from tests.fakes import a_row


def names(*found: tuple[dict[str, object], list[dict[str, object]]]) -> list[str]:
    rows = [(a_row(**series), [a_row(**row) for row in instances]) for series, instances in found]
    return [entry.name for entry in name_entries(rows, Target("1.2"))]


def test_a_series_is_a_folder_and_an_instance_its_number() -> None:
    series = {
        "SeriesInstanceUID": "1.2.3",
        "SeriesNumber": 3,
        "Modality": "CT",
        "SeriesDescription": "Брюшная полость, 5 мм",
    }
    assert names((series, [{"SOPInstanceUID": "1.2.3.4", "InstanceNumber": 7}])) == [
        "003_CT_Брюшная_полость_5_мм/0007.dcm"
    ]


def test_what_has_no_number_of_its_own_is_named_by_its_uid() -> None:
    series = {"SeriesInstanceUID": "1.2.3", "SeriesNumber": 1, "Modality": "MR"}
    instances = [
        {"SOPInstanceUID": "1.1", "InstanceNumber": 1},
        {"SOPInstanceUID": "1.2", "InstanceNumber": 2},
        {"SOPInstanceUID": "1.3", "InstanceNumber": 2},
        {"SOPInstanceUID": "1.4"},
    ]
    assert names((series, instances)) == [
        f"001_MR/{name}.dcm" for name in ("0001", "1.2", "1.3", "1.4")
    ]


def test_two_series_that_look_alike_have_two_folders() -> None:
    one = {"SeriesNumber": 1, "Modality": "CT"}
    image = [{"SOPInstanceUID": "1.1", "InstanceNumber": 1}]
    found = names(
        ({"SeriesInstanceUID": "1.5", **one}, image), ({"SeriesInstanceUID": "1.6", **one}, image)
    )
    assert found == ["001_CT_1.5/0001.dcm", "001_CT_1.6/0001.dcm"]


def test_a_hostile_description_is_no_path() -> None:
    """H81"""
    series = {
        "SeriesInstanceUID": "1.2.3",
        "Modality": "../..",
        "SeriesDescription": "/../../etc/passwd\\..\\x" + "y" * 300,
    }
    (name,) = names((series, [{"SOPInstanceUID": "1.1", "InstanceNumber": 1}]))
    assert (name.count("/"), ".." in name, len(name) < 100) == (1, False, True)
