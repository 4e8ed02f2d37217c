"""Identifies a DICOM file (PS3.10) from its first bytes, without pixels and without pydicom, and
tells while it passes whether its elements end where the file ends.

A store request is forwarded while it is read, so the UIDs must be known from a bounded prefix of
each part. pydicom parses truncated and hostile prefixes silently or with any exception it likes
(routing.md E25-E27); this walk over the top level knows three outcomes only: identified, more
bytes needed, not understood.
"""

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.charset import convert_encodings, decode_bytes

from gateway.dicom.attributes import Dataset, make
from gateway.dicom.names import repair
from gateway.dicom.uids import is_uid

EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
# The default, Papyrus 3, and a maker's own whose pixels alone are big-endian.
IMPLICIT = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.20", "1.2.840.113619.5.2"})
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1"})
LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
BINARY_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"})
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
HEADS = {
    order: tuple(struct.Struct(order + form) for form in ("HH", "HH2sH", "I")) for order in "<>"
}
"""Of an element: its tag; tag, VR and short length; a long length (PS3.5 7.1)."""
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DEPTH_LIMIT = 32  # trust.md H75
SOP_CLASS, INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
SAMPLES, FRAMES, ROWS, COLUMNS = 0x00280002, 0x00280008, 0x00280010, 0x00280011
REPRESENTATIVE = 0x00286010
ABOUT_PIXELS = frozenset({SOP_CLASS, SAMPLES, FRAMES, ROWS, COLUMNS, REPRESENTATIVE})
WANTED = (SOP_CLASS, INSTANCE, STUDY, SERIES)
CHARSET, PATIENT_ID = 0x00080005, 0x00100020
OF_PATIENT = {
    0x00100010: "PatientName",
    0x00100020: "PatientID",
    0x00100021: "IssuerOfPatientID",
    0x00100030: "PatientBirthDate",
    0x00100040: "PatientSex",
    0x00101000: "OtherPatientIDs",
}
LONGEST_OF_PATIENT = 1024
SAID_ONCE = frozenset({*WANTED, 0x00100010, 0x00100020, 0x00100021, 0x00100030})
"""What tells whose an instance is. Of two, Orthanc believes the first and others the last, wherever
they stand (measured): one file would be of two studies or two patients."""
ESCAPE, UNREAD = b"\x1b", "\ufffd"
PREAMBLE = bytes(128)
MARK = b"DICM"


class MoreBytesNeeded(Exception):
    """The prefix ends before the UIDs; a longer one may do."""


class NotUnderstood(Exception):
    """The bytes are no DICOM file that can be identified; `uids` holds what was read."""

    def __init__(self, problem: str, identity: "Identity | None" = None) -> None:
        super().__init__(problem)
        self.identity = identity


Whose = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Identity:
    """Who an instance says that it is; an absent or invalid UID is "".

    patient   for patient_of: tags of the patient and of the character set, with their bytes
    known_to  how far the elements were walked: there the next one of the top level begins
    dataset_at  where the data set begins
    """

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    transfer_syntax: str = ""
    patient: Whose = field(default=(), repr=False)
    known_to: int = 0
    dataset_at: int = 0


def with_preamble(prefix: bytes) -> bytes:
    """The first bytes of a file with the preamble and mark that some devices leave out.

    Both are constant (PS3.10 7.1), and Orthanc would store such a file so that no viewer takes it.
    A bare data set is left as it is: its transfer syntax could only be guessed.
    """
    if prefix[:4] == MARK and prefix[4:6] == b"\x02\x00":
        return PREAMBLE + prefix
    if prefix[:6] == b"\x02\x00\x00\x00UL" and prefix[128:132] != MARK:
        return PREAMBLE + MARK + prefix
    return prefix


def begins_as_program(prefix: bytes) -> bool:
    """Whether the first bytes are those of a program of Windows or Linux: PS3.10 7.1 lets anything
    stand in a preamble, also what runs (trust.md H73).
    """
    return prefix.startswith((b"MZ", b"\x7fELF"))


def identify(prefix: bytes, *, whole: bool) -> Identity:
    """Read the UIDs from the first bytes of a file.

    whole   the prefix is all there is
    raises  MoreBytesNeeded (never if whole), NotUnderstood
    """
    try:
        return _identify(prefix)
    except (struct.error, IndexError):
        if whole:
            raise NotUnderstood("the file ends inside its header") from None
        raise MoreBytesNeeded from None


def dataset_start(prefix: bytes) -> int:
    """Where the data set begins; 0 if it cannot be told from these bytes."""
    try:
        return _file_meta(prefix)[1] if prefix[128:132] == MARK else 0
    except (struct.error, IndexError, NotUnderstood):
        return 0


