#!/usr/bin/env python3
"""The PE gate, tested: pe_gate_test.py IMAGE LIST COMPILER OBJDUMP MACHINE. A good image is damaged in each way the gate claims to
find, and must be refused for that reason; small objects are compiled with each fault the gate claims to find in one."""
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

import pe_gate as gate
from pe_image import SECTION_DISCARDABLE, SECTION_EXECUTE, SECTION_NOT_PAGED, SECTION_WRITE, Image

IMAGE, IMPORTS, COMPILER, OBJDUMP, MACHINE = sys.argv[1:6] if len(sys.argv) >= 6 else sys.exit(__doc__)
CHARACTERISTICS = [(0x40, "DYNAMIC_BASE"), (0x80, "FORCE_INTEGRITY"), (0x100, "NX_COMPAT")]
if MACHINE == "x86_64":
    CHARACTERISTICS.append((0x20, "HIGH_ENTROPY"))


def of(machine):
    return unittest.skipUnless(MACHINE == machine, f"{machine} only")


class pe_gate_refuses(unittest.TestCase):
    def setUp(self):
        self.image = Image(pathlib.Path(IMAGE).read_bytes())
        self.allowed = gate.read_import_lists(IMPORTS.split(","))

    def seal(self):
        """A damage other than to the checksum must not be found by the checksum alone."""
        self.image["checksum"] = self.image.computed_checksum()

    def refuses(self, because):
        self.seal()
        with self.assertRaisesRegex(ValueError, because):
            gate.check_image(self.image, self.allowed, MACHINE, OBJDUMP)

    def change_section(self, name, add=0, remove=0):
        section = self.image.section(name)
        self.assertIsNotNone(section, f"the image has no section {name}")
        struct.pack_into("<I", self.image.data, section.offset + 36, (section.flags | add) & ~remove & 0xFFFFFFFF)

    def rename_section(self, name, new):
        struct.pack_into("8s", self.image.data, self.image.section(name).offset, new)

    def rename_import(self, old, new):
        """Writes another name of the same length over an imported one."""
        for module, name, entry in self.image.imports():
            if name == old:
                offset = self.image.file_offset(self.image.read("<Q" if self.image.is_64_bit else "<I", entry) + 2)
                self.image.data[offset : offset + len(new)] = new.encode()
                return
        self.fail(f"the image does not import {old}")

    def test_nothing_in_the_image_as_it_was_built(self):
        gate.check_image(self.image, self.allowed, MACHINE, OBJDUMP)

    def test_another_machine(self):
        self.image["machine"] = 0xAA64
        self.refuses("machine is 0xaa64")

    def test_stripped_relocations(self):
        self.image["characteristics"] |= 1
        self.refuses("relocations are stripped")

    def test_a_dll(self):
        self.image["characteristics"] |= 0x2000
        self.refuses("DLL")

    def test_no_executable(self):
        self.image["characteristics"] &= ~2
        self.refuses("not marked as an executable")

    def test_a_time_stamp(self):
        self.image["time_stamp"] = 1700000000
        self.refuses("time it was built")

    def test_symbols(self):
        self.image["symbols"] = 0x400
        self.refuses("carries symbols")

    def test_odd_alignment(self):
        for name, value in (("section_alignment", 0x200), ("file_alignment", 0x20), ("size_of_image", 0x1234)):
            with self.subTest(name):
                self.setUp()
                self.image[name] = value
                self.refuses("align|multiple of a page")

    def test_a_program(self):
        self.image["subsystem"] = 3
        self.refuses("subsystem is 3")

    def test_a_version_older_kernels_refuse(self):
        for name in ("os_major", "subsystem_major"):
            with self.subTest(name):
                self.setUp()
                self.image[name] = 10
                self.refuses("version")

    def test_a_missing_characteristic(self):
        for bit, name in CHARACTERISTICS:
            with self.subTest(name):
                self.setUp()
                self.image["dll_characteristics"] &= ~bit
                self.refuses("lacks " + name)

    def test_a_wrong_checksum(self):
        self.image["checksum"] ^= 1
        with self.assertRaisesRegex(ValueError, "checksum"):
            gate.check_image(self.image, self.allowed, MACHINE, OBJDUMP)

    def test_one_changed_byte_of_code(self):
        self.image.data[self.image.section(".text").raw] ^= 1
        with self.assertRaisesRegex(ValueError, "checksum"):
            gate.check_image(self.image, self.allowed, MACHINE, OBJDUMP)

    def test_writable_code(self):
        self.change_section(".text", add=SECTION_WRITE)
        self.refuses("section .text is writable and executable")

    def test_executable_data(self):
        self.change_section(".idata", add=SECTION_EXECUTE)
        self.refuses("section .idata is writable and executable")

    def test_discardable_code(self):
        self.change_section(".text", add=SECTION_DISCARDABLE)
        self.refuses("section .text is discardable")

    def test_pageable_code_outside_PAGE(self):
        self.change_section(".text", remove=SECTION_NOT_PAGED)
        self.refuses("section .text is pageable")

    def test_PAGE_that_is_not_pageable(self):
        self.rename_section(".text", b"PAGEtext")
        self.refuses("section PAGEtext is not pageable")

    def test_INIT_that_stays(self):
        self.rename_section(".text", b"INIT")
        self.refuses("section INIT is not discardable")

    def test_a_debug_section(self):
        self.rename_section(".rdata", b"/4")
        self.refuses("long name")

    def test_an_entry_point_in_data(self):
        self.image["entry"] = self.image.section(".rdata").address
        self.refuses("entry point is not in code")

    @of("x86_64")
    def test_an_entry_point_without_unwind_data(self):
        code = self.image.section(".text")
        self.image["entry"] = code.address + code.size - 1
        self.refuses("entry point has no unwind data")

    def test_a_directory_that_a_driver_has_no_use_for(self):
        for name in ("export", "tls", "delay_import", "clr", "debug", "bound_import"):
            with self.subTest(name):
                self.setUp()
                struct.pack_into("<II", self.image.data, self.image.directory_offset(name), 0x1000, 40)
                self.refuses(name)

    @of("x86_64")
    def test_missing_unwind_data(self):
        struct.pack_into("<II", self.image.data, self.image.directory_offset("exception"), 0, 0)
        self.refuses("no unwind data")

    @of("x86_64")
    def test_unwind_data_out_of_order(self):
        offset = self.image.file_offset(self.image.directory("exception")[0])
        first, second = self.image.data[offset : offset + 12], self.image.data[offset + 12 : offset + 24]
        self.image.data[offset : offset + 24] = second + first
        self.refuses("out of order")

    @of("x86_64")
    def test_unwind_data_for_what_is_not_code(self):
        offset = self.image.file_offset(self.image.directory("exception")[0])
        data = self.image.section(".rdata").address
        struct.pack_into("<II", self.image.data, offset, data, data + 16)
        self.refuses("which is not code")

    def guarded_functions(self):
        return [begin for begin, _, information in self.image.functions()
                if self.image.data[self.image.file_offset(information & ~1)] >> 3 & 1]

    def guarded_copy(self):
        """File offset of its scope table, behind the count."""
        offset = self.image.file_offset(self.image.directory("exception")[0])
        while True:
            information = self.image.file_offset(struct.unpack_from("<I", self.image.data, offset + 8)[0])
            if self.image.data[information] >> 3 & 1:
                codes = self.image.data[information + 2]
                return information, information + 4 + 2 * (codes + codes % 2) + 8
            offset += 12

    @of("x86_64")
    def test_a_copy_without_its_handler(self):
        information, _ = self.guarded_copy()
        self.image.data[information] &= 7
        self.refuses("1 functions handle exceptions")

    @of("x86_64")
    def test_a_copy_that_the_scope_does_not_cover(self):
        _, scope = self.guarded_copy()
        begin = struct.unpack_from("<I", self.image.data, scope)[0]
        struct.pack_into("<I", self.image.data, scope, begin + 1)
        self.refuses("is not the copy of bytes")

    @of("x86_64")
    def test_a_mapping_that_the_scope_does_not_cover(self):
        call = bytes(self.image.data).find(b"\xff\x15", self.image.file_offset(self.guarded_functions()[1]))
        self.image.data[call + 2] ^= 8  # another import
        self.refuses("nor the call that maps")

    @of("x86_64")
    def test_a_filter_that_lets_exceptions_pass(self):
        _, scope = self.guarded_copy()
        struct.pack_into("<I", self.image.data, scope + 8, 0)
        self.refuses("does not take every exception")

    @of("x86_64")
    def test_a_handler_that_goes_on_elsewhere(self):
        _, scope = self.guarded_copy()
        struct.pack_into("<I", self.image.data, scope + 12, 0)
        self.refuses("lies outside of it")

    def guarded_frame(self, nth):
        """File offset of the code behind the frame's handler, and of its scope table."""
        base = self.image["image_base"]
        jump = bytes(self.image.data).find(b"\xff\x25" + (base + self.image.import_slot("_except_handler3")).to_bytes(4, "little"))
        text = self.image.section(".text")
        handler = base + text.address + jump - text.raw
        at = -1
        for _ in range(nth + 1):
            at = bytes(self.image.data).find(b"\x68" + handler.to_bytes(4, "little"), at + 1)
        return at, self.image.file_offset(self.image.read("<I", at - 4) - base)

    @of("i686")
    def test_a_frame_without_a_scope_table(self):
        self.image.data[self.guarded_frame(0)[0] - 5] = 0xB8
        self.refuses("frame without a scope table")

    @of("i686")
    def test_a_frame_without_the_handler(self):
        self.image.data[self.guarded_frame(0)[0] + 1] ^= 4
        self.refuses("1 functions handle exceptions")

    @of("i686")
    def test_a_scope_inside_another(self):
        struct.pack_into("<I", self.image.data, self.guarded_frame(0)[1], 0)
        self.refuses("its scope lies in another")

    @of("i686")
    def test_a_scope_whose_filter_lets_exceptions_pass(self):
        scopes = self.guarded_frame(0)[1]
        filter_ = self.image.file_offset(self.image.read("<I", scopes + 4) - self.image["image_base"])
        self.image.data[filter_ + 1] = 0
        self.refuses("does not take every exception")

    @of("i686")
    def test_a_scope_that_is_never_entered(self):
        at = bytes(self.image.data).find(gate.ENTER_SCOPE, self.guarded_frame(0)[0])
        self.image.data[at + 3] = 0xFF
        self.refuses("its scope is nowhere")

    @of("i686")
    def test_a_scope_with_other_code_in_it(self):
        for nth, add in ((0, 0), (1, 2)):
            with self.subTest(nth):
                self.setUp()
                at = bytes(self.image.data).find(gate.ENTER_SCOPE, self.guarded_frame(nth)[0]) + len(gate.ENTER_SCOPE)
                self.image.data[at + add] ^= 8
                self.refuses("not the copy of bytes alone, nor the call that maps")

    @of("i686")
    def test_a_scope_whose_handler_keeps_the_faulting_stack(self):
        scopes = self.guarded_frame(1)[1]
        struct.pack_into("<I", self.image.data, scopes + 8, self.image.read("<I", scopes + 8) + 3)
        self.refuses("goes on elsewhere, or with another stack")

    @of("i686")
    def test_an_image_whose_handlers_the_kernel_does_not_call(self):
        self.image["dll_characteristics"] |= 0x400
        self.refuses("handles no exceptions")

    @of("i686")
    def test_floating_point_and_vector_instructions(self):
        for kind, code in (("x87", b"\xd9\xe8"), ("MMX", b"\x0f\x6f\xc1"), ("SSE", b"\x0f\x28\xc1"), ("SSE2 move of 8 bytes", b"\xf3\x0f\x7e\x01"),
                           ("fild of 8 bytes", b"\xdf\x29"), ("emms", b"\x0f\x77"), ("fxsave", b"\x0f\xae\x01")):
            with self.subTest(kind):
                self.setUp()
                text = self.image.section(".text")
                self.image.data[text.raw : text.raw + len(code)] = code
                self.refuses("registers that a 32-bit kernel would have to save")

    def test_an_image_of_another_width(self):
        self.image["machine"] = 0x8664 if MACHINE == "i686" else 0x14C
        self.refuses("machine is")
        with self.assertRaisesRegex(ValueError, "another machine's"):
            gate.check_file_header(self.image, "x86_64" if MACHINE == "i686" else "i686")

    def test_a_missing_relocation_table(self):
        struct.pack_into("<II", self.image.data, self.image.directory_offset("relocation"), 0, 0)
        self.refuses("no relocations")

    def test_an_image_that_is_too_large(self):
        gate.check_size(self.image, len(self.image.data) + 1)
        with self.assertRaisesRegex(ValueError, "has to be smaller"):
            gate.check_size(self.image, len(self.image.data))

    def test_an_import_by_ordinal(self):
        module, name, entry = self.image.imports()[0]
        if MACHINE == "x86_64":
            struct.pack_into("<Q", self.image.data, entry, 1 << 63 | 7)
        else:
            struct.pack_into("<I", self.image.data, entry, 1 << 31 | 7)
        self.refuses("by ordinal")

    def test_an_import_that_is_not_listed(self):
        self.rename_import("KeSetEvent", "KeSetEvenT")
        self.refuses("imports KeSetEvenT from ntoskrnl.exe")

    def test_an_import_from_another_module(self):
        offset = bytes(self.image.data).find(b"ntoskrnl.exe\0")
        self.image.data[offset : offset + 12] = b"win32k.sys\0\0"
        self.refuses("from win32k.sys")

    def test_an_import_that_older_kernels_lack(self):
        self.allowed["ntoskrnl.exe", "KeSetEvent"] = (6, 2)
        self.refuses("imports KeSetEvent, which kernels before")

    def test_no_imports(self):
        struct.pack_into("<II", self.image.data, self.image.directory_offset("import"), 0, 0)
        self.refuses("imports nothing")


