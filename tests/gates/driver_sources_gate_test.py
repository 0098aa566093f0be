#!/usr/bin/env python3
"""The driver-sources gate, tested: each damage it claims to find must be refused, and innocent code must not."""
import pathlib
import tempfile
import unittest

import driver_sources_gate as gate


class driver_sources_gate(unittest.TestCase):
    def check(self, text, path="kernel_port/driver/entry.cpp"):
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            for directory in gate.DIRECTORIES:
                (root / directory).mkdir(parents=True)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            return gate.check(root)

    def refuses(self, text, because, **where):
        with self.assertRaises(gate.Broken) as refusal:
            self.check(text, **where)
        self.assertRegex(str(refusal.exception), because)

    def test_takes_driver_code(self):
        text = ('#include "kernel_port/nt/nt.h"\n#include "pipeline/ring.h"\n#include <stdint.h>\n#if DBG\n#endif\n'
                '// how the simulation in sim::machine calls this, on linux\n/* #include <string.h> */\n'
                'const char text[] = "a // not a comment";\n')
        self.assertEqual(self.check(text), 1)

    def test_refuses_a_header_of_the_simulation(self):
        self.refuses('#include "kernel_port/sim/machine.h"\n', r"entry.cpp:1: includes .kernel_port/sim")

    def test_refuses_the_kernels_headers_past_nt_h(self):
        self.refuses("#include <ntifs.h>\n", "includes <ntifs.h>")

    def test_refuses_a_library_header(self):
        self.refuses("\n#include <atomic>\n", r":2: includes <atomic>", path="producers/own.h")

    def test_refuses_a_conditional_on_the_operating_system(self):
        for line in ("#ifdef __linux__", "#if defined(_WIN32)", "#ifndef SLUICE_SIMULATED", "#elif __MINGW32__",
                     "#if defined(DBG) && \\\n  defined(__unix__)"):
            self.refuses(line + "\n#endif\n", "decides by", path="producers/image.cpp")

    def test_refuses_names_of_the_simulation_and_the_library(self):
        for line in ("sluice::sim::machine::current();", "using namespace sluice; sim :: yield();", "std::move(x);",
                     "pthread_self();", 'printf("x");', "bool is_simulated;"):
            self.refuses(line + "\n", "names", path="producers/deep/image.cpp")

    def test_refuses_code_behind_a_string_that_looks_like_a_comment(self):
        self.refuses('const char* x = "//"; std::abort();\n', "names std")


if __name__ == "__main__":
    unittest.main(verbosity=2)