def _identify(data: bytes) -> Identity:
    if len(data) < 132:
        raise IndexError
    if data[128:132] != MARK:
        raise NotUnderstood("no DICM mark at byte 128 (PS3.10 7.1)")
    syntax, at = _file_meta(data)
    dataset_at = at
    if syntax in DEFLATED:
        raise NotUnderstood("deflated files are not taken", Identity(transfer_syntax=syntax))
    walk = _Walk(data, order=_order(syntax), explicit=syntax not in IMPLICIT)
    found: dict[int, str] = {}
    patient: dict[int, bytes] = {}
    while at < len(data):
        tag, length, start = walk.element(at)
        if tag > SERIES:
            break
        if tag in SAID_ONCE and (tag in found or tag in patient):
            raise NotUnderstood("says twice whose it is")
        if tag in WANTED:
            if length > 256:
                raise NotUnderstood("a UID is longer than a UID can be")
            if start + length > len(data):
                raise IndexError
            value = data[start : start + length].rstrip(b"\0 ").decode("latin-1")
            found[tag] = value if is_uid(value) else ""
        elif tag in OF_PATIENT or tag == CHARSET:
            if tag == PATIENT_ID and walk.is_binary(at):
                raise NotUnderstood("the patient's identifier is no text")  # no Orthanc takes it
            end = start + min(length, LONGEST_OF_PATIENT)
            if end > len(data):
                raise IndexError
            patient[tag] = data[start:end].strip(b"\0 ")
        at = walk.skip(at, start, length, 0)
    else:
        if at > len(data) or SERIES not in found:
            raise IndexError
    sop_class, instance, study, series = (found.get(tag, "") for tag in WANTED)
    whose = tuple(patient.items())
    identity = Identity(sop_class, instance, study, series, syntax, whose, at, dataset_at)
    if not all(found.get(tag) for tag in WANTED):
        raise NotUnderstood("a SOP class, SOP instance, study or series UID is missing", identity)
    return identity


def patient_of(identity: Identity) -> Dataset:
    """DICOM JSON of whose it is, as the index has it: to be compared, not to be shown. A character
    set that is wrong or unknown costs letters, no more.
    """
    raw = dict(identity.patient)
    charset = raw.pop(CHARSET, b"").decode("latin-1").split("\\")
    record: Dataset = {}
    for tag, value in raw.items():
        if value:
            keyword = OF_PATIENT[tag]
            plain = value.isascii() and ESCAPE not in value
            text = value.decode("ascii") if plain else decoded(value, charset)
            text = text or value.decode("latin-1")  # `repair` knows what it was
            values = text.split("\\") if keyword == "OtherPatientIDs" else [text]
            record[f"{tag:08X}"] = make(keyword, *values)
    return repair(record)


def decoded(value: bytes, charset: Sequence[str]) -> str:
    """A text in the character set that its file names (PS3.5 6.1); "" where it cannot be read in
    it, or none is named."""
    if list(charset) in ([""], ["ISO_IR 6"]):
        return ""
    with warnings.catch_warnings():  # pydicom warns of what it then reads as well as it can
        warnings.simplefilter("ignore")
        try:
            text = str(decode_bytes(value, convert_encodings(charset), {ord("^"), ord("=")}))
        except (LookupError, ValueError):
            return ""
    return "" if UNREAD in text else text


@dataclass(frozen=True)
class Glance:
    """What a header says of the pixels behind it.

    frames          0 if there are no pixels
    samples         of one frame: rows x columns x samples of each pixel
    representative  RepresentativeFrameNumber, 0 if it says none
    header_bytes    where the element with the pixels begins; all of the file if there is none
    """

    transfer_syntax: str
    sop_class_uid: str
    frames: int
    samples: int
    representative: int
    header_bytes: int


def glance(data: bytes, *, whole: bool) -> Glance:
    """Read over a header up to the pixels; cheap, however long it is.

    raises  MoreBytesNeeded (never if whole), NotUnderstood
    """
    values: dict[int, bytes] = {}
    syntax, order, at = "", "<", 0
    try:
        if data[128:132] != MARK:
            raise NotUnderstood("no DICM mark at byte 128 (PS3.10 7.1)")
        syntax, at = _file_meta(data)
        if syntax in DEFLATED:
            raise NotUnderstood("deflated files are not taken", Identity(transfer_syntax=syntax))
        order = _order(syntax)
        walk = _Walk(data, order, explicit=syntax not in IMPLICIT)
        while not whole or at < len(data):
            tag, length, start = walk.element(at)
            if tag in PIXELS:
                return _glance(syntax, order, values, at)
            if tag in ABOUT_PIXELS and length <= 64:
                values[tag] = data[start : start + length]
            at = walk.skip(at, start, length, 0)
    except (struct.error, IndexError):
        if not whole:
            raise MoreBytesNeeded from None
    return _glance(syntax, order, values, len(data))


