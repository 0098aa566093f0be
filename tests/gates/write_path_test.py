#!/usr/bin/env python3
"""The gate of the write path, tested: in a copy of the tree, each damage it claims to find is done, and must be refused."""
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import write_path as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class write_path_gate_refuses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.built = tempfile.TemporaryDirectory()
        cls.driver = gate.build_driver(ROOT, pathlib.Path(cls.built.name))

    @classmethod
    def tearDownClass(cls):
        cls.built.cleanup()

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.scratch.name).resolve()
        shutil.copytree(ROOT / "pipeline", self.root / "pipeline")
        for name in ("tests/gates", "tests/instruction", "docs"):
            (self.root / name).mkdir(parents=True)
        for path in [*ROOT.glob("tests/gates/write_path*"), *ROOT.glob("tests/instruction/stepper.*"), ROOT / gate.PAGE]:
            shutil.copy(path, self.root / path.relative_to(ROOT))

    def tearDown(self):
        self.scratch.cleanup()

    def replace(self, path, old, new):
        text = (self.root / path).read_text()
        self.assertIn(old, text, f"{path} has changed; this test must follow")
        (self.root / path).write_text(text.replace(old, new, 1))

    def check(self):
        with tempfile.TemporaryDirectory() as directory:
            try:
                paths = gate.trace(self.root, gate.COMPILERS["gxx"], pathlib.Path(directory), self.driver)
            except gate.Skip as why:
                self.skipTest(str(why))
        gate.check_protocol("gxx", paths)
        gate.check_page(self.root, "gxx", paths)

    def refuses(self, because):
        with self.assertRaises(gate.Broken) as refusal:
            self.check()
        self.assertRegex(str(refusal.exception), because)

    def test_nothing_in_an_undamaged_tree(self):
        self.check()

    def test_a_clock_read_before_the_publication(self):
        self.replace("pipeline/cpu_rings.h", "    main_.publish();\n    main_.put_time(record, now());",
                     "    const uint64_t early = now();\n    main_.publish();\n    main_.put_time(record, early);")
        self.refuses("write does this: .*clock, publish, time")

    def test_a_payload_after_the_close(self):
        text = "    record.data.copy_in(record.offset + record_header_size, payload, payload_length);\n"
        self.replace("pipeline/cpu_rings.h", text, "")
        self.replace("pipeline/cpu_rings.h", "    record.close(record_state::committed);\n",
                     "    record.close(record_state::committed);\n    seam::light_barrier();\n" + text)
        self.refuses("write does this: .*close, payload")

    def test_a_store_that_disappears(self):
        self.replace("pipeline/ring.h", "producer_->published.store(write_, order::publish);", "")
        self.refuses("write_path_steps|write does this: header, reserved(, payload)+, clock")

    def test_a_fence(self):
        self.replace("pipeline/atomic.h", '__asm__ volatile("" ::: "memory")', '__asm__ volatile("mfence" ::: "memory")')
        self.refuses("executes an ordering instruction: mfence")

    def test_an_instruction_more(self):
        self.replace("pipeline/atomic.h", '__asm__ volatile("" ::: "memory")', '__asm__ volatile("nop" ::: "memory")')
        self.refuses("instructions above clock and copy, more than|instructions, but it is")

    def test_a_page_that_says_something_else(self):
        text = (self.root / gate.PAGE).read_text()
        (self.root / gate.PAGE).write_text(text.replace("rdtsc  ", "rdtscp "))
        if gate.version_of(gate.COMPILERS["gxx"]) not in text:
            self.skipTest("the page was made with another version of g++")
        self.refuses("is not what is compiled")


if __name__ == "__main__":
    unittest.main(verbosity=2)
