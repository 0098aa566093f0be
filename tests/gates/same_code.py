#!/usr/bin/env python3
"""Gate: the ring's and the merge's functions are the same machine code in two linked x86-64 images, instruction by instruction.

    same_code.py merge|rings IMAGE[,MAP] IMAGE[,MAP] --objdump OBJDUMP [--list]

From the functions that each side calls (ENTRIES) on, everything is compared that they call or jump to: the functions that execute,
whatever their names. An image without symbols is read with the map that its own link wrote. Both images are disassembled as they were
linked. Two functions are the same if they have as many instructions, at the same distances, with the same operation and operands,
and the same bytes; only what the linker fills in may differ, and is followed instead:
  a call or jump out of the function    its target is compared as a function, too; one target has one counterpart
  an address of code or data            code likewise; of read-only data what the instruction reads, of a jump table its targets
  an import, or the pointer to it       the same name
Anything else that an instruction refers to is refused: the two could not be told apart.

An entry must be called by code that is not compared: what nobody calls proves nothing. The clock and whoever takes the records lie
outside: they are called through pointers, or imported. Exit status: 0 the same, 1 not, 77 no objdump.
"""
import argparse
import pathlib
import re
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from pe_image import SECTION_EXECUTE, SECTION_WRITE, Image

SKIPPED = 77
ENTRIES = {
    "merge": ("sluice::native_merge::attach", "sluice::native_merge::pass", "sluice::native_merge::release"),
    "rings": ("sluice::kernel_rings::write_out_of_line", "sluice::kernel_rings::reserve_out_of_line",
              "sluice::kernel_rings::settle", "sluice::kernel_rings::restart_consumer"),
}
# What is reached from them on any machine: a comparison without it has not seen what it is for.
MUST_REACH = {
    "merge": ("sluice::ring_reader<sluice::native_seam>::look_again", "sluice::ring_reader<sluice::native_seam>::look_overwriting",
              "sluice::tail_watch<sluice::native_seam>::catch_up"),
    "rings": ("sluice::ring<sluice::native_seam>::place", "sluice::ring<sluice::native_seam>::reclaim",
              "sluice::ring<sluice::native_seam>::overwrite_oldest", "sluice::ledger<sluice::native_seam>::drop"),
}
WIDTHS = {"movdqa": 16, "movaps": 16, "movups": 16, "movdqu": 16, "pand": 16, "paddq": 16, "paddd": 16, "pxor": 16, "por": 16,
          "punpcklqdq": 16, "movhps": 8, "movlps": 8, "movq": 8, "movd": 4, "movzwl": 2, "movzbl": 1}


class Broken(Exception):
    pass


class Instruction:
    def __init__(self, address, data, text):
        self.address, self.data, self.text = address, data, text


class Linked:
    """One linked image: where its functions are, what they are called, and their instructions."""

    def __init__(self, path, map_path, objdump):
        self.path, self.objdump = path, objdump
        self.image = Image(path.read_bytes())
        self.base = self.image["image_base"]
        self.functions = sorted((begin, end) for begin, end, _ in self.image.functions())
        self.names, self.addresses = {}, {}
        for address, name in self.read_map(map_path) if map_path else self.read_symbols():
            if name.startswith("."):
                continue  # a section's
            self.names.setdefault(address, name)
            self.addresses.setdefault(re.sub(r"\(.*", "", name), address)
        self.imports = {}
        for address, name in self.import_addresses():
            self.imports[address] = name
        self.bodies = {}

    # What is placed twice by its names is not the image's map.
    def read_map(self, path):
        for line in path.read_text().splitlines():
            found = re.match(r" {16}0x([0-9a-f]{16}) {16}(\S.*)", line)
            if found and "=" not in found.group(2) and not found.group(2).startswith("PROVIDE"):
                yield int(found.group(1), 16) - self.base, found.group(2)

    def read_symbols(self):
        text = subprocess.run([self.objdump, "-t", "-C", self.path], capture_output=True, text=True, check=True).stdout
        sections = self.image.sections()
        for line in text.splitlines():
            found = re.match(r"\[ *\d+\]\(sec +(\d+)\)\(fl 0x..\)\(ty +[0-9a-f]+\)\(scl +\d+\) \(nx \d+\) 0x([0-9a-f]+) (.*)", line)
            if found and 0 < int(found.group(1)) <= len(sections):
                yield sections[int(found.group(1)) - 1].address + int(found.group(2), 16), found.group(3)

    def import_addresses(self):
        address, size = self.image.directory("import")
        descriptor = self.image.file_offset(address) if size else 0
        while size and self.image.read("<I", descriptor + 12):
            lookup = self.image.file_offset(self.image.read("<I", descriptor) or self.image.read("<I", descriptor + 16))
            slot = self.image.read("<I", descriptor + 16)
            while value := self.image.read("<Q", lookup):
                yield slot, "__imp_" + ("#" + str(value & 0xFFFF) if value >> 63 else self.image.text(value + 2))
                lookup, slot = lookup + 8, slot + 8
            descriptor += 20

    def function_at(self, address):
        for begin, end in self.functions:
            if begin <= address < end:
                return begin, end
        raise Broken(f"{self.path.name}: {address:#x} is in no function")

    def name(self, address):
        return self.names.get(address, f"{address:#x}")

    def body(self, begin, end):
        if begin not in self.bodies:
            text = subprocess.run([self.objdump, "-d", "-w", f"--start-address={self.base + begin:#x}",
                                   f"--stop-address={self.base + end:#x}", self.path],
                                  capture_output=True, text=True, check=True).stdout
            made = []
            for line in text.splitlines():
                found = re.match(r" *([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t?(.*)", line)
                if found:
                    made.append(Instruction(int(found.group(1), 16) - self.base, bytes.fromhex(found.group(2)), found.group(3).strip()))
            self.bodies[begin] = made
        return self.bodies[begin]

    def bytes_at(self, address, count):
        offset = self.image.file_offset(address)
        return bytes(self.image.data[offset:offset + count])

    def callers(self, target):
        """Where something calls or jumps to `target` directly."""
        found = []
        for section in self.image.sections():
            if not section.flags & SECTION_EXECUTE:
                continue
            code = self.bytes_at(section.address, min(section.size, section.raw_size))
            for match in re.finditer(rb"[\xe8\xe9]", code):
                at = match.start()
                if at + 5 <= len(code) and section.address + at + 5 + struct.unpack_from("<i", code, at + 1)[0] == target:
                    found.append(section.address + at)
        return found


