"""Which modality unit images come from: what the images say of their sender, and what the register
says of its units. Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sender:
    """What a series says of the machine that made it; texts as they stand there, "" where absent.

    manufacturer  (0008,0070), model (0008,1090), serial (0018,1000), station (0008,1010),
    institution   (0008,0080)
    site_id       the site at which its images arrived
    """

    site_id: str
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    station: str = ""
    institution: str = ""


@dataclass(frozen=True)
class Fingerprint:
    """What images of a unit say; "" where anything fits. One that is empty everywhere fits nothing.

    unit_id  one unit may have several, one for each way its images have looked
    """

    fingerprint_id: str
    unit_id: str
    site_id: str = ""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    station: str = ""
    institution: str = ""