def _glance(syntax: str, order: str, values: dict[int, bytes], header_bytes: int) -> Glance:
    def short(tag: int, absent: int) -> int:
        value = values.get(tag, b"")
        return int(struct.unpack(order + "H", value)[0]) if len(value) == 2 else absent

    def word(tag: int) -> str:
        return values.get(tag, b"").strip(b"\0 ").decode("latin-1")

    count = word(FRAMES)
    samples = short(ROWS, 0) * short(COLUMNS, 0) * short(SAMPLES, 1)
    has_pixels = ROWS in values and samples > 0
    return Glance(
        transfer_syntax=syntax,
        sop_class_uid=word(SOP_CLASS),
        frames=(int(count) if count.isdecimal() and int(count) else 1) if has_pixels else 0,
        samples=samples,
        representative=short(REPRESENTATIVE, 0),
        header_bytes=header_bytes,
    )


def _file_meta(data: bytes) -> tuple[str, int]:
    """Transfer syntax and the place where the data set begins (PS3.10 7.1)."""
    walk = _Walk(data, order="<", explicit=True)
    at, syntax = 132, ""
    while at + 4 <= len(data) and struct.unpack_from("<H", data, at)[0] == 2:
        tag, length, start = walk.element(at)
        if length == UNDEFINED or length > 1_000_000:
            raise NotUnderstood("the file meta information is broken")
        if start + length > len(data):
            raise IndexError
        if tag == 0x00020010:
            if syntax:
                raise NotUnderstood("the file meta information names two transfer syntaxes")
            syntax = data[start : start + length].rstrip(b"\0 ").decode("latin-1")
        at = start + length
    if at + 4 > len(data):
        raise IndexError
    if not is_uid(syntax):
        raise NotUnderstood("the transfer syntax is missing (0002,0010)")
    return syntax, at


def _order(syntax: str) -> str:
    return ">" if syntax == EXPLICIT_BIG_ENDIAN else "<"


class _Walk:
    """Steps over elements of one encoding (PS3.5 7.1, 7.5)."""

    def __init__(self, data: bytes, order: str, explicit: bool) -> None:
        self._data = data
        self._explicit = explicit
        self._tag, self._head, self._long = HEADS[order]

    def element(self, at: int) -> tuple[int, int, int]:
        """(tag, length, first byte of the value)."""
        group, number, vr, length = self._head.unpack_from(self._data, at)
        tag = group << 16 | number
        if not self._explicit or group == 0xFFFE:
            return tag, self._long.unpack_from(self._data, at + 4)[0], at + 8
        if vr in SHORT_VRS:
            return tag, length, at + 8
        # As DCMTK reads it, and so each Orthanc: a VR of a later edition has the long form (PS3.5
        # 7.1.2), and two other letters the short one.
        if vr in LONG_VRS or (vr.isalpha() and vr.isupper()):
            return tag, self._long.unpack_from(self._data, at + 8)[0], at + 12
        if not (vr.isascii() and vr.decode().isprintable()):
            raise NotUnderstood("an element has no value representation")
        return tag, length, at + 8

    def holds_items(self, at: int, start: int, length: int) -> bool:
        """Whether the value is a sequence's, by its VR or, where none is written, by its begin."""
        if length == UNDEFINED:
            return True
        if self._explicit:
            return self._data[at + 4 : at + 6] == b"SQ" and length > 0
        return length >= 8 and self.tag(start) == ITEM

    def tag(self, at: int) -> int:
        group, number = self._tag.unpack_from(self._data, at)
        return int(group << 16 | number)

    def is_binary(self, at: int) -> bool:
        return self._explicit and self._data[at + 4 : at + 6] in BINARY_VRS

    def is_unknown(self, at: int) -> bool:
        """Whether its VR is UN: within it no VR is written (PS3.5 6.2.2)."""
        return self._explicit and self._data[at + 4 : at + 6] == b"UN"

    def skip(self, at: int, start: int, length: int, depth: int) -> int:
        """The place after the value of the element at `at`; undefined lengths are walked item by
        item."""
        if length != UNDEFINED:
            return start + length
        if depth >= DEPTH_LIMIT:
            raise NotUnderstood(f"sequences are nested deeper than {DEPTH_LIMIT}")
        if self.is_unknown(at):
            # Makers' sequences that came by an implicit transfer: nobody knew their VRs.
            return _Walk(self._data, "<", explicit=False).skip(at, start, length, depth)
        at = start
        while True:
            tag, size, begin = self.element(at)
            if tag == SEQUENCE_END:
                return begin
            if tag != ITEM:
                raise NotUnderstood("a sequence of undefined length is broken")
            at = self._skip_item(begin, depth) if size == UNDEFINED else begin + size

    def _skip_item(self, at: int, depth: int) -> int:
        while True:
            tag, length, start = self.element(at)
            if tag == ITEM_END:
                return start
            at = self.skip(at, start, length, depth + 1)


