#!/usr/bin/env python3
"""The annotation gate, tested: each damage it claims to find must be refused."""
import pathlib
import shutil
import sys
import tempfile
import unittest

import annotation_gate as gate

ROOT = pathlib.Path(__file__).resolve().parents[2]


class annotation_gate_refuses(unittest.TestCase):
    def refuses(self, path, old, new, because):
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            for directory in ("kernel_port", "producers", "pipeline"):
                shutil.copytree(ROOT / directory, root / directory)
            text = (root / path).read_text()
            self.assertIn(old, text, "the damage no longer applies")
            (root / path).write_text(text.replace(old, new, 1))
            with self.assertRaises(gate.Broken) as refusal:
                gate.check(root, "clang++")
            self.assertRegex(str(refusal.exception), because)

    def test_a_function_that_says_nothing(self):
        self.refuses("kernel_port/driver/request_queue.h", "  _IRQL_requires_max_(DISPATCH_LEVEL)\n  PIRP remove", "  PIRP remove",
                     r"request_queue.h:\d+: request_queue::remove does not say")

    def test_pageable_code_that_may_be_called_too_high(self):
        self.refuses("kernel_port/driver/time_watch.h", "SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)\n  void stop",
                     "SLUICE_PAGED_CODE _IRQL_requires_max_(DISPATCH_LEVEL)\n  void stop", r"time_watch::stop is pageable, and may be called")

    def test_code_of_INIT_that_may_be_called_above_PASSIVE_LEVEL(self):
        self.refuses("producers/own_types.h", "SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)",
                     "SLUICE_INIT_CODE _IRQL_requires_max_(APC_LEVEL)", r"own_type_registry::start is in INIT")

    def test_pageable_code_without_its_assertion(self):
        self.refuses("kernel_port/driver/time_watch.cpp", "void time_watch::stop() {\n  PAGED_CODE();", "void time_watch::stop() {",
                     r"time_watch::stop is pageable, and does not begin with PAGED_CODE")


if __name__ == "__main__":
    if shutil.which("clang++") is None:
        print("SKIPPED: no clang++ here")
        sys.exit(77)
    unittest.main(verbosity=2)
