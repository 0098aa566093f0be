#!/usr/bin/env python3
"""Breaks the order of steps in the pipeline and sees whether the single-stepped tests notice.

These are faults that a test which only calls functions one after the other cannot see: all is well again when the call
returns. Each replaces text in one header of a copy of pipeline/; the tests named with it are built against the copy and must
fail. First they are built against the headers as they are, and must pass. A fault that survives, no longer applies or no
longer compiles is an error: exit status 1. 77: nothing can be single-stepped here.

    faults.py             all faults
    faults.py --quick     two of them
    faults.py --built PROGRAM
                          instruction_test as the project builds it: the tests that noticed a fault must pass there, instead of all
                          tests in a build of its own
    faults.py WORD ...    those whose names contain a WORD
    faults.py --table     as a table for docs/proof.md
"""
import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77


class Skipped(Exception):
    pass


@dataclasses.dataclass
class Fault:
    name: str
    header: str
    edits: list  # (old, new), each standing once in the header
    test: str    # the file whose tests must notice
    quick: bool = False


WRITE = ("    record.data.copy_in(record.offset + record_header_size, payload, payload_length);\n"
         "    main_.publish();\n"
         "    main_.put_time(record, now());\n"
         "    record.close(record_state::committed);\n")
COPY, PUBLISH, TIME, COMMIT = WRITE.splitlines(keepends=True)
SLOW = ("    record.data.copy_in(record.offset + record_header_size, payload, record.payload_length());\n"
        "    lane->put_time(record, publish(*lane, loss));\n"
        "    record.close(record_state::committed);\n")
SLOW_COPY, SLOW_TIME, SLOW_COMMIT = SLOW.splitlines(keepends=True)
REFUSE = "      if (!is_closed(state_of(state_and_length)) || stride > claimed - passed) [[unlikely]] {\n"
LEDGER_PASS = ("      ledger.pass(data.load(offset + offsetof(record_header, type)) & 0xffff, "
               "state_of(state_and_length));\n")
BARRIER = "    seam::light_barrier();\n"  # or the compiler undoes the damage