@dataclass(slots=True)
class _Open:
    """A sequence or an item whose end has not come; `end` is None where a delimiter ends it.

    fragments  of encapsulated pixels: what is in their items are no elements
    """

    is_item: bool
    end: int | None
    explicit: bool
    fragments: bool = False


class LengthCheck:
    """Follows the elements of a data set while its bytes pass: whether they add up, how deep they
    are nested, and that nothing but what was read already says whose it is.

    A site walks into sequences, whoever reads the UIDs steps over them: where both do not come out
    at the same place, what one of them takes for the UIDs is inside of something for the other.

    unsafe  its next bytes must not reach a site

    A length that leads beyond the end of a file is how a file that was cut looks; pydicom and
    others read such a file in silence (routing.md E27). Of sequences that are nested 100 deep a
    real Orthanc dies (H75, measured): those bytes must not reach it. Only heads of elements are
    looked at.
    """

    def __init__(self, identity: Identity) -> None:
        self._explicit = identity.transfer_syntax not in IMPLICIT
        self._order = _order(identity.transfer_syntax)
        self._known_to = identity.known_to
        self._next = identity.dataset_at  # of the next head, counted from the file's first byte
        self._passed = 0
        self._held = b""  # the beginning of that head
        self._top = _Open(is_item=True, end=None, explicit=self._explicit)
        self._open: list[_Open] = []
        self._broken = self._agrees = False
        self.unsafe = False

    def feed(self, block: bytes) -> None:
        """The next bytes of the file, from its very first on."""
        start = self._passed - len(self._held)
        self._passed += len(block)
        if self._broken or self._next >= self._passed:
            return
        data = self._held + block if self._held else block
        walks = {
            explicit: _Walk(data, self._order, explicit) for explicit in {self._explicit, False}
        }
        self._held = b""
        try:
            while self._next < self._passed:
                self._next = start + self._step(walks, self._next - start, start)
        except (struct.error, IndexError):
            self._held = data[self._next - start :]
        except NotUnderstood:
            self._broken = True
            self.unsafe |= not self._agrees

    @property
    def adds_up(self) -> bool:
        """To be asked at the end: the last element ended exactly where the file did."""
        self._close_ended()
        return not (self._broken or self._held or self._open) and self._next == self._passed

    def _close_ended(self) -> None:
        while self._open and self._open[-1].end == self._next:
            self._open.pop()

    def _step(self, walks: dict[bool, "_Walk"], at: int, start: int) -> int:
        """Past one element or delimiter; where the next one begins, in these bytes.

        start  of these bytes in the file
        """
        if self._open:
            self._close_ended()
        if not self._agrees and start + at >= self._known_to:
            if self._open or start + at > self._known_to:
                raise NotUnderstood("what says whose it is lies within a sequence")
            self._agrees = True
        within = self._open[-1] if self._open else self._top
        walk = walks[within.explicit]
        tag, length, begin = walk.element(at)
        if tag in SAID_ONCE and not self._open and start + at >= self._known_to:
            self.unsafe = True
            raise NotUnderstood("says further on whose it is")
        if tag in (ITEM_END, SEQUENCE_END):
            if not self._open or within.end is not None or within.is_item != (tag == ITEM_END):
                raise NotUnderstood("a delimiter that ends nothing")
            self._open.pop()
            return begin
        if (tag == ITEM) == within.is_item:
            raise NotUnderstood("an item outside of a sequence, or something else within one")
        end = None if length == UNDEFINED else start + begin + length
        if tag == ITEM:
            if within.fragments:
                return begin + length
            self._open.append(_Open(True, end, within.explicit))
        elif walk.holds_items(at, begin, length):
            explicit = within.explicit and not walk.is_unknown(at)
            self._open.append(_Open(False, end, explicit, fragments=tag in PIXELS))
        else:
            return begin + length
        if len(self._open) > 2 * DEPTH_LIMIT:
            self.unsafe = True
            raise NotUnderstood(f"sequences are nested deeper than {DEPTH_LIMIT}")
        return begin
