#!/usr/bin/env python3
"""The reproducibility gate, tested: what differs, or leans on the rest of the project, must be refused."""
import contextlib
import io
import pathlib
import shutil
import sys
import tempfile
import unittest
import unittest.mock

import reproducible_gate as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class reproducible_gate(unittest.TestCase):
    def outcome(self, image, again):
        """Exit status and words of the gate for an image and what was built elsewhere."""
        with tempfile.TemporaryDirectory() as scratch:
            path = pathlib.Path(scratch) / "sluice.sys"
            path.write_bytes(image)
            said = io.StringIO()
            with unittest.mock.patch.object(gate, "build_elsewhere", again), contextlib.redirect_stdout(said), \
                    unittest.mock.patch.object(sys, "argv", ["gate", str(path)]):
                return gate.main(), said.getvalue()

    def test_takes_the_same_bytes(self):
        self.assertEqual(self.outcome(b"same", lambda *_: b"same")[0], 0)

    def test_refuses_another_byte(self):
        status, said = self.outcome(b"same", lambda *_: b"sane")
        self.assertEqual(status, 1)
        self.assertIn("differ first at offset 0x2", said)

    def test_refuses_another_length(self):
        status, said = self.outcome(b"same", lambda *_: b"same!")
        self.assertEqual(status, 1)
        self.assertIn("4 and 5 bytes", said)

    def test_refuses_sources_that_need_the_rest_of_the_project(self):
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch) / "root"
            for part in gate.PARTS:
                shutil.copytree(ROOT / part, root / part)
            entry = root / "kernel_port/driver/driver_entry.cpp"
            entry.write_text('#include "kernel_port/sim/machine.h"\n' + entry.read_text())
            (pathlib.Path(scratch) / "place").mkdir()
            with self.assertRaisesRegex(RuntimeError, "kernel_port/sim/machine.h: No such file"):
                gate.build_elsewhere(root, pathlib.Path(scratch) / "place")


if __name__ == "__main__":
    unittest.main(verbosity=2)
