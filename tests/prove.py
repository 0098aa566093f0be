#!/usr/bin/env python3
"""Runs every proof of the core and says in plain words what was shown, to which bounds, and what was not: `./run prove`.

  prove.py --build DIRECTORY [--long] [--jobs N]

DIRECTORY is a finished build (`./run prove` makes it). --long: deeper searches, longer sequences from a new seed, every bound of
the single-stepped tests, and the pages docs/proof-orders.md and docs/proof-faults.md anew. The output of each part is kept in
DIRECTORY/prove. Exit code: 0 all of it held and everything broken on purpose was noticed; 1 something was not; 2 wrong use.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOT_MODELLED = """\
  - more than two rings, three threads, six records and three passes at once (the reference and the stress have more, sampled)
  - load buffering; a word remembers its last three values; relacy's fences are stronger than C++20's (docs/proof.md)
  - that a store becomes visible within the margin: the assumption of slack order. Checked is what happens when it is wrong
  - clock epochs, mapped clients, the driver's worker thread, and Windows: nothing here has run there"""


class part:
    """One part of the proof: how it went, and what it adds to the summary."""

    def __init__(self, name):
        self.name = name
        self.shown = []   # plain words
        self.broken = []  # what did not hold, or was not noticed
        self.open = []    # what was not shown, honestly
        self.seconds = 0


