#!/usr/bin/env python3
"""The gate of the same optimised IR, tested: one side gets other options, or another source, and must be refused.

    same_ir_test.py COMPILE_COMMANDS --driver OPTION ...
"""
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import same_ir as gate

ROOT = gate.ROOT
COMMANDS = pathlib.Path(sys.argv[1])
DRIVER = gate.driver_options(sys.argv[3:])
MERGE, RINGS = gate.BY_VALUE


class same_ir_gate_refuses(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.scratch.cleanup()

    def refuses(self, source, because, driver=DRIVER, linux=(), damage=None):
        driver_root = ROOT
        if damage:
            driver_root = pathlib.Path(self.scratch.name)
            for part in ("pipeline", "producers", "kernel_port/nt", "kernel_port/sim/include"):
                shutil.copytree(ROOT / part, driver_root / part)
            path, old, new = damage
            text = (driver_root / path).read_text()
            self.assertIn(old, text, f"{path} has changed; this test must follow")
            (driver_root / path).write_text(text.replace(old, new, 1))
        with self.assertRaises(gate.Broken) as refusal:
            gate.check(source, [*gate.linux_options(COMMANDS, source), *linux], driver, ROOT, driver_root)
        self.assertRegex(str(refusal.exception), because)

    def test_another_optimisation_of_the_driver(self):
        self.refuses(RINGS, "is not the same|on one side only", driver=[*DRIVER, "-Os"])

    def test_another_optimisation_of_the_linux_build(self):
        self.refuses(MERGE, "is not the same|on one side only", linux=["-O1"])

    def test_a_stack_protector_on_one_side(self):
        self.refuses(MERGE, "is not the same", linux=["-fstack-protector-all"])

    def test_another_processor_on_one_side(self):
        self.refuses(RINGS, "is not the same", driver=[*DRIVER, "-mbmi2"])

    def test_a_source_that_depends_on_the_system(self):
        self.refuses(RINGS, "ring<sluice::native_seam>::.* is not the same", damage=(
            "pipeline/ring.h", "reclaim_step = 1024;", "reclaim_step =\n#ifdef _WIN32\n2048;\n#else\n1024;\n#endif\n"))

    def test_an_order_that_is_weaker_on_one_side(self):
        self.refuses(RINGS, "is not the same", damage=(
            "pipeline/ring.h", "producer_->published.store(write_, order::publish);",
            "producer_->published.store(write_, memory_order::relaxed);"))

    def test_what_is_excused_for_the_calling_convention_only(self):
        self.refuses(MERGE, "look_again.* is not the same", damage=(
            "pipeline/ring_reader.h", "prefetch_distance = 256", "prefetch_distance = 512"))

    def test_an_excuse_that_is_not_needed(self):
        excused = gate.BY_VALUE[MERGE]
        gate.BY_VALUE[MERGE] = (*excused, r"sluice::native_merge::release\(")
        try:
            self.refuses(MERGE, "release.* must not excuse it")
        finally:
            gate.BY_VALUE[MERGE] = excused


if __name__ == "__main__":
    if gate.missing_tool():
        print(f"SKIPPED: {gate.missing_tool()} is missing")
        sys.exit(gate.SKIPPED)
    unittest.main(verbosity=2, argv=sys.argv[:1])
