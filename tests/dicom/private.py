"""Real files as other programs write their private elements: without a VR, or by UN."""

import io
import struct

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian


def in_implicit_vr(file: bytes, **changed: str) -> bytes:
    """The same file by Implicit VR Little Endian (PS3.5 A.1)."""
    dataset = pydicom.dcmread(io.BytesIO(file))
    for keyword, value in changed.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return out.getvalue()


def with_unknown_sequence(file: bytes) -> bytes:
    """An explicit file with (0009,1199), which a transfer by implicit VR has made an UN of
    undefined length (PS3.5 6.2.2 note 5), before its group 0010."""
    at = file.index(b"\x10\x00\x10\x00PN")
    body = DicomBytesIO()
    body.is_implicit_VR, body.is_little_endian = True, True
    inner, item = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    item.ReferencedSOPSequence = Sequence([inner])
    item.add_new(0x00090010, "LO", "MAKER")
    item.add_new(0x00091001, "UN", b"a maker's own ")
    write_dataset(body, item)
    start, end = (
        struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF),
        struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0),
    )
    head = struct.pack("<HH2sHI", 0x0009, 0x1199, b"UN", 0, 0xFFFFFFFF)
    return file[:at] + head + start + body.getvalue() + end + file[at:]
