#!/usr/bin/env python3
"""The gate of MSVC's view of the driver, tested: in a copy of the tree, each damage must be refused."""
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import msvc_driver_gate as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class msvc_driver_gate_refuses(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.scratch.name).resolve()
        for directory in ("pipeline", "kernel_port/nt", "kernel_port/sim/include", "kernel_port/snapshot"):
            shutil.copytree(ROOT / directory, self.root / directory)
        # Enough files to be a tree, few enough to be quick.
        for directory in gate.DIRECTORIES:
            (self.root / directory).mkdir(parents=True)
            for path in (ROOT / directory).glob("*.h"):
                shutil.copy(path, self.root / directory / path.name)

    def tearDown(self):
        self.scratch.cleanup()

    def refuses(self, view, text, because):
        for number in range(20):
            (self.root / f"producers/none_{number}.cpp").write_text("\n")
        (self.root / "producers/aaa.cpp").write_text(text)
        original = gate.files_of
        gate.files_of = lambda root, name: [path for path in original(root, name) if path.suffix == ".cpp"]
        try:
            with self.assertRaises(gate.Broken) as refusal:
                gate.check(self.root, view)
        finally:
            gate.files_of = original
        self.assertRegex(str(refusal.exception), because)

    def test_a_long_taken_for_64_bits(self):
        self.refuses("msvc-x86_64", "static_assert(sizeof(long) == 8);\n", "sizeof\\(long\\)")

    def test_an_attribute_of_gnu(self):
        self.refuses("cl-x86_64", "__attribute__((noinline)) void f() {}\n", "poisoned")

    def test_a_builtin_of_gnu(self):
        self.refuses("cl-aarch64", "int f(int* p) { return __atomic_load_n(p, 0); }\n", "poisoned")

    def test_a_kernel_function_that_is_not_declared(self):
        self.refuses("msvc-i686", '#include "producers/pool.h"\nvoid f() { KeDoWhatNobodyDoes(); }\n', "KeDoWhatNobodyDoes")

    def test_a_pointer_cut_to_32_bits(self):
        self.refuses("msvc-x86_64", "unsigned f(void* p) { return reinterpret_cast<unsigned long>(p); }\n", "loses information|smaller")

    def test_a_tree_without_files(self):
        for path in self.root.glob("producers/*"):
            path.unlink()
        with self.assertRaisesRegex(gate.Broken, "would see nothing"):
            gate.check(self.root, "cl-x86_64")


if __name__ == "__main__":
    if not shutil.which("clang++"):
        print("SKIPPED: clang++ is not installed (Debian: clang)")
        sys.exit(gate.SKIPPED)
    unittest.main(verbosity=2)
