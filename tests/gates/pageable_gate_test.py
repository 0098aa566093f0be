#!/usr/bin/env python3
"""The gate of pageable code, tested: pageable_gate_test.py COMPILER OBJDUMP"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import pageable_gate as gate

COMPILER, OBJDUMP = "", ""
PAGED = '__attribute__((section("PAGE"))) '


class pageable_gate_tested(unittest.TestCase):
    def check(self, text):
        with tempfile.TemporaryDirectory() as scratch:
            source, made = pathlib.Path(scratch) / "code.cpp", pathlib.Path(scratch) / "code.o"
            source.write_text('extern "C" __declspec(dllimport) unsigned char KeAcquireSpinLockRaiseToDpc(unsigned long long*);\n'
                              "void other();\n" + text)
            subprocess.run([COMPILER, "-O2", "-c", source, "-o", made], check=True)
            return gate.check([made], OBJDUMP, fewest=1)

    def refuses(self, text, because):
        with self.assertRaises(gate.Broken) as refusal:
            self.check(text)
        self.assertRegex(str(refusal.exception), because)

    def test_takes_code_that_calls_others(self):
        self.assertEqual(self.check(PAGED + "void a() { other(); other(); }\n"), 1)

    def test_takes_what_reads_the_level(self):
        self.assertEqual(self.check(PAGED + 'unsigned long long a() { unsigned long long v; __asm__ volatile("mov %%cr8,%0" : "=r"(v)); return v; }\n'), 1)

    def test_refuses_a_spin_lock(self):
        self.refuses(PAGED + "unsigned char a(unsigned long long* l) { return KeAcquireSpinLockRaiseToDpc(l); }\n", "raises the IRQL")

    def test_refuses_a_raise(self):
        self.refuses(PAGED + 'void a() { __asm__ volatile("mov %0,%%cr8" :: "r"(2ull)); }\n', "raises the IRQL")

    def test_refuses_a_raise_that_was_inlined(self):
        self.refuses('static inline void up() { __asm__ volatile("mov %0,%%cr8" :: "r"(2ull)); }\n' + PAGED + "void a() { up(); }\n",
                     "raises the IRQL")

    def test_refuses_nothing_in_PAGE(self):
        self.refuses("void a() { other(); }\n", "only 0 functions")


if __name__ == "__main__":
    COMPILER, OBJDUMP = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1], verbosity=2)