FAULTS = [
    Fault("write: committed before its payload is there", "cpu_rings.h",
          [(WRITE, PUBLISH + TIME + COMMIT + BARRIER + COPY)], "consumer", quick=True),
    Fault("write: committed before its time is there", "cpu_rings.h",
          [(WRITE, COPY + PUBLISH + "    const uint64_t time = now();\n" + COMMIT + BARRIER +
            "    main_.put_time(record, time);\n")], "consumer"),
    Fault("write: clock read before the publication", "cpu_rings.h",
          [(WRITE, COPY + "    const uint64_t time = now();\n" + BARRIER + PUBLISH + "    main_.put_time(record, time);\n" +
            COMMIT)], "consumer"),
    Fault("write: committed before it is published", "cpu_rings.h",
          [(WRITE, COPY + "    main_.put_time(record, now());\n" + COMMIT + BARRIER + PUBLISH)], "consumer"),
    Fault("write with LOSS: committed before its payload is there", "cpu_rings.h",
          [(SLOW, SLOW_TIME + SLOW_COMMIT + BARRIER + SLOW_COPY)], "consumer"),
    Fault("reserve: stamped before its time is there", "ring.h",
          [("    put_time(record, time);\n    record.data.state(record.offset)", "    record.data.state(record.offset)"),
           ("record_state::stamped, record.length), order::stamp);\n",
            "record_state::stamped, record.length), order::stamp);\n" + BARRIER + "    put_time(record, time);\n")],
          "consumer"),
    Fault("reserve: stamped before it is published", "cpu_rings.h",
          [("      main_.publish();\n      main_.stamp(record, now());\n",
            "      main_.stamp(record, now());\n" + BARRIER + "      main_.publish();\n")], "consumer"),
    Fault("reserve: clock read before the publication", "cpu_rings.h",
          [("      main_.publish();\n      main_.stamp(record, now());\n",
            "      const uint64_t time = now();\n" + BARRIER + "      main_.publish();\n      main_.stamp(record, time);\n")],
          "consumer"),
    Fault("published before its header is written", "ring.h",
          [("    record.data = data_;\n    record.offset = write_ & mask_;\n",
            "    record.data = data_;\n    record.offset = write_ & mask_;\n"
            "    producer_->published.store(write_ + record_stride(shape.length), order::publish);\n" + BARRIER)],
          "consumer", quick=True),
    Fault("LOSS published before the event behind it", "ring.h",
          [("      ledger.attempt(record_type_loss);\n",
            "      ledger.attempt(record_type_loss);\n" + BARRIER + "      publish();\n")], "producer"),
    Fault("LOSS published before its payload is there", "ring.h",
          [("      ledger.write_loss(", "      publish();\n" + BARRIER + "      ledger.write_loss(")], "producer"),
    Fault("LOSS committed before its time is there", "cpu_rings.h",
          [("      lane.put_time(loss, time);\n      loss.close(record_state::committed);\n",
            "      loss.close(record_state::committed);\n" + BARRIER + "      lane.put_time(loss, time);\n")], "consumer"),
    Fault("spare lane: clock read before the publication", "cpu_rings.h",
          [("    lane.publish();\n    uint64_t time = now();\n",
            "    uint64_t time = now();\n" + BARRIER + "    lane.publish();\n")], "consumer"),
    Fault("figures: the sequence stays even while they are written", "ledger.h",
          [("figures.sequence.store(++sequence_, memory_order::relaxed);", "++sequence_;")], "producer"),
    Fault("figures: the sequence is even again before the last of them", "ledger.h",
          [("    figures.dropped[type].store(all_dropped_[type], order::publish_loss);\n"
            "    figures.sequence.store(++sequence_, order::publish_loss);\n",
            "    figures.sequence.store(++sequence_, order::publish_loss);\n" + BARRIER +
            "    figures.dropped[type].store(all_dropped_[type], order::publish_loss);\n")], "producer"),
    Fault("reclaim passes an open record", "ring.h", [("!is_closed(state_of(state_and_length)) || ", "")], "hostile"),
    Fault("reclaim counts a record that it then refuses", "ring.h",
          [(LEDGER_PASS, ""), (REFUSE, LEDGER_PASS + REFUSE)], "hostile"),
    Fault("reclaim looks no further than an older claim", "ring.h",
          [("if (claim_ - begin < wanted) {", "if (claim_ == begin) {")], "consumer"),
    Fault("reader: room given back before the record was read", "merge.h",
          [("      if (!accept(record)) return false;\n      if (record.late)",
            "      { reader before = from; before.take(head); before.release(); }\n" + BARRIER +
            "      if (!accept(record)) return false;\n      if (record.late)")], "consumer"),
    Fault("reader: bound of a reserved head is its stale time", "ring_reader.h",
          [("if (head.state != head_state::reserved && head.state != head_state::damaged) {",
            "if (head.state != head_state::damaged) {")], "consumer"),
    Fault("reader: a reserved head's bound is the pass's T", "merge.h",
          [("return head.state == head_state::empty ? idle_key_ : head.time;",
            "return head.state == head_state::empty || head.state == head_state::reserved ? idle_key_ : head.time;")],
          "consumer"),
    Fault("merge: rings looked at before T is taken", "merge.h",
          [("    const uint64_t bound = order_.take_bound(clock_);\n",
            "    for (uint32_t i = 0; i < count_; ++i) heads_[i] = readers_[i].look();\n" + BARRIER +
            "    const uint64_t bound = order_.take_bound(clock_);\n"),
           ("      heads_[i] = readers_[i].look();\n      tree_.set(i,", "      tree_.set(i,")], "consumer"),
    Fault("sleep over a closed record", "merge.h",
          [("(end == pass_end::idle_bound && !closed_pending)", "(end == pass_end::idle_bound)")], "wake"),
    Fault("sleep over a reserved head", "merge.h",
          [("return end == pass_end::stamped ||", "return end == pass_end::stamped || end == pass_end::reserved ||")],
          "wake"),
]

COMMON = ["stepped", "consumer", "world", "invariants", "log"]  # stepped first: its copy of what both compile is linked