class Comparison:
    def __init__(self, left, right):
        self.left, self.right = left, right
        self.counterparts = {}  # function of the left: of the right
        self.reverse = {}
        self.waiting = []
        self.instructions = 0
        self.sizes = {}

    def pair(self, left, right, where):
        """Two addresses of code that stand at the same place: the same function from here on, or none."""
        left_function, right_function = self.left.function_at(left), self.right.function_at(right)
        if left - left_function[0] != right - right_function[0]:
            raise Broken(f"{where}: goes to different places of {self.left.name(left_function[0])} and {self.right.name(right_function[0])}")
        names = self.left.names.get(left_function[0]), self.right.names.get(right_function[0])
        if names[0] != names[1] and None not in names:
            raise Broken(f"{where}: {names[0]} here, {names[1]} there")
        known = self.counterparts.setdefault(left_function[0], right_function[0])
        if known != right_function[0] or self.reverse.setdefault(right_function[0], left_function[0]) != left_function[0]:
            raise Broken(f"{where}: goes to {self.left.name(left_function[0])}, which stands for two functions there")
        if left_function[0] not in self.sizes:
            self.sizes[left_function[0]] = 0
            self.waiting.append((left_function, right_function))

    def run(self):
        while self.waiting:
            left_function, right_function = self.waiting.pop()
            self.compare_functions(left_function, right_function)

    def compare_functions(self, left_function, right_function):
        name = self.left.name(left_function[0])
        left, right = self.left.body(*left_function), self.right.body(*right_function)
        for one, other in zip(left, right):
            where = f"{name}+{one.address - left_function[0]:#x}"
            if one.address - left_function[0] != other.address - right_function[0] or len(one.data) != len(other.data):
                raise Broken(f"{where}: `{one.text}` here, `{other.text}` there")
            if not self.compare_reference(one, other, left_function, right_function, where) and (
                    one.data != other.data or one.text != other.text):
                raise Broken(f"{where}: `{one.text}` here, `{other.text}` there")
        if len(left) != len(right):
            raise Broken(f"{name}: {len(left)} instructions here, {len(right)} there")
        if not left:
            raise Broken(f"{name}: no instructions were found")
        self.sizes[left_function[0]] = len(left)
        self.instructions += len(left)

    def compare_reference(self, one, other, left_function, right_function, where):
        """True: what the instruction refers to by address was compared; everything else of it is equal."""
        branch = re.match(r"((?:bnd |notrack )?(?:call|j\w+)) +(?:0x)?([0-9a-f]+)\b", one.text)
        if branch:
            branch_there = re.match(r"((?:bnd |notrack )?(?:call|j\w+)) +(?:0x)?([0-9a-f]+)\b", other.text)
            if not branch_there or branch.group(1) != branch_there.group(1):
                return False
            target = int(branch.group(2), 16) - self.left.base
            target_there = int(branch_there.group(2), 16) - self.right.base
            if left_function[0] <= target < left_function[1]:
                return target - left_function[0] == target_there - right_function[0] and one.data == other.data
            self.pair(target, target_there, where)
            return one.data[:-4] == other.data[:-4]
        relative = re.compile(r"(-?0x[0-9a-f]+|\d+)\(%rip\)(.*?)\s+# (?:0x)?([0-9a-f]+).*")
        here, there = relative.search(one.text), relative.search(other.text)
        if not here:
            return False
        if not there or relative.sub(r"(%rip)\2", one.text) != relative.sub(r"(%rip)\2", other.text):
            return False
        self.compare_data(int(here.group(3), 16) - self.left.base, int(there.group(3), 16) - self.right.base,
                          one.text.split()[0], left_function, right_function, where)
        displacement = struct.pack("<i", int(here.group(1), 0))
        displacement_there = struct.pack("<i", int(there.group(1), 0))
        return one.data.replace(displacement, b"", 1) == other.data.replace(displacement_there, b"", 1)

    def compare_data(self, here, there, operation, left_function, right_function, where):
        name = self.left.imports.get(here) or self.left.name(here)
        if name.startswith("__imp_"):
            other = self.right.imports.get(there) or self.right.name(there)
            if name != other:
                raise Broken(f"{where}: {name} here, {other} there")
            return
        sections = self.left.image.section_at(here), self.right.image.section_at(there)
        if None in sections or any(section.flags & SECTION_WRITE for section in sections):
            raise Broken(f"{where}: refers to data that is written, {self.left.name(here)} and {self.right.name(there)}")
        if all(section.flags & SECTION_EXECUTE for section in sections):
            self.pair(here, there, where)
        elif operation == "lea":
            self.compare_jump_table(here, there, left_function, right_function, where)
        elif operation not in WIDTHS:
            raise Broken(f"{where}: `{operation}` reads data of a size that this gate does not know")
        elif self.left.bytes_at(here, WIDTHS[operation]) != self.right.bytes_at(there, WIDTHS[operation]):
            raise Broken(f"{where}: another constant")

    # Distances from the table to places of the function: as many as there are such. More than that is the next table's: the same there.
    def compare_jump_table(self, here, there, left_function, right_function, where):
        entries = 0
        while True:
            try:
                target = here + struct.unpack("<i", self.left.bytes_at(here + 4 * entries, 4))[0] - left_function[0]
                target_there = there + struct.unpack("<i", self.right.bytes_at(there + 4 * entries, 4))[0] - right_function[0]
            except (ValueError, struct.error):
                break
            inside = 0 <= target < left_function[1] - left_function[0]
            if not inside and not 0 <= target_there < right_function[1] - right_function[0]:
                break
            if target != target_there:
                raise Broken(f"{where}: entry {entries} of a jump table goes elsewhere")
            entries += 1
        if entries < 2:
            raise Broken(f"{where}: takes an address of data that is no jump table")


