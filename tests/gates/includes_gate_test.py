#!/usr/bin/env python3
"""The gate of the includes, tested: what is missing must be found, and nothing else."""
import pathlib
import tempfile
import unittest

import includes_gate as gate

ROOT = pathlib.Path(__file__).resolve().parents[2]


class includes_gate_test(unittest.TestCase):
    def found(self, **files):
        """What the gate says of a tree of these files; `__` in a name is a `/`, the last `_` its dot."""
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            for name, text in files.items():
                stem, _, suffix = name.rpartition("_")
                path = root / f"{stem.replace('__', '/')}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return gate.check(root)[0]

    def test_a_name_without_its_header(self):
        self.assertEqual(self.found(pipeline__a_cpp="#include <string>\n\nstd::vector<std::string> all;\n"),
                         ["pipeline/a.cpp:3: std::vector without #include <vector>"])

    def test_a_header_that_needs_another_of_the_standard_library(self):
        self.assertEqual(self.found(consumers__a_h="#pragma once\ninline std::mutex one;\n"),
                         ["consumers/a.h:2: std::mutex without #include <mutex>"])

    def test_each_header_once_a_file(self):
        self.assertEqual(len(self.found(stress__a_cpp="std::map<int, int> a;\nstd::map<int, int> b;\nstd::set<int> c;\n")), 2)

    def test_what_a_header_of_the_project_brings_is_there(self):
        self.assertEqual(self.found(tests__a_h="#include <map>\n", tests__b_h='#include "tests/a.h"\n',
                                    tests__c_cpp='#include "tests/b.h"\nstd::map<int, int> all;\n'), [])

    def test_headers_that_include_each_other(self):
        self.assertEqual(self.found(tests__a_h='#include "tests/b.h"\n', tests__b_h='#include "tests/a.h"\nstd::span<int> of();\n'),
                         ["tests/b.h:2: std::span without #include <span>"])

    def test_a_name_in_a_comment_or_in_text_needs_nothing(self):
        self.assertEqual(self.found(bench__a_cpp='// std::map\n/* std::set\n */ const char* a = "std::deque \\" std::list";\n'), [])

    def test_a_name_of_ours_is_no_name_of_the_standard_library(self):
        self.assertEqual(self.found(bench__a_cpp="sluice::std::map a;\n"), [])

    def test_damage_to_a_file_of_the_project(self):
        path = "kernel_port/sim/scheduled_thread.h"
        text = (ROOT / path).read_text()
        self.assertIn("#include <thread>\n", text, f"{path} has changed; this test must follow")
        sources = gate.Sources(ROOT)
        self.assertEqual(list(gate.missing(sources, ROOT / path)), [])
        with tempfile.TemporaryDirectory() as scratch:
            damaged = pathlib.Path(scratch) / "scheduled_thread.h"
            damaged.write_text(text.replace("#include <thread>\n", ""))
            self.assertEqual([header for _, _, header in gate.missing(gate.Sources(ROOT), damaged)], ["thread"])


if __name__ == "__main__":
    unittest.main()
