"""What a JPEG stream says of itself (ISO/IEC 10918-1 B.1), to name its transfer syntax."""

import struct

# Start-of-frame markers: baseline, extended, lossless (PS3.5 A.4.1).
_PROCESSES = {
    0xC0: "1.2.840.10008.1.2.4.50",
    0xC1: "1.2.840.10008.1.2.4.51",
    0xC3: "1.2.840.10008.1.2.4.70",
}
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def process_of(head: bytes) -> str:
    """Transfer syntax by the first frame header; "" if these bytes do not show one of ours."""
    at = 2 if head[:2] == b"\xff\xd8" else len(head)
    while at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _FRAMES:
            return _PROCESSES.get(marker, "")
        at += 2 + struct.unpack_from(">H", head, at + 2)[0]
    return ""
