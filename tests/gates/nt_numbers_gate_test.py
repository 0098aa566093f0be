#!/usr/bin/env python3
"""The gate of NT's numbers, tested: nt_numbers_gate_test.py COMPILER OBJDUMP. A changed constant, enumerator or type of the
simulated headers must be refused."""
import pathlib
import shutil
import sys
import tempfile
import unittest

import nt_numbers_gate as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMPILER, OBJDUMP = sys.argv[1:3] if len(sys.argv) >= 3 else sys.exit(__doc__)


class nt_numbers_gate_refuses(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.scratch.name)
        for part in ("kernel_port/sim/include", "kernel_port/nt"):
            shutil.copytree(ROOT / part, self.root / part)

    def tearDown(self):
        self.scratch.cleanup()

    def replace(self, old, new):
        """In whichever simulated header has it."""
        for path in (self.root / "kernel_port/sim/include").rglob("*.h"):
            if old in path.read_text():
                path.write_text(path.read_text().replace(old, new))
                return
        self.fail(f"no simulated header has {old!r}; this test must follow")

    def refuses(self, because):
        with self.assertRaisesRegex(gate.Broken, because):
            gate.check(self.root, COMPILER, OBJDUMP)

    def test_nothing_in_the_headers_as_they_are(self):
        compared, _ = gate.check(self.root, COMPILER, OBJDUMP)
        self.assertGreaterEqual(compared, gate.FEWEST)

    def test_another_status_code(self):
        self.replace("#define STATUS_TIMEOUT ((NTSTATUS)0x00000102)", "#define STATUS_TIMEOUT ((NTSTATUS)0xC0000102)")
        self.refuses("STATUS_TIMEOUT: 0xffffffffc0000102 simulated, 0x102 in NT")

    def test_another_major_function(self):
        self.replace("#define IRP_MJ_CLEANUP 0x12", "#define IRP_MJ_CLEANUP 0x13")
        self.refuses("IRP_MJ_CLEANUP: 0x13 simulated, 0x12 in NT")

    def test_an_enumerator_out_of_place(self):
        self.replace("SynchronizationEvent", "NobodysEvent, SynchronizationEvent")
        self.refuses("SynchronizationEvent: 0x2 simulated, 0x1 in NT")

    def test_a_type_of_another_size(self):
        self.replace("typedef LONG KPRIORITY;", "typedef LONGLONG KPRIORITY;")
        self.refuses(r"sizeof\(KPRIORITY\): 0x8 simulated, 0x4 in NT")

    def test_headers_it_no_longer_reads(self):
        for path in (self.root / "kernel_port/sim/include").rglob("*.h"):
            path.write_text("")
        self.refuses("only 0 numbers")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
