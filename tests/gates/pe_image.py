"""A PE image as the gates read it: named header fields with their offsets, sections, directories, imports, functions.

Fields can be written as well: the gate's own test damages images with it.
"""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "kernel_port/nt"))
import finish_image  # noqa: E402  (checksum and section headers are the build's own)

SECTION_EXECUTE = 0x20000000
SECTION_WRITE = 0x80000000
SECTION_DISCARDABLE = finish_image.DISCARDABLE
SECTION_NOT_PAGED = finish_image.NOT_PAGED

# name: (offset, format); offsets of "optional" fields count from the optional header. PE32 (i686) and PE32+ (x86-64) differ in the base and
# in where the directories begin.
FILE_FIELDS = {"machine": (4, "<H"), "characteristics": (22, "<H"), "time_stamp": (8, "<I"), "symbols": (12, "<I")}
OPTIONAL_FIELDS = {
    "magic": (0, "<H"), "entry": (16, "<I"),
    "section_alignment": (32, "<I"), "file_alignment": (36, "<I"),
    "os_major": (40, "<H"), "os_minor": (42, "<H"), "subsystem_major": (48, "<H"), "subsystem_minor": (50, "<H"),
    "size_of_image": (56, "<I"), "checksum": (64, "<I"), "subsystem": (68, "<H"), "dll_characteristics": (70, "<H"),
}
DIRECTORIES = ("export", "import", "resource", "exception", "certificate", "relocation", "debug", "architecture",
               "global_pointer", "tls", "load_config", "bound_import", "import_addresses", "delay_import", "clr", "reserved")


class Section:
    def __init__(self, image, offset, name):
        self.offset, self.name = offset, name
        self.size, self.address, self.raw_size, self.raw, *_, self.flags = struct.unpack_from("<8xIIII12xI", image, offset)

    def holds(self, address):
        return self.address <= address < self.address + max(self.size, self.raw_size)


class Image:
    def __init__(self, data):
        self.data = bytearray(data)
        self.header = finish_image.header_offset(self.data)
        if self["magic"] not in (0x10B, 0x20B):
            raise ValueError("not a PE32 or PE32+ image")
        self.is_64_bit = self["magic"] == 0x20B

    def field(self, name):
        if name == "image_base":
            return (self.header + 24 + 24, "<Q") if self.is_64_bit else (self.header + 24 + 28, "<I")
        if name in FILE_FIELDS:
            offset, layout = FILE_FIELDS[name]
            return self.header + offset, layout
        offset, layout = OPTIONAL_FIELDS[name]
        return self.header + 24 + offset, layout

    def __getitem__(self, name):
        offset, layout = self.field(name)
        return struct.unpack_from(layout, self.data, offset)[0]

    def __setitem__(self, name, value):
        offset, layout = self.field(name)
        struct.pack_into(layout, self.data, offset, value)

    def read(self, layout, offset):
        return struct.unpack_from(layout, self.data, offset)[0]

    def computed_checksum(self):
        return finish_image.checksum(self.data)

    def directory_offset(self, name):
        return self.header + 24 + (112 if self.is_64_bit else 96) + 8 * DIRECTORIES.index(name)

    def directory(self, name):
        return struct.unpack_from("<II", self.data, self.directory_offset(name))

    def sections(self):
        return [Section(self.data, offset, name) for offset, name in finish_image.section_headers(self.data)]

    def section(self, name):
        return next((section for section in self.sections() if section.name == name), None)

    def section_at(self, address):
        return next((section for section in self.sections() if section.holds(address)), None)

    def file_offset(self, address):
        section = self.section_at(address)
        if section is None:
            raise ValueError(f"address {address:#x} is in no section")
        return section.raw + address - section.address

    def text(self, address):
        offset = self.file_offset(address)
        return self.data[offset : self.data.index(0, offset)].decode("ascii")

    def imports(self):
        """(module, name, file offset of the lookup entry); name is None for an import by ordinal."""
        address, size = self.directory("import")
        found = []
        if not size:
            return found
        layout, entry_size = ("<Q", 8) if self.is_64_bit else ("<I", 4)
        descriptor = self.file_offset(address)
        while self.read("<I", descriptor + 12):
            module = self.text(self.read("<I", descriptor + 12)).lower()
            entry = self.file_offset(self.read("<I", descriptor) or self.read("<I", descriptor + 16))
            while value := self.read(layout, entry):
                found.append((module, None if value >> (8 * entry_size - 1) else self.text(value + 2), entry))
                entry += entry_size
            descriptor += 20
        return found

    def import_slot(self, wanted):
        """Address of the pointer that the kernel fills in for an imported name; None: not imported."""
        entry_size = 8 if self.is_64_bit else 4
        descriptor = self.file_offset(self.directory("import")[0])
        while self.read("<I", descriptor + 12):
            names, slots = self.read("<I", descriptor), self.read("<I", descriptor + 16)
            entry = self.file_offset(names or slots)
            while value := self.read("<Q" if self.is_64_bit else "<I", entry):
                if value >> (8 * entry_size - 1) == 0 and self.text(value + 2) == wanted:
                    return slots + entry - self.file_offset(names or slots)
                entry += entry_size
            descriptor += 20
        return None

    def functions(self):
        """(begin, end, unwind information) of every function in .pdata."""
        address, size = self.directory("exception")
        offset = self.file_offset(address) if size else 0
        return [struct.unpack_from("<III", self.data, offset + at) for at in range(0, size - size % 12, 12)]