class proof:
    def __init__(self, options):
        self.build = options.build.resolve()
        self.long = options.long
        self.jobs = str(options.jobs)
        self.logs = self.build / "prove"
        self.logs.mkdir(exist_ok=True)
        self.parts = []

    def run(self, name, command):
        """The exit code and output of one program; its progress goes to the terminal, if there is one."""
        log = self.logs / f"{name}.log"
        with log.open("w+") as out:
            code = subprocess.run([str(word) for word in command], cwd=ROOT, stdout=out,
                                  stderr=None if sys.stderr.isatty() else out, check=False).returncode
            out.seek(0)
            return code, out.read()

    def begin(self, title):
        if sys.stderr.isatty():
            print(f"prove: {title}", file=sys.stderr, flush=True)
        self.parts.append(part(title))
        return self.parts[-1]

    def orders(self):
        now = self.begin("model checks, and every memory order weakened")
        facts = self.logs / "orders.json"
        facts.unlink(missing_ok=True)
        command = [sys.executable, "-B", "tests/model/weaken.py", "--build", self.build / "weaken", "--jobs", self.jobs, "--json", facts]
        if self.long:
            command += ["--deep", 20, "--output", "docs/proof-orders.md"]
        code, text = self.run("orders", command)
        if not facts.exists():
            now.broken.append(text.strip().splitlines()[-1] if text.strip() else f"weaken.py ended with {code}")
            return
        found = json.loads(facts.read_text())
        bounded = {}
        whole = possible = 0
        for line in found["unchanged"]:
            bound = re.search(r"preemptions<=(\d+)", line["what"])
            if bound:
                bounded.setdefault(int(bound.group(1)), []).append(line["scenario"])
            elif line["what"].strip() == "all":
                whole += 1
            else:
                possible += 1
        executions = sum(int(line["executions"]) for line in found["unchanged"])
        now.shown.append(f"{len(found['unchanged']) - possible} scenarios hold under relacy's memory model, in {executions:,} executions: {whole} in every "
                         "execution, " + ", ".join(f"{len(names)} in every one with at most {bound} preemptions"
                                                   for bound, names in sorted(bounded.items())) +
                         f"; {possible} more show that what the model must let happen does happen")
        words = {"orders": "memory orders by name", "uses": "uses of an order", "paths": "paths through an order",
                 "sides": "sides of a barrier", "faults": "faults of structure"}
        now.shown.append("weakened or broken alone, and noticed by a scenario: " +
                         ", ".join(f"{found['noticed'][table][0]} of {found['noticed'][table][1]} {word}" for table, word in words.items()))
        now.open += [f"UNPROVEN: {title.replace(' | ', ', ')}: {reason or 'no scenario fails'}" for title, reason in found["unproven"]]
        if not found["unproven"]:
            now.open.append("orders that no scenario needs (UNPROVEN): none")
        if bounded:
            now.open.append("not every execution, only those with so many preemptions: " +
                            "; ".join(f"{bound}: {', '.join(names)}" for bound, names in sorted(bounded.items())))
        if code != 0:
            now.broken.append("an order, or a fault, that no scenario notices (UNPROVEN below)")

    def faults(self):
        now = self.begin("faults made by hand, against the unit tests")
        command = [sys.executable, "-B", "tests/pipeline/mutate.py", "--jobs", self.jobs, "--known", self.logs / "faults.json"]
        if self.long:
            command += ["--page", "docs/proof-faults.md"]
        code, text = self.run("faults", command)
        lines = text.strip().splitlines()
        now.shown += [line for line in lines if re.match(r"\d+ of \d+ faults were noticed", line)]
        if code != 0:
            now.broken += [line for line in lines if re.search(r"SURVIVED|DOES NOT|fails without|disagrees without", line)] or lines[-1:]

    def reference(self):
        now = self.begin("random sequences against a model of plain queues")
        program = self.build / "bin/reference_test"
        if not program.exists():
            now.open.append("the reference: rapidcheck is not installed")
            return
        cases, operations, seed = ("200000", "400", "time") if self.long else ("30000", "200", "1")
        code, text = self.run("reference", [program, "--cases", cases, "--operations", operations, "--seed", seed])
        head = re.search(r"^reference: (.*)$", text, re.M)
        result = re.search(r"^agreement: (.*)$", text, re.M)
        if code == 0 and head and result:
            now.shown.append(f"agreement ({head.group(1)}): {result.group(1)}")
            now.open.append("the reference is a sample, in one thread: concurrency is for the models and the single-stepped tests")
        else:
            now.broken.append(f"disagreement ({head.group(1) if head else 'no output'}): {self.logs / 'reference.log'}")

    def instructions(self):
        now = self.begin("every instruction of producer and consumer")
        program = self.build / "bin/instruction_test"
        if not program.exists():
            now.open.append("every instruction: there is no instruction_test in this build")
            return
        code, text = self.run("instruction", [program, "--gtest_brief=1"] + (["--long"] if self.long else []))
        closing = re.search(r"^Every instruction.*(?:\n.+)*", text, re.M)
        said = " ".join(closing.group(0).split()) if closing else "instruction_test said nothing"
        if code != 0:
            now.broken.append(f"{said}: {self.logs / 'instruction.log'}")
        elif "SKIPPED" in said:
            now.open.append(said)
            return
        else:
            now.shown.append(said)
        script = ROOT / "tests/instruction/faults.py"
        if script.exists():
            code, text = self.run("instruction_faults", [sys.executable, "-B", script, "--jobs", self.jobs])
            (now.shown if code == 0 else now.broken).append("faults in the order of steps: " + text.strip().splitlines()[-1])

    def gates(self):
        now = self.begin("gates over the objects and sluice.sys")
        code, text = self.run("gates", ["ctest", "--test-dir", self.build, "-R", r"^gates\.", "-j", self.jobs, "--no-tests=error"])
        passed = re.search(r"(\d+)% tests passed, (\d+) tests failed out of (\d+)", text)
        skipped = re.findall(r"^\s*\d+ - (gates\.\S+) \(Skipped\)", text, re.M)
        if passed:
            now.shown.append(f"{int(passed.group(3)) - int(passed.group(2)) - len(skipped)} of {passed.group(3)} hold")
        now.open += [f"skipped, its compiler is missing: {name}" for name in skipped]
        if code != 0:
            now.broken += re.findall(r"^\s*\d+ - (gates\.\S+) \((?!Skipped).*\)", text, re.M) or ["ctest: no gate ran"]

    def tell(self):
        print("What was shown" + (" (long form)" if self.long else "") + ":")
        for each in self.parts:
            print(f"- {each.name} ({each.seconds:.0f} s)")
            for words in each.shown:
                print(f"    {words}")
            for words in each.broken:
                print(f"    BROKEN: {words}")
        print("What was not shown:")
        for words in [words for each in self.parts for words in each.open]:
            print(f"  - {words}")
        print(NOT_MODELLED)
        broken = [each.name for each in self.parts if each.broken]
        print(f"BROKEN: {'; '.join(broken)}" if broken else "Nothing is broken.")
        return 1 if broken else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    all_of_it = proof(parser.parse_args())
    for step in (all_of_it.orders, all_of_it.reference, all_of_it.instructions, all_of_it.faults, all_of_it.gates):
        start = time.monotonic()
        step()
        all_of_it.parts[-1].seconds = time.monotonic() - start
    return all_of_it.tell()


if __name__ == "__main__":
    sys.exit(main())