class pe_gate_refuses_objects(unittest.TestCase):
    def compile(self, source, *arguments):
        with tempfile.TemporaryDirectory() as scratch:
            made = pathlib.Path(scratch) / "made.o"
            subprocess.run([COMPILER, "-std=c++20", "-O2", "-fstack-usage", *arguments, "-x", "c++", "-c", "-", "-o", made],
                           input=source, text=True, check=True)
            gate.check_object(made, OBJDUMP)

    def refuses(self, because, source, *arguments):
        with self.assertRaisesRegex(ValueError, because):
            self.compile(source, *arguments)

    def test_nothing_in_harmless_code(self):
        self.compile("int twice(int n) { return 2 * n; }\n")

    def test_a_static_constructor(self):
        self.refuses(r"section \.ctors", "extern int f(); int value = f();\n")

    def test_a_destructor_at_exit(self):
        self.refuses("atexit|__cxa|ctors", "struct s { ~s(); }; s one;\n")

    def test_thread_local_storage(self):
        self.refuses("emutls|tls", "thread_local int one; int* where() { return &one; }\n")

    def test_an_exception(self):
        self.refuses("__cxa_|_Unwind", "void f() { throw 1; }\n")

    @of("i686")
    def test_a_support_routine_for_64_bits(self):
        for source in ("long long f(long long a, long long b) { return a / b; }\n",
                       "int f(unsigned long long a) { return __builtin_popcountll(a); }\n"):
            self.refuses("which no kernel has", source)

    @of("i686")
    def test_a_library_for_64_bit_atomics(self):
        self.refuses("atomic_", "struct s { long long a, b; }; s f(s* p) { s r; __atomic_load(p, &r, 0); return r; }\n")

    def test_a_stack_probe(self):
        self.refuses("chkstk", "void use(char*); void f() { char big[8192]; use(big); }\n")

    def test_a_deep_stack_frame(self):
        self.refuses("stack frame of .* bytes", "void use(char*); void f() { char big[2000]; use(big); }\n")

    def test_a_stack_frame_of_run_time_size(self):
        self.refuses("stack frame of dynamic", "void use(char*); void f(int n) { use((char*)__builtin_alloca(n)); }\n",
                     "-mno-stack-arg-probe")

    def test_operator_new(self):
        self.refuses("_Znw[yj]", "int* f() { return new int(1); }\n")

    def test_a_missing_stack_usage_file(self):
        with tempfile.TemporaryDirectory() as scratch:
            made = pathlib.Path(scratch) / "made.o"
            subprocess.run([COMPILER, "-x", "c++", "-c", "-", "-o", made], input="int one;\n", text=True, check=True)
            with self.assertRaisesRegex(ValueError, "left no made.su"):
                gate.check_object(made, OBJDUMP)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