class Workshop:
    """Builds the tests of one file against some headers, and runs them."""

    def __init__(self, compiler, scratch):
        self.compiler = compiler
        self.scratch = scratch
        self.flags = ["-std=c++20", "-w"]
        (scratch / "prelude.h").write_text("#include <gtest/gtest.h>\n#include <functional>\n#include <memory>\n"
                                           "#include <string>\n#include <vector>\n")
        self.run([compiler, *self.flags, "-O1", "-x", "c++-header", scratch / "prelude.h", "-o", scratch / "prelude.h.gch"])
        self.prebuilt = [self.compile(ROOT, scratch, name, ["-O2"]) for name in ("stepper", "main")]

    @staticmethod
    def run(command):
        subprocess.run(command, check=True, capture_output=True, text=True)

    def compile(self, tree, directory, name, flags):
        made = directory / f"{name}.o"
        self.run([self.compiler, *self.flags, *flags, "-I", tree, "-I", ROOT, "-c",
                  ROOT / f"tests/instruction/{name}.cpp", "-o", made])
        return made

    @staticmethod
    def passes(program, test):
        """Whether this test, of the program that the project builds, runs and passes."""
        done = subprocess.run([program, f"--gtest_filter={test}"], capture_output=True, text=True, errors="replace", timeout=240)
        return done.returncode == 0 and "[  PASSED  ] 1 test." in done.stdout

    def test(self, directory, name):
        """What failed first, and which test; None if all passed. Raises CalledProcessError if it does not compile."""
        objects = [self.compile(directory, directory, each, ["-O2"]) for each in COMMON]
        objects.append(self.compile(directory, directory, f"{name}_test",
                                    ["-O1", "-include", self.scratch / "prelude.h"]))
        program = directory / name
        self.run([self.compiler, *objects, *self.prebuilt, "-o", program, "-lgtest"])
        try:
            done = subprocess.run([program, "--gtest_color=no", "--gtest_fail_fast", "--gtest_catch_exceptions=0"],
                                  capture_output=True, text=True, errors="replace", timeout=240)
        except subprocess.TimeoutExpired:
            return "(ran into the time limit)", ""
        skipped = re.search(r"^Every instruction: SKIPPED.*", done.stdout, re.M)
        if skipped:
            raise Skipped(skipped.group())
        if done.returncode == 0:
            return None
        started = re.findall(r"^\[ RUN      \] (\S+)", done.stdout, re.M)
        test = started[-1] if started else ""  # it stops at the first failure
        why = re.search(r"^[^\n]*?, instruction (\d+), ([^\n]*)", done.stdout, re.M)
        if why:
            return f"instruction {why.group(1)}, {re.sub(r' [(]got .*', '', why.group(2))}", test
        failed = re.search(r"^\[  FAILED  \] (\S+\.\S+)", done.stdout, re.M)
        if failed:
            return failed.group(1).rstrip(","), test
        return f"(stopped by signal {-done.returncode})", test


def check(workshop, number, fault, built):
    directory = workshop.scratch / str(number)
    shutil.copytree(ROOT / "pipeline", directory / "pipeline")
    header = directory / "pipeline" / fault.header
    text = header.read_text()
    for old, new in fault.edits:
        if text.count(old) != 1:
            return False, f"DOES NOT APPLY: its text stands {text.count(old)} times in {fault.header}: {old.strip()}"
        text = text.replace(old, new)
    header.write_text(text)
    try:
        noticed = workshop.test(directory, fault.test)
    except subprocess.CalledProcessError as error:
        return False, f"DOES NOT COMPILE\n{error.stderr}"
    shutil.rmtree(directory)
    if not noticed:
        return False, f"SURVIVED {fault.test}_test.cpp"
    killer, test = noticed
    if built and not workshop.passes(built, test):
        return False, f"NOT THE FAULT: {test} does not pass without it either ({killer})"
    return True, killer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--built", type=pathlib.Path)
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if (fault.quick or not options.quick) and
              (not options.words or any(word in fault.name for word in options.words))]
    if not faults:
        parser.error("no fault has such a name")

    survivors = 0
    with tempfile.TemporaryDirectory() as directory, \
         concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        workshop = Workshop(options.compiler, pathlib.Path(directory))
        tests = sorted({fault.test for fault in faults}) if not options.built else []
        for test in tests:
            (pathlib.Path(directory) / test).mkdir()
        passed = pool.map(lambda test: workshop.test(pathlib.Path(directory) / test, test), tests)
        for test, failed in zip(tests, passed):
            if failed:
                print(f"{test}_test.cpp fails without any fault: {failed[0]}")
                return 1
        width = max(len(fault.name) for fault in faults)
        if options.table:
            print("| fault | in | noticed at |\n|---|---|---|")
        for fault, (killed, how) in zip(faults, pool.map(lambda each: check(workshop, *each, options.built), enumerate(faults))):
            if options.table:
                print(f"| {fault.name} | {fault.header} | {how} |", flush=True)
            else:
                print(f"{fault.header:14} {fault.name:{width}}  {how}", flush=True)
            survivors += not killed
    print(f"{len(faults) - survivors} of {len(faults)} faults were noticed", file=sys.stderr if options.table else sys.stdout)
    return 1 if survivors else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skipped as why:
        print(why)
        sys.exit(SKIPPED)
