#!/usr/bin/env python3
"""The gate of the same machine code, tested: one side is built from another source, with other options, or damaged in the linked file.

    same_code_test.py SLUICE_SYS MAP USER_RINGS_EXE COMPILER OBJDUMP OPTION...
"""
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import same_code as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DRIVER, MAP, PROGRAM, COMPILER, OBJDUMP = sys.argv[1:6]
OPTIONS = sys.argv[6:]
HEADERS = ["-D_WIN32_WINNT=0x0A00", "-DNTDDI_VERSION=0x0A000000", "-isystem", "/usr/share/mingw-w64/include/ddk"]
OBJECTS = pathlib.Path(PROGRAM).parent


class same_code_gate_refuses(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.directory = pathlib.Path(self.scratch.name)
        self.driver = gate.Linked(pathlib.Path(DRIVER), pathlib.Path(MAP), OBJDUMP)

    def tearDown(self):
        self.scratch.cleanup()

    def compile(self, source, options, replace=None):
        """`source` with `options`; replace: (file, old, new) in a copy of the tree."""
        root = ROOT
        if replace:
            root = self.directory / "tree"
            for part in ("pipeline", "producers", "kernel_port/nt"):
                shutil.copytree(ROOT / part, root / part)
            path, old, new = replace
            text = (root / path).read_text()
            self.assertIn(old, text, f"{path} has changed; this test must follow")
            (root / path).write_text(text.replace(old, new, 1))
        made = self.directory / (pathlib.Path(source).stem + ".o")
        subprocess.run([COMPILER, "-std=c++20", *options, *HEADERS, "-I", root, "-c", root / source, "-o", made], check=True)
        return made

    def link(self, **replaced):
        """The user program with other objects."""
        objects = [replaced.get(name, OBJECTS / f"{name}.o") for name in ("main", "user_rings", "kernel_rings", "native_merge")]
        made = self.directory / "program.exe"
        subprocess.run([COMPILER, "-static", *objects, "-o", made], check=True)
        return made

    def check(self, what, program):
        return gate.compare(what, self.driver, gate.Linked(pathlib.Path(program), None, OBJDUMP))

    def refuses(self, what, program, because):
        with self.assertRaises(gate.Broken) as refusal:
            self.check(what, program)
        self.assertRegex(str(refusal.exception), because)

    def patched(self, change):
        """The program with bytes of it changed: change(linked) -> (address, bytes)."""
        linked = gate.Linked(pathlib.Path(PROGRAM), None, OBJDUMP)
        address, data = change(linked)
        offset = linked.image.file_offset(address)
        linked.image.data[offset:offset + len(data)] = data
        made = self.directory / "patched.exe"
        made.write_bytes(linked.image.data)
        return made

    def instruction(self, linked, function, pattern):
        begin = next(address for name, address in linked.addresses.items() if name.endswith(function))
        return next(each for each in linked.body(*linked.function_at(begin)) if gate.re.match(pattern, each.text))

    def test_nothing_in_what_is_built(self):
        for what in gate.ENTRIES:
            self.assertGreater(self.check(what, PROGRAM).instructions, 500)

    def test_another_optimisation(self):
        self.refuses("merge", self.link(native_merge=self.compile("pipeline/native_merge.cpp", [*OPTIONS, "-O3"])), "here, .* there")

    def test_an_option_that_adds_an_instruction(self):
        self.refuses("rings", self.link(kernel_rings=self.compile("producers/kernel_rings.cpp", [*OPTIONS, "-fcf-protection"])),
                     "endbr64")

    def test_another_constant_in_the_reader(self):
        changed = ("pipeline/ring_reader.h", "prefetch_distance = 256", "prefetch_distance = 512")
        self.refuses("merge", self.link(native_merge=self.compile("pipeline/native_merge.cpp", OPTIONS, changed)),
                     "ring_reader.*0x100.* here, .*0x200.* there")

    def test_another_step_of_the_ring(self):
        changed = ("pipeline/ring.h", "reclaim_step = 1024", "reclaim_step = 2048")
        self.refuses("rings", self.link(kernel_rings=self.compile("producers/kernel_rings.cpp", OPTIONS, changed)),
                     r"sluice::ring.* here, .* there")

    def test_a_clock_read_before_the_publication(self):
        changed = ("pipeline/cpu_rings.h", "    main_.publish();\n    main_.put_time(record, now());",
                   "    const uint64_t early = now();\n    main_.publish();\n    main_.put_time(record, early);")
        self.refuses("rings", self.link(kernel_rings=self.compile("producers/kernel_rings.cpp", OPTIONS, changed)),
                     "write_out_of_line.* here, .* there")

    def test_functions_that_nobody_calls(self):
        source = self.directory / "decoy.cpp"
        source.write_text('#include "producers/kernel_rings.h"\nint main() { return sizeof(sluice::kernel_rings) == 0; }\n'
                          'extern "C" { LARGE_INTEGER (*__imp_KeQueryPerformanceCounter)(PLARGE_INTEGER) = nullptr; }\n')
        decoy = self.directory / "decoy.o"
        subprocess.run([COMPILER, "-std=c++20", "-I", ROOT, *HEADERS, "-c", source, "-o", decoy], check=True)
        program = self.directory / "decoy.exe"
        subprocess.run([COMPILER, "-static", decoy, OBJECTS / "kernel_rings.o", "-o", program], check=True)
        self.refuses("rings", program, "nobody calls")

    def test_a_program_without_them(self):
        source = self.directory / "empty.cpp"
        source.write_text("int main() {}\n")
        program = self.directory / "empty.exe"
        subprocess.run([COMPILER, "-static", source, "-o", program], check=True)
        self.refuses("merge", program, "has no sluice::native_merge::attach")

    def test_a_changed_operand(self):
        def change(linked):
            found = self.instruction(linked, "ring_reader<sluice::native_seam>::look_again", r"cmp +\$0x100,")
            return found.address + len(found.data) - 4, struct.pack("<I", 0x101)
        self.refuses("merge", self.patched(change), "look_again.*0x100.* here, .*0x101.* there")

    def test_a_call_of_another_function(self):
        def change(linked):
            found = self.instruction(linked, "cpu_rings<sluice::native_seam, sluice::kernel_clock>::place_somewhere", r"call ")
            target = next(address for name, address in linked.addresses.items() if name.endswith("::overwrite_oldest"))
            return found.address + 1, struct.pack("<i", target - found.address - 5)
        self.refuses("rings", self.patched(change), "::place.* here, .*overwrite_oldest.* there")

    def test_a_changed_jump_table(self):
        def change(linked):
            found = self.instruction(linked, "::pass<sluice::outer_sink const&>", r"lea .*\(%rip\)")
            table = int(gate.re.search(r"# (?:0x)?([0-9a-f]+)", found.text).group(1), 16) - linked.base
            second = linked.bytes_at(table + 4, 4)
            return table, second
        self.refuses("merge", self.patched(change), "jump table goes elsewhere")

    def test_another_import(self):
        driver = self.directory / "other.sys"
        data = pathlib.Path(DRIVER).read_bytes()
        self.assertEqual(data.count(b"KeQueryPerformanceCounter\0"), 1)
        driver.write_bytes(data.replace(b"KeQueryPerformanceCounter\0", b"KeQueryPerformanceCountex\0"))
        with self.assertRaisesRegex(gate.Broken, "KeQueryPerformanceCountex here"):
            gate.compare("rings", gate.Linked(driver, pathlib.Path(MAP), OBJDUMP), gate.Linked(pathlib.Path(PROGRAM), None, OBJDUMP))


if __name__ == "__main__":
    if not shutil.which(COMPILER) or not shutil.which(OBJDUMP):
        print("SKIPPED: mingw-w64 is not installed")
        sys.exit(gate.SKIPPED)
    unittest.main(verbosity=2, argv=sys.argv[:1])
