#!/usr/bin/env python3
"""sluice.exe as a file: what it imports, and that it is the same wherever and whenever it is built.

usage: image_test.py SLUICE.EXE DIRECTORY...    (paths of this build that may not stand in it)
"""

import struct
import sys
import unittest

SYSTEM_LIBRARIES = {"advapi32.dll", "kernel32.dll", "msvcrt.dll", "ntdll.dll", "shell32.dll", "user32.dll"}


class pe_file:
    """As much of a PE32+ file as the tests below ask about."""

    def __init__(self, data):
        self.data = data
        header = struct.unpack_from("<I", data, 0x3C)[0]
        assert data[header:header + 4] == b"PE\0\0", "this is not a PE file"
        self.machine, count, self.time_stamp = struct.unpack_from("<HHI", data, header + 4)
        optional_bytes, = struct.unpack_from("<H", data, header + 20)
        optional = header + 24
        self.dll_characteristics, = struct.unpack_from("<H", data, optional + 70)
        self.import_table, = struct.unpack_from("<I", data, optional + 112 + 8)
        sections = optional + optional_bytes
        self.sections = [struct.unpack_from("<8sIIII", data, sections + 40 * i) for i in range(count)]

    def at(self, address):
        for _, size, begin, raw_bytes, raw in self.sections:
            if begin <= address < begin + max(size, raw_bytes):
                return raw + address - begin
        raise AssertionError(f"nothing stands at 0x{address:x}")

    def string(self, address):
        begin = self.at(address)
        return self.data[begin:self.data.index(b"\0", begin)].decode()

    def libraries(self):
        entry = self.at(self.import_table)
        while any(self.data[entry:entry + 20]):
            yield self.string(struct.unpack_from("<I", self.data, entry + 12)[0]).lower()
            entry += 20


class image(unittest.TestCase):
    directories = []

    def test_needs_nothing_but_the_systems_own_libraries(self):
        self.assertEqual(sorted(set(self.pe.libraries()) - SYSTEM_LIBRARIES), [])

    def test_does_not_need_a_filter_manager_to_start(self):
        self.assertNotIn("fltlib.dll", set(self.pe.libraries()))

    def test_is_for_x86_64_and_can_be_placed_anywhere(self):
        self.assertEqual(self.pe.machine, 0x8664)
        high_entropy, dynamic_base, no_execute = 0x20, 0x40, 0x100
        self.assertEqual(self.pe.dll_characteristics & 0x160, high_entropy | dynamic_base | no_execute)

    def test_knows_neither_when_nor_where_it_was_built(self):
        self.assertEqual(self.pe.time_stamp, 0)
        for directory in self.directories:
            self.assertNotIn(directory.encode(), self.pe.data)


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        image.pe = pe_file(file.read())
    image.directories = sys.argv[2:]
    unittest.main(argv=sys.argv[:1])
