#!/usr/bin/env python3
"""Runs everything that tries to break the whole of Sluice, and writes what it showed into docs/reliability.md: `./run reliability`.

  reliability.py --build DIRECTORY [--tsan DIRECTORY] [--fuzz DIRECTORY] [--coverage FILE] [--curve FILE] [--long] [--page FILE]

The directories are finished builds (`./run reliability` makes them); what is left out is said to be left out. --curve: the lines of
the drop curve (docs/benchmarks/curve.jsonl). --coverage: a summary by gcovr. --long: hours instead of minutes.
Exit code: 0 everything held; 1 something did not: it is named, and the page says so; 2 wrong use.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


class exercise:
    """One line of the table: what was done, how much of it, and what came of it."""

    def __init__(self, name, amount, result, held, seconds):
        self.name, self.amount, self.result, self.held, self.seconds = name, amount, result, held, seconds


class reliability:
    def __init__(self, options):
        self.options = options
        self.build = options.build.resolve()
        self.logs = self.build / "reliability"
        self.logs.mkdir(exist_ok=True)
        self.done = []

    def run(self, name, command, environment=None):
        if sys.stderr.isatty():
            print(f"reliability: {name}", file=sys.stderr, flush=True)
        begun = time.monotonic()
        done = subprocess.run([str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", env={**os.environ, **(environment or {})}, check=False)
        (self.logs / f"{name}.log").write_text(done.stdout)
        return done.returncode, done.stdout, time.monotonic() - begun

    def add(self, name, amount, result, code, seconds, text=""):
        held = code == 0
        if not held:
            last = [line for line in text.strip().splitlines() if line.strip()][-1:] or ["no output"]
            result = f"**did not hold** (exit code {code}): {last[0][:160]}"
            print(f"reliability: {name}: exit code {code}; the output is in {self.logs}", file=sys.stderr)
        self.done.append(exercise(name, amount, result, held, seconds))

    def deterministic(self):
        runs = 1_000_000 if self.options.long else 20_000
        code, text, seconds = self.run("deterministic", [self.build / "bin/sluice_deterministic", "--seeds", "tests/deterministic/seeds.txt",
                                                         "--runs", runs])
        found = re.findall(r"[^\n]+", text)
        self.add("deterministic simulation", f"{runs:,} seeds", found[-1] if found else "", code, seconds, text)

    def torture(self, name, build, launcher=()):
        length = 3600 if self.options.long else 60
        seed = int(time.time()) % 1_000_000
        code, text, seconds = self.run(f"torture_{name}", [*launcher, build / "bin/sluice_stress", "--target", "torture", "--seconds", length,
                                                           "--cpus", "256", "--producers", "12", "--seed", seed])
        facts = {key: re.search(pattern, text) for key, pattern in {
            "machines": r"torture: (\d+) machines of up to (\d+) virtual CPUs in (\d+) groups \((\d+)",
            "loads": r"(\d+) loads, (\d+) under load; (\d+) unloads under load; (\d+) events",
            "account": r"attempted (\d+): committed (\d+), discarded (\d+), dropped (\d+), filtered (\d+)",
            "clients": r"clients: (\d+) by the port, (\d+) by pended reads, (\d+) by the mapping; (\d+) refused beside them; (\d+) records"}.items()}
        if code == 0 and not all(facts.values()):
            code, text = 1, "its summary was not understood"
        amount = result = ""
        if code == 0:
            machines, loads, account, clients = (facts[key].groups() for key in ("machines", "loads", "account", "clients"))
            amount = f"seed {seed}: {machines[0]} machines, up to {machines[1]} CPUs in {machines[2]} groups ({machines[3]} added while it ran), " \
                     f"{loads[0]} loads, {int(loads[3]):,} events"
            result = f"attempted {int(account[0]):,} = committed {int(account[1]):,} + discarded {int(account[2]):,} + dropped {int(account[3]):,} + " \
                     f"filtered {int(account[4]):,}; {clients[0]} clients by the port, {clients[1]} by pended reads, {clients[2]} by the mapping, " \
                     f"{clients[3]} refused beside them; {int(clients[4]):,} records checked"
            if sum(map(int, account[1:])) != int(account[0]):
                code, text = 1, "R3: " + facts["account"].group(0)
        self.add(f"torture, {name}", amount, result, code, seconds, text)

    def tests(self, name, pattern, environment=None):
        """Tests of the build, by name."""
        code, text, seconds = self.run(re.sub(r"\W+", "_", name), ["ctest", "--test-dir", self.build, "--parallel", "2", "--no-tests=error",
                                                                  "--output-on-failure", "-R", pattern, "-E", "^gates"], environment)
        total = re.search(r"tests passed, \d+ tests? failed out of (\d+)", text)
        self.add(name, f"{total.group(1)} tests" if total else "", "all passed", code, seconds, text)

    def faults(self):
        code, text, seconds = self.run("faults", [sys.executable, "-B", "tests/faults/run.py", "--build", self.build, "--jobs", os.cpu_count() or 1,
                                                  "--page", "docs/proof-faults-outside.md"])
        found = re.findall(r"\d+ of (\d+)[^\n]*", text)
        last = [line for line in text.splitlines() if line.strip()]
        self.add("faults made by hand, outside of the core", f"{found[-1]} faults" if found else "", last[-1] if last else "", code, seconds, text)

    def fuzz(self):
        seconds_each = 600 if self.options.long else 20
        code, text, seconds = self.run("fuzz", [sys.executable, "-B", "tests/fuzz/run.py", "--build", self.options.fuzz.resolve(), "--jobs",
                                                os.cpu_count() or 1, "--seconds", seconds_each])
        executions = [int(count) for count in re.findall(r"^\w+ +(\d+) +\d+ +\d+ ", text, re.M)]
        self.add("fuzzing, ASan and UBSan", f"{seconds_each} s for each of {len(executions)} targets",
                 f"nothing found in {sum(executions):,} executions", code, seconds, text)


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def exercises_block(of):
    rows = [(each.name, each.amount, each.result, f"{each.seconds:.0f} s") for each in of.done]
    machine = f"{os.cpu_count()} processors, Linux {platform.release()}"
    return f"One run of {time.strftime('%Y-%m-%d', time.gmtime())}, {machine}. Simulated kernel, not Windows.\n\n" + \
        table(("exercise", "how much", "what came of it", "took"), rows)


def coverage_block(path):
    if path is None or not path.exists():
        return "Not measured in this run (`./run coverage`)."
    found = json.loads(path.read_text())
    parts = {}
    for each in found["files"]:
        part = each["filename"].split("/")[0]
        lines = parts.setdefault(part, [0, 0])
        lines[0] += each["line_covered"]
        lines[1] += each["line_total"]
    reasons = path.with_name("reasons.md")
    return table(("part", "lines", "run by the tests"), [(part, f"{total:,}", f"{100 * covered / total:.1f} %")
                                                         for part, (covered, total) in sorted(parts.items()) if total]) + \
        ("\n\n" + reasons.read_text().rstrip() if reasons.exists() else "")


LOSES = {"sluice": "in process", "port": "filter port", "ioctl": "pended reads", "mapping": "shared mapping"}
CONSUMERS = {"running": "running", "slow": "half as fast as the load", "stalled_10ms": "stalled for 10 ms, four times",
             "stalled_100ms": "stalled for 100 ms, once"}


def losses_block(path):
    if path is None or not path.exists():
        return "Not measured in this run (`./run bench`)."
    cells = [line for line in map(json.loads, path.read_text().splitlines())
             if line["kind"] == "cell" and line["checked"] and line["shape"] == "steady" and line["ring"] == 1 << 20]
    rows = []
    for design, name in LOSES.items():
        for consumer, words in CONSUMERS.items():
            chosen = [cell for cell in cells if cell["design"] == design and cell["consumer"] == consumer and cell["offered"]]
            if not chosen:
                continue
            highest = max(cell["rate"] for cell in chosen)
            runs = [cell for cell in chosen if cell["rate"] == highest]
            total = {what: sum(cell[what] for cell in runs) for what in ("offered", "length", "dropped", "announced", "intervals", "violations")}
            rows.append((name, words, len(runs), f"{total['offered'] / total['length'] * 1e3:.2f} M/s", f"{total['offered']:,}", f"{total['dropped']:,}",
                         f"{total['announced']:,}", f"{total['intervals']:,}", total["violations"]))
    return table(("consumer", "it was", "runs", "offered at", "events", "dropped: the ring was full", "announced", "gaps of the consumer that explain them",
                  "unexplained"), rows)


def write_page(page, blocks):
    text = page.read_text()
    for name, content in blocks.items():
        begin, end = f"<!-- figures: {name} -->\n", "<!-- end of figures -->"
        if text.count(begin) != 1:
            sys.exit(f"reliability.py: {page} has no place for '{name}'")
        head, rest = text.split(begin)
        text = head + begin + content + "\n" + rest[rest.index(end):]
    page.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    for name in ("tsan", "fuzz", "coverage", "curve"):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    parser.add_argument("--launcher", default="", help="what programs with ThreadSanitizer are started with")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/reliability.md")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()

    of = reliability(options)
    of.deterministic()
    of.torture("as released", of.build)
    if options.tsan:
        of.torture("ThreadSanitizer", options.tsan.resolve(), options.launcher.split())
    of.tests("failure at every call", "driver_failures|tool_failing|driver_load")
    reconnects = 100_000 if of.options.long else 10_000
    of.tests(f"attacks; {reconnects:,} reconnects by each way in", "hostile|forged|lying|terminal|reconnect|security|only_the_system_and_administrators|damage",
             {"SLUICE_RECONNECTS": str(reconnects)})
    of.faults()
    if options.fuzz:
        of.fuzz()
    write_page(options.page, {"exercises": exercises_block(of), "coverage": coverage_block(options.coverage), "losses": losses_block(options.curve)})
    failed = [each.name for each in of.done if not each.held]
    for each in of.done:
        print(f"{'held  ' if each.held else 'BROKEN'}  {each.name}: {each.amount}; {each.result} ({each.seconds:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