def compare(what, left, right):
    """Raises Broken with the first difference; otherwise the comparison."""
    done = Comparison(left, right)
    for entry in ENTRIES[what]:
        for side in (left, right):
            if entry not in side.addresses:
                raise Broken(f"{side.path.name} has no {entry}")
        done.pair(left.addresses[entry], right.addresses[entry], entry)
    done.run()
    for name in MUST_REACH[what]:
        if not any(done.left.name(address).startswith(name) for address in done.sizes):
            raise Broken(f"{name} is not reached: is it inlined now?")
    for side, compared in ((left, set(done.counterparts)), (right, set(done.reverse))):
        outside = [address for entry in ENTRIES[what] for address in side.callers(side.addresses[entry])
                   if side.function_at(address)[0] not in compared]
        for entry in ENTRIES[what]:
            if not set(side.callers(side.addresses[entry])) & set(outside):
                raise Broken(f"{side.path.name}: nobody calls {entry}: comparing it proves nothing")
    return done


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=ENTRIES)
    parser.add_argument("images", nargs=2, metavar="IMAGE[,MAP]")
    parser.add_argument("--objdump", required=True)
    parser.add_argument("--list", action="store_true", help="each function and its number of instructions")
    options = parser.parse_args()
    if not shutil.which(options.objdump):
        print(f"SKIPPED: {options.objdump} is not installed; nothing was compared")
        return SKIPPED
    try:
        sides = []
        for each in options.images:
            path, _, map_path = each.partition(",")
            sides.append(Linked(pathlib.Path(path), pathlib.Path(map_path) if map_path else None, options.objdump))
        done = compare(options.what, *sides)
    except Broken as broken:
        print(f"{options.what}: {broken}")
        return 1
    if options.list:
        for address, count in sorted(done.sizes.items()):
            print(f"{count:6} {done.left.name(address)}")
    print(f"{options.what}: {len(done.sizes)} functions, {done.instructions} instructions, are the same in "
          f"{sides[0].path.name} and {sides[1].path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
