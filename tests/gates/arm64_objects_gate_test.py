#!/usr/bin/env python3
"""The gate of the ARM64 objects, tested: sources with each fault it claims to find must be refused for that reason."""
import pathlib
import shutil
import sys
import tempfile
import unittest

import arm64_objects_gate as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class arm64_objects(unittest.TestCase):
    def check(self, text, view="msvc-aarch64"):
        with tempfile.TemporaryDirectory() as directory:
            scratch = pathlib.Path(directory)
            source = scratch / "source.cpp"
            source.write_text(text)
            gate.check_object("source.cpp", gate.compile_object(ROOT, scratch, source, gate.VIEWS[view]))

    def refuses(self, because, text, view="msvc-aarch64"):
        with self.assertRaisesRegex(gate.Broken, because):
            self.check(text, view)

    def test_takes_harmless_code(self):
        self.check("int twice(int n) { return 2 * n; }\n")

    def test_refuses_another_machine(self):
        self.refuses("machine is 0x8664", "int twice(int n) { return 2 * n; }\n", "msvc-x86_64")

    def test_refuses_instructions_of_another_machine(self):
        self.refuses("", 'void f() { __asm__ volatile("pause"); }\n')

    def test_refuses_a_static_constructor(self):
        self.refuses(r"section \.CRT", "extern int f();\nint value = f();\n")

    def test_refuses_a_deep_stack_frame(self):
        self.refuses("__chkstk", "void use(char*);\nvoid f() { char big[8192]; use(big); }\n")

    def test_refuses_operator_new(self):
        self.refuses("which no kernel has", "int* f() { return new int(1); }\n")


if __name__ == "__main__":
    if not shutil.which(gate.VIEWS["msvc-aarch64"].compiler):
        sys.exit(gate.SKIPPED)
    unittest.main(verbosity=2)
