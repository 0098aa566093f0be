#!/usr/bin/env python3
"""Breaks what stands around the core by hand, and sees whether the tests notice.

    run.py --build DIRECTORY             all faults; DIRECTORY is a finished release build
    run.py --build DIRECTORY WORD ...    those whose names or files contain a WORD
    run.py --build DIRECTORY --page FILE all faults, as a page of docs/
    run.py --check                       only whether each fault still applies, exactly once

Each fault replaces one piece of text in one source file (faults.py). The file is compiled from a copy, with the build's own command but
for the optimisation, and takes its object's place in a test program; neither the tree nor the build is changed. The tests named must
pass as the program was built and fail with the fault. Exit code: 0 every fault was noticed, 1 one was not, no longer applies or no
longer compiles, 2 wrong arguments.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

from faults import FAULTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONGEST = 120  # seconds: a test that hangs has noticed


class Failure(Exception):
    pass


def broken_text(fault):
    if not fault.file.endswith(".cpp"):
        raise Failure(f"{fault.file}: only a file that is compiled by itself can be broken")
    text = (ROOT / fault.file).read_text()
    if text.count(fault.old) != 1:
        raise Failure(f"{fault.file}: the text to replace stands there {text.count(fault.old)} times")
    if fault.old == fault.new:
        raise Failure("it changes nothing")
    return text.replace(fault.old, fault.new)


class Workshop:
    def __init__(self, build, scratch):
        self.build, self.scratch = build, scratch
        self.units = {}  # source file -> what compiles it
        for unit in json.loads((build / "compile_commands.json").read_text()):
            for source in self.sources_of(pathlib.Path(unit["file"])):
                self.units.setdefault(source, []).append(unit)
        self.links = {}

    @staticmethod
    def sources_of(unit):
        """Sources that are compiled together stand in one file that includes them."""
        if unit.name.startswith("unity_"):
            return re.findall(r'#include "([^"]+)"', unit.read_text())
        return [str(unit)]

    def link_command(self, program):
        if program not in self.links:
            said = subprocess.run(["ninja", "-C", str(self.build), "-t", "commands", f"bin/{program}"], check=True, capture_output=True,
                                  text=True).stdout.splitlines()
            last = [line for line in said if f"-o bin/{program} " in line][-1]
            self.links[program] = next(part for part in last.split("&&") if f"-o bin/{program} " in part)
        return self.links[program]

    def run(self, command):
        done = subprocess.run(command, cwd=self.build, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure("it does not compile: " + (done.stderr.splitlines() or ["?"])[0])

    def make(self, number, fault):
        """The program with the fault in it."""
        directory = self.scratch / str(number)
        copy = directory / pathlib.Path(fault.file).name
        directory.mkdir()
        copy.write_text(broken_text(fault))
        link = shlex.split(self.link_command(fault.program))
        source = str(ROOT / fault.file)
        for unit in self.units[source]:
            compile_ = shlex.split(unit["command"])
            original = compile_[compile_.index("-o") + 1]
            # Of the units that have this source, the one that is part of the program: an object of its own, or of a library.
            library = pathlib.Path(original.split("CMakeFiles/")[1]).parts[0].removesuffix(".dir")
            in_library = any(part.endswith(f"lib{library}.a") for part in link)
            if original not in link and not in_library:
                continue
            target = directory / "broken.o"
            unit_file = copy
            if pathlib.Path(unit["file"]).name.startswith("unity_"):
                unit_file = directory / "unity.cxx"
                unit_file.write_text(pathlib.Path(unit["file"]).read_text().replace(f'"{source}"', f'"{copy}"'))
            compile_[compile_.index("-o") + 1] = str(target)
            compile_[compile_.index("-c") + 1] = str(unit_file)
            self.run(["-O0" if each == "-O2" else each for each in compile_] + ["-w"])
            if original in link:
                link[link.index(original)] = str(target)
            else:  # in front of the library, whose own one is not asked for then
                link.insert(next(i for i, part in enumerate(link) if part.endswith(".o")), str(target))
            break
        else:
            raise Failure(f"{fault.program} does not contain {fault.file}")
        made = directory / fault.program
        link[link.index("-o") + 1] = str(made)
        self.run(link)
        return made


def first_failure(program, tests):
    """None: they pass. The same order each time; the first that fails ends the run."""
    try:
        done = subprocess.run([str(program), f"--gtest_filter={tests}", "--gtest_fail_fast", "--gtest_brief=1"], capture_output=True,
                              text=True, errors="replace", timeout=LONGEST, env={**os.environ, "GTEST_COLOR": "no"})
    except subprocess.TimeoutExpired:
        return "a test that never ends"
    if done.returncode == 0:
        # That nothing is wrong says something only if something was looked at.
        return None if re.search(r"\[  PASSED  \] [1-9]", done.stdout) else f"no test is called {tests}"
    failed = re.search(r"\[  FAILED  \] ([\w./]+)", done.stdout)
    if failed:
        return failed[1]
    return f"stopped by signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"


def page(results):
    noticed = sum(1 for _, result, good in results if good)
    lines = ["# Faults made by hand outside of the core", "",
             "Made by `./run faults --page` (`tests/faults/run.py`); not edited by hand. Each line is one change to one source file of the consumers,",
             "the producers or the driver; *noticed by* is the first test that fails with it. The faults of the core are in `docs/proof-faults.md`.", "",
             f"{noticed} of {len(results)} faults were noticed by the tests named.", "",
             "| fault | file | noticed by |", "|---|---|---|"]
    lines += [f"| {fault.name} | {fault.file} | {result} |" for fault, result, _ in results]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description="Breaks what stands around the core by hand, and sees whether the tests notice.")
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="only whether each fault still applies, exactly once")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    if options.check:
        wrong = 0
        for fault in FAULTS:
            try:
                broken_text(fault)
            except Failure as failure:
                wrong += 1
                print(f"{fault.name}: {failure}")
        print(f"{len(FAULTS) - wrong} of {len(FAULTS)} faults apply")
        return 1 if wrong or len({fault.name for fault in FAULTS}) != len(FAULTS) else 0
    if options.build is None or (options.page and options.words):
        parser.error("--build is needed; a page is made of all faults")
    build = options.build.resolve()
    chosen = [each for each in FAULTS if not options.words or any(word in each.name or word in each.file for word in options.words)]

    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        workshop = Workshop(build, pathlib.Path(scratch))
        sound = {}
        for program, tests in sorted({(fault.program, fault.tests) for fault in chosen}):
            sound[program, tests] = pool.submit(first_failure, build / "bin" / program, tests)
        for (program, tests), run in sound.items():
            if run.result() is not None:
                print(f"{program} {tests} fails without any fault: {run.result()}")
                return 1

        def try_one(number, fault):
            made = None
            try:
                made = workshop.make(number, fault)
                found = first_failure(made, fault.tests)
                return fault, found or "NOBODY", found is not None
            except Failure as failure:
                return fault, str(failure), False
            finally:
                if made is not None:
                    made.unlink(missing_ok=True)

        results = []
        for done, run in enumerate([pool.submit(try_one, number, fault) for number, fault in enumerate(chosen)], 1):
            fault, result, good = run.result()
            results.append((fault, result, good))
            print(f"{'noticed ' if good else 'SURVIVED'}  {fault.name}: {result}", flush=True)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(chosen)} ", end="", file=sys.stderr)
    survivors = sum(1 for *_, good in results if not good)
    print(f"{len(results) - survivors} of {len(results)} faults were noticed")
    if options.page:
        options.page.write_text(page(results))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
