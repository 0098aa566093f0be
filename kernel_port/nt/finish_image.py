#!/usr/bin/env python3
"""Finishes a driver image that GNU ld has linked: finish_image.py linked.sys finished.sys

GNU ld writes section flags by what a section holds; an NT kernel reads more out of them:
  INIT, .reloc     discardable: given back once DriverEntry has returned
  PAGE*            left pageable
  everything else  not pageable
The header's checksum is made anew, since the flags are part of it.
"""
import struct
import sys

DISCARDABLE = 0x02000000
NOT_PAGED = 0x08000000


def header_offset(image):
    (offset,) = struct.unpack_from("<I", image, 0x3C)
    if image[:2] != b"MZ" or image[offset : offset + 4] != b"PE\0\0":
        raise ValueError("not a PE image")
    return offset


def section_headers(image):
    """Offsets of the section headers with their names."""
    header = header_offset(image)
    count, optional_size = (struct.unpack_from("<H", image, header + at)[0] for at in (6, 20))
    first = header + 24 + optional_size
    for offset in range(first, first + 40 * count, 40):
        yield offset, bytes(image[offset : offset + 8]).rstrip(b"\0").decode("ascii")


def checksum_offset(image):
    return header_offset(image) + 24 + 64


def checksum(image):
    """What CheckSumMappedFile computes: 16-bit words added with end-around carry, the field itself left out, plus size."""
    at = checksum_offset(image)
    data = bytes(image[:at]) + b"\0\0\0\0" + bytes(image[at + 4 :])
    if len(data) % 2:
        data += b"\0"
    total = 0
    for (word,) in struct.iter_unpack("<H", data):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(image)


def finish(image):
    for offset, name in section_headers(image):
        (flags,) = struct.unpack_from("<I", image, offset + 36)
        if name in ("INIT", ".reloc"):
            flags |= DISCARDABLE
        elif not name.startswith("PAGE"):
            flags |= NOT_PAGED
        struct.pack_into("<I", image, offset + 36, flags)
    struct.pack_into("<I", image, checksum_offset(image), checksum(image))


def main(linked, finished):
    with open(linked, "rb") as file:
        image = bytearray(file.read())
    finish(image)
    with open(finished, "wb") as file:
        file.write(image)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
