#!/usr/bin/env python3
"""Breaks the pipeline by hand and sees whether its tests notice.

Each fault replaces one piece of text in one header of a copy of pipeline/; the tests named with it are built against the
copy and must fail. The same tests are first built against the headers as they are and must pass. A fault that survives, no
longer applies or no longer compiles is an error: exit status 1.

    mutate.py                  all faults
    mutate.py --quick          a few, one for each header that matters most
    mutate.py --built PROGRAM  pipeline_test as the project builds it: the tests that noticed a fault must pass there, instead of
                               all tests in a build of its own
    mutate.py WORD ...         those whose names contain a WORD
    mutate.py --reference      each fault also under tests/reference: does it disagree, and how short is the shortest case
    mutate.py --known FILE     keeps results there, and does not repeat what was seen with exactly the same sources
    mutate.py --page FILE      all faults, with the reference, as a page of docs/ (`./run prove --long` makes it)
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from faults import FAULTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE_CASES = 1000


class Workshop:
    """Builds one test file against some headers, and runs it."""

    def __init__(self, compiler, scratch):
        self.compiler = compiler
        self.scratch = scratch
        self.flags = ["-std=c++20", "-O0", "-w", "-pthread"]
        prelude = scratch / "prelude.h"
        prelude.write_text("#include <gtest/gtest.h>\n#include <functional>\n#include <map>\n#include <memory>\n"
                           "#include <random>\n#include <string>\n#include <thread>\n#include <tuple>\n"
                           "#include <vector>\n")
        self.run([compiler, *self.flags, "-x", "c++-header", prelude, "-o", scratch / "prelude.h.gch"])
        self.flags += ["-include", prelude]

    @staticmethod
    def run(command):
        subprocess.run(command, check=True, capture_output=True, text=True)

    def prepare_reference(self):
        """What of the reference test does not depend on pipeline/."""
        self.reference_objects = []
        for name in sorted(each.stem for each in (ROOT / "tests/reference").glob("*.cpp") if each.stem != "side_by_side"):
            target = self.scratch / f"{name}.o"
            self.run([self.compiler, "-std=c++20", "-O1", "-w", "-I", ROOT, "-c", ROOT / f"tests/reference/{name}.cpp", "-o", target])
            self.reference_objects.append(target)

    def refer(self, directory):
        """(True, where the pipeline disagrees with the model) or (False, "agrees")."""
        program = directory / "reference_test"
        self.run([self.compiler, *self.flags, "-I", directory, "-I", ROOT, ROOT / "tests/reference/side_by_side.cpp",
                  *self.reference_objects, "-o", program, "-lrapidcheck"])
        try:
            done = subprocess.run([program, "--cases", str(REFERENCE_CASES)], capture_output=True, text=True,
                                  errors="replace", timeout=120)
        except subprocess.TimeoutExpired:
            return True, "does not end"
        if done.returncode == 0:
            return False, "agrees"
        found = re.search(r"^DISAGREEMENT in case (\d+) .*shrunk to (\d+) operations", done.stderr, re.M)
        if found:
            operations = "1 operation" if found.group(2) == "1" else f"{found.group(2)} operations"
            return True, f"case {found.group(1)}, shrunk to {operations}"
        return True, f"stopped by signal {-done.returncode}" if done.returncode < 0 else "fails"

    @staticmethod
    def passes(program, test):
        """Whether this test, of the program that the project builds, runs and passes."""
        done = subprocess.run([program, f"--gtest_filter={test}"], capture_output=True, text=True, errors="replace", timeout=120)
        return done.returncode == 0 and "[  PASSED  ] 1 test." in done.stdout

    def test(self, directory, name):
        """Which test failed first; None if all passed. Raises CalledProcessError if it does not compile."""
        program = directory / name
        self.run([self.compiler, *self.flags, "-I", directory, "-I", ROOT, ROOT / f"tests/pipeline/{name}_test.cpp",
                  "-o", program, "-lgtest", "-lgtest_main"])
        try:
            done = subprocess.run([program, "--gtest_brief=0", "--gtest_color=no", "--gtest_catch_exceptions=0"],
                                  capture_output=True, text=True, errors="replace", timeout=120)
        except subprocess.TimeoutExpired:
            return "(ran into the time limit)"
        if done.returncode == 0:
            return None
        failed = re.search(r"^\[  FAILED  \] (\S+\.\S+)", done.stdout, re.M)
        if failed:
            return failed.group(1).rstrip(",")
        started = re.findall(r"^\[ RUN      \] (\S+)", done.stdout, re.M)
        return f"{started[-1] if started else '?'} (stopped by signal {-done.returncode})"


def text_of(fault):
    return (ROOT / "pipeline" / fault.header).read_text()


def check(workshop, number, fault, reference, built):
    """(killed, by which test, what the reference says)"""
    directory = workshop.scratch / str(number)
    shutil.copytree(ROOT / "pipeline", directory / "pipeline")
    (directory / "pipeline" / fault.header).write_text(text_of(fault).replace(fault.old, fault.new))
    try:
        killer = workshop.test(directory, fault.test)
        seen = workshop.refer(directory)[1] if reference else ""
    except subprocess.CalledProcessError as error:
        return False, f"DOES NOT COMPILE\n{error.stderr}", ""
    if killer and built and not workshop.passes(built, killer.split()[0]):
        return False, f"NOT THE FAULT: {killer} does not pass without it either", seen
    shutil.rmtree(directory)
    return (True, killer, seen) if killer else (False, f"SURVIVED {fault.test}_test.cpp", seen)


class Memory:
    """Results of earlier runs over exactly the same sources."""

    def __init__(self, path, compiler):
        self.path = path
        digest = hashlib.sha256(compiler.encode())
        for folder in ("pipeline", "tests/pipeline", "tests/reference"):
            for source in sorted((ROOT / folder).iterdir()):
                if source.suffix in (".h", ".cpp"):
                    digest.update(source.name.encode() + b"\0" + source.read_bytes())
        self.key = digest.hexdigest()
        try:
            stored = json.loads(path.read_text()) if path else {}
        except (FileNotFoundError, json.JSONDecodeError):
            stored = {}
        self.results = stored.get("results", {}) if stored.get("key") == self.key else {}

    @staticmethod
    def name_of(fault):
        return hashlib.sha256(repr(fault).encode()).hexdigest()

    def find(self, fault, reference):
        known = self.results.get(self.name_of(fault))
        return known if known and (known[2] or not reference) else None

    def store(self, fault, done):
        self.results[self.name_of(fault)] = done
        if self.path:
            self.path.write_text(json.dumps({"key": self.key, "results": self.results}))


def page(results):
    """The table as a page of docs/."""
    killed = sum(done[0] for _, done in results)
    disagreed = sum(done[2] != "agrees" for _, done in results)
    lines = ["# Faults made by hand, and the tests that notice them", "",
             "Made by `./run prove --long` (`tests/pipeline/mutate.py`); not edited by hand. Each line is one change to one header of `pipeline/`;",
             "*noticed by* is the first test that fails in a build with it. *Reference* is the same build under",
             f"`tests/reference` ({REFERENCE_CASES} random cases, seed 1): in which case it first disagrees with the model of plain queues, and",
             "how short the case becomes by shrinking. The reference runs in one thread: what takes a second one, a hostile client or",
             "a damaged region is not for it to see (*agrees*).", "",
             f"{killed} of {len(results)} faults were noticed by the test named; {disagreed} of them by the reference as well.", "",
             "| breaks | fault | header | noticed by | reference |", "|---|---|---|---|---|"]
    for fault, (_, how, seen) in results:
        breaks, colon, what = fault.name.partition(": ")
        if not colon:
            breaks, what = "M1" if fault.header == "tournament.h" else "format", fault.name
        lines.append(f"| {breaks} | {what} | {fault.header} | {how.splitlines()[0]} | {seen} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--known", type=pathlib.Path)
    parser.add_argument("--built", type=pathlib.Path)
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    if options.page and (options.quick or options.words):
        parser.error("the page shows all faults")
    reference = options.reference or options.page
    faults = [fault for fault in FAULTS if (fault.quick or not options.quick) and
              (not options.words or any(word in fault.name for word in options.words))]
    if not faults:
        parser.error("no fault has such a name")

    # All of them, also where only a few are made: a change to the headers shows at once which faults must follow it.
    stale = [fault for fault in FAULTS if text_of(fault).count(fault.old) != 1]
    for fault in stale:
        print(f"{fault.header:14} {fault.name}: DOES NOT APPLY: its text stands {text_of(fault).count(fault.old)} times there")
    if stale:
        return 1

    known = Memory(options.known, options.compiler)
    results = []
    with tempfile.TemporaryDirectory() as directory, \
         concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        workshop = Workshop(options.compiler, pathlib.Path(directory))
        whole = pathlib.Path(directory) / "whole"
        whole.mkdir()
        new = [fault for fault in faults if not known.find(fault, reference)]
        tests = sorted({fault.test for fault in new}) if not options.built else []
        for test, failed in zip(tests, pool.map(lambda test: workshop.test(whole, test), tests)):
            if failed:
                print(f"{test}_test.cpp fails without any fault: {failed}")
                return 1
        if reference and new:
            workshop.prepare_reference()
            if workshop.refer(whole)[0]:
                print("the reference disagrees without any fault")
                return 1
        width = max(len(fault.name) for fault in faults)
        outcomes = pool.map(lambda each: known.find(each[1], reference) or check(workshop, *each, reference, options.built),
                            enumerate(faults))
        for fault, done in zip(faults, outcomes):
            print(f"{fault.header:14} {fault.name:{width}}  {done[1]}" + (f"; reference: {done[2]}" if done[2] else ""), flush=True)
            results.append((fault, done))
            known.store(fault, done)
            if sys.stderr.isatty() and not sys.stdout.isatty():
                print(f"\r\033[K[{len(results)}/{len(faults)}] {fault.name}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty() and not sys.stdout.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    killed = sum(done[0] for _, done in results)
    print(f"{killed} of {len(results)} faults were noticed")
    if options.page:
        options.page.write_text(page(results))
    return 0 if killed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
