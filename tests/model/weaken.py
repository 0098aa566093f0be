#!/usr/bin/env python3
"""Shows that the model checks notice: weakens every memory order of pipeline/, one at a time, takes away each side of the
barrier, and breaks the protocol's structure (faults.py); each time some scenario must fail. `./run prove --long` makes
docs/proof-orders.md with it.

  weaken.py [--build DIRECTORY] [--only TEXT] [--jobs N] [--deep SECONDS] [--fresh] [--output PAGE] [--json FILE]

Orders are weakened by name (-DSLUICE_ORDER_<name>=relaxed) and, where a name is used more than once, at each use, in a copy
of the header. An order or use for which no scenario fails is listed as UNPROVEN; it is not weakened for that.
A run that was stopped goes on where it was, as long as no source has changed.
Exit code: 0 everything was noticed but what KNOWN_UNPROVEN names, 1 something was not, 2 wrong use or a fault that no longer
applies to the code. Progress on stderr.
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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import faults

ROOT = pathlib.Path(__file__).resolve().parents[2]
GROUPS = ["ring", "loss", "merge", "wake", "overwrite", "ring_copy"]
ALL_GROUPS = ["machine", *GROUPS]
COMPILER = os.environ.get("CXX", "g++")
FLAGS = ["-std=c++20", "-O1", "-w"]
TIMEOUT = 900  # seconds, for one run of one group

# Uses of an order that no scenario needs, with the reason: they stay as they are.
KNOWN_UNPROVEN = {
    "walking over what is open, for the account":
        "the walk's positions are told behind the section, so headers and times are visible before it begins, and it reads no payload; "
        "the function is shared with the two paths that need the order",
    "consumer_->consumed.store(reclaimed_, order::release_consumed)":
        "the position is one that the producer has observed before, and it is the producer's own section that writes it: nothing is released "
        "that it has not seen; the word is written with one order wherever it is written",
}


class stale_fault(Exception):
    pass


def order_names():
    text = (ROOT / "pipeline/order.h").read_text()
    found = re.findall(r"^#define SLUICE_ORDER_(\w+) (acquire|release)$", text, re.M)
    if not found:
        raise stale_fault("pipeline/order.h: no order found")
    return found


def order_uses(name):
    """(file, offset, line number) of every use of an order in pipeline/."""
    uses = []
    for path in sorted((ROOT / "pipeline").glob("*.h")):
        if path.name == "order.h":
            continue
        text = path.read_text()
        for match in re.finditer(r"\border::" + name + r"\b", text):
            if "//" in text[text.rfind("\n", 0, match.start()) + 1:match.start()]:
                continue
            uses.append((path.relative_to(ROOT), match.start(), text.count("\n", 0, match.start()) + 1))
    return uses


def compile_object(tree, source, target, defines):
    base = tree / source if (tree / source).exists() else ROOT / source
    command = [COMPILER, *FLAGS, *defines, "-I", str(tree), "-I", str(ROOT), "-c", str(base), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"weaken.py: does not compile: {' '.join(command)}\n{done.stderr}")


class builder:
    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.common = {}
        for name in ("search", "model_main"):
            target = directory / f"{name}.o"
            compile_object(directory / "none", f"tests/model/{name}.cpp", target, [])
            self.common[name] = target

    def run_group(self, key, group, defines=(), edits=(), machine_changed=False, deep=0):
        """Builds one group of scenarios with the change; returns its result lines. `deep`: seconds, instead of short bounds."""
        work = self.directory / key
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for path, text in edits:
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        objects = [work / "scenarios.o", self.common["search"], self.common["model_main"]]
        compile_object(work, f"tests/model/{group}_scenarios.cpp", objects[0], list(defines))
        if machine_changed:
            objects[1] = work / "search.o"
            compile_object(work, "tests/model/search.cpp", objects[1], list(defines))
        program = work / "model_test"
        subprocess.run([COMPILER, *map(str, objects), "-o", str(program)], check=True)
        try:
            extent = ["--deep", str(deep)] if deep else ["--short", "--first"]
            done = subprocess.run([str(program), *extent], capture_output=True, text=True, timeout=None if deep else TIMEOUT)
        except subprocess.TimeoutExpired:
            return [{"scenario": group, "good": False, "what": f"did not end within {TIMEOUT} s", "executions": "?"}]
        finally:
            shutil.rmtree(work, ignore_errors=True)
        lines = [parse(line) for line in done.stdout.splitlines() if "executions=" in line]
        if done.returncode not in (0, 1):
            lines.append({"scenario": group, "good": False, "what": f"crash, exit code {done.returncode}", "executions": "?"})
        return lines


def parse(line):
    match = re.match(r"(\S+)\s+(\S+)\s+(holds|shown|NOT SHOWN|FAILED:)\s*(.*?)\s+executions=(\d+) seconds=", line)
    if not match:
        sys.exit(f"weaken.py: cannot read: {line}")
    name, _, verdict, what, executions = match.groups()
    return {"scenario": name, "good": verdict in ("holds", "shown"),
            "what": what if verdict != "NOT SHOWN" else "was not shown", "executions": executions}


def search(build, key, groups, **change):
    """What fails first, of the first group where anything does."""
    for group in groups:
        failed = [line for line in build.run_group(f"{key}-{group}", group, **change) if not line["good"]]
        if failed:
            return failed
    return []


def plain(what):
    """relacy's words, as they can stand in a table."""
    match = re.match(r"([A-Z ]+?)(?: \((.*)\))?$", what)
    if not match:
        return what
    kind, detail = match.group(1).lower(), match.group(2) or ""
    if kind == "user assert failed":
        return "assertion `" + detail.removeprefix("assertion: ").replace("|", "\\|") + "`"
    if kind == "data race" and detail != "data race detected":
        return f"data race ({detail})"
    return kind


def row(title, failed):
    first = failed[0]
    return f"| {title} | {first['scenario']} | {plain(first['what'])} | {first['executions']} |"


def edited(path, pairs):
    text = (ROOT / path).read_text()
    for old, new in pairs:
        if text.count(old) != 1:
            raise stale_fault(f"{path}: found {text.count(old)} times, not once: {old!r}")
        text = text.replace(old, new)
    return [(path, text)]


def tasks(build):
    """(table, title, function that returns the failed scenarios)."""
    for name, kind in order_names():
        uses = order_uses(name)
        where = ", ".join(f"{path.name}:{line}" for path, _, line in uses)
        yield ("orders", f"`{name}` ({kind}) | {where}",
               lambda name=name: search(build, f"order-{name}", hint(name), defines=[f"-DSLUICE_ORDER_{name}=relaxed"]))
    for name, _ in order_names():
        uses = order_uses(name)
        if len(uses) < 2:
            continue
        for path, offset, line in uses:
            text = (ROOT / path).read_text()
            new = text[:offset] + "memory_order::relaxed" + text[offset + len("order::" + name):]
            code = text.splitlines()[line - 1].strip().replace("|", "\\|")
            yield ("uses", f"`{name}` | {path.name}:{line} `{code}`",
                   lambda name=name, path=path, line=line, new=new:
                   search(build, f"use-{path.name}-{line}", hint(name), edits=[(path, new)]))
    for number, (name, path, changes) in enumerate(faults.PATHS):
        edits = [edit for file, pairs in changes for edit in edited(file, pairs)]
        yield ("paths", f"`{name}` | {path}",
               lambda number=number, name=name, edits=edits: search(build, f"path-{number}", hint(name), edits=edits))
    for title, breaks, switch, groups in faults.BARRIER_SIDES:
        for group in groups:
            yield ("sides", f"{title}: {breaks} | {group}",
                   lambda switch=switch, group=group:
                   search(build, f"side-{switch}", [group], defines=[f"-D{switch}"], machine_changed=True))
    for number, (title, path, old, new, group) in enumerate(faults.FAULTS):
        pairs = old if new is None else [(old, new)]
        edits = edited(path, pairs)
        yield ("faults", f"{title} | {pathlib.Path(path).name}",
               lambda number=number, group=group, edits=edits: search(build, f"fault-{number}", [group], edits=edits))


def hint(order):
    """All groups, the likeliest first."""
    first = "loss" if order.endswith("_loss") else "overwrite" if order.endswith("_tail") or order == "fence_copy" else GROUPS[0]
    return [first, *(group for group in GROUPS if group != first)]


HEADS = {
    "orders": ("Orders, by name", "| order | used at | fails first | with | executions |\n|---|---|---|---|---|"),
    "uses": ("Orders, at each use", "Names that are used more than once, weakened at one place only.\n\n"
             "| order | use | fails first | with | executions |\n|---|---|---|---|---|"),
    "paths": ("Orders, on each path", "A name that stands in one function which several paths come through, weakened on one of them "
              "only.\n\n| order | path | fails first | with | executions |\n|---|---|---|---|---|"),
    "sides": ("Sides of the barrier", "Each must be needed for the merge (publication, then clock) and for sleep (close, then "
              "announcement).\n\n| side left out | scenarios | fails first | with | executions |\n|---|---|---|---|---|"),
    "faults": ("Faults of structure", "| fault | in | fails first | with | executions |\n|---|---|---|---|---|"),
}


class memory:
    """Results of earlier runs over exactly the same sources, so that a run that was stopped goes on where it was."""

    def __init__(self, path, fresh):
        self.path = path
        digest = hashlib.sha256(" ".join([COMPILER, *FLAGS]).encode())
        for source in sorted([*(ROOT / "pipeline").glob("*.h"), *(ROOT / "tests/model").iterdir()]):
            if source.suffix in (".h", ".cpp") or source.name == "faults.py":
                digest.update(source.name.encode() + b"\0" + source.read_bytes())
        self.key = digest.hexdigest()
        try:
            stored = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            stored = {}
        self.results = stored.get("results", {}) if stored.get("key") == self.key and not fresh else {}

    def store(self, title, failed):
        self.results[title] = failed
        self.path.write_text(json.dumps({"key": self.key, "results": self.results}))


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build/weaken")
    options.add_argument("--only", default="", help="only what has this text in its title; writes no file")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--fresh", action="store_true", help="begin anew, whatever is known from an earlier run")
    options.add_argument("--deep", type=int, default=0,
                         help="seconds of one search over a scenario without a change; 0: the short bounds")
    options.add_argument("--output", type=pathlib.Path, help="the tables as a page of docs/")
    options.add_argument("--json", type=pathlib.Path, help="the counts, for tests/prove.py")
    arguments = options.parse_args()

    build = builder(arguments.build)
    try:
        wanted = [task for task in tasks(build) if arguments.only in task[1]]
    except stale_fault as problem:
        print(f"weaken.py: {problem}", file=sys.stderr)
        return 2
    if not wanted:
        print("weaken.py: nothing has that title", file=sys.stderr)
        return 2

    # Each change; and without a change everything holds.
    if not arguments.only:
        wanted += [("unchanged", f"{group} scenarios, unchanged, {f'{arguments.deep} s a search' if arguments.deep else 'short bounds'}",
                    lambda group=group: build.run_group(f"unchanged-{group}", group, deep=arguments.deep))
                   for group in ALL_GROUPS]
    known = memory(arguments.build / "results.json", arguments.fresh)
    results = [known.results.get(task[1]) for task in wanted]
    done = sum(result is not None for result in results)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        running = {pool.submit(task[2]): i for i, task in enumerate(wanted) if results[i] is None}
        for future in concurrent.futures.as_completed(running):
            i = running[future]
            results[i] = future.result()
            known.store(wanted[i][1], results[i])
            done += 1
            failed = [line["scenario"] for line in results[i] if not line["good"]]
            verdict = failed[0] if failed else "holds" if wanted[i][0] == "unchanged" else "UNPROVEN"
            if sys.stderr.isatty():
                print(f"\r\033[K[{done}/{len(wanted)}] {wanted[i][1][:60]}: {verdict}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)

    unchanged = [line for task, lines in zip(wanted, results) if task[0] == "unchanged" for line in lines]
    bad = [line["scenario"] for line in unchanged if not line["good"]]
    if bad:
        print(f"weaken.py: fails without any change: {', '.join(bad)}", file=sys.stderr)
        return 1
    wanted, results = zip(*[(task, lines) for task, lines in zip(wanted, results) if task[0] != "unchanged"])

    sections = {table: [] for table in HEADS}
    noticed = {table: [0, 0] for table in HEADS}  # of how many
    unproven = []
    for (table, title, _), failed in zip(wanted, results):
        noticed[table][1] += 1
        if failed:
            noticed[table][0] += 1
            sections[table].append(row(title, failed))
            continue
        reason = next((KNOWN_UNPROVEN[text] for text in KNOWN_UNPROVEN if text in title), None)
        sections[table].append(f"| {title} | **UNPROVEN** | {reason or 'no scenario fails'} | |")
        unproven.append((title, reason))

    text = ["# What each memory order is for, shown by taking it away", "",
            "Made by `tests/model/weaken.py` (`./run prove --long`: with deeper searches); not edited by hand. What the model is and what it is not: [proof.md](proof.md).",
            "Each line is a build with one thing weakened, and the scenario that fails in it. *executions*: how many were tried",
            "until the failure. Without a change every scenario holds; the last table says how far each was explored.", ""]
    for table, lines in sections.items():
        if lines:
            text += [f"## {HEADS[table][0]}", "", HEADS[table][1], *lines, ""]
    counts = f"{len(wanted)} changes, {len(wanted) - len(unproven)} noticed, {len(unproven)} unproven."
    text += ["## Unproven", ""]
    text += [f"- {title.replace(' | ', ', ')}: {reason or 'no scenario fails'}" for title, reason in unproven] or ["None."]
    text += ["", counts, ""]
    if unchanged:
        text += ["## Without a change", "", "| scenario | explored | executions |", "|---|---|---|"]
        for line in unchanged:
            explored = line["what"].strip()
            if explored.startswith("USER"):
                explored = f"some execution breaks the {plain(explored)}, as it must"
            text.append(f"| {line['scenario']} | {explored} | {line['executions']} |")
        text.append("")
    if arguments.json:
        arguments.json.write_text(json.dumps({"noticed": noticed, "unproven": unproven, "unchanged": unchanged}))
    if arguments.only:
        print("\n".join(text))
    elif arguments.output:
        arguments.output.write_text("\n".join(text))
    print(counts, file=sys.stderr)
    return 1 if any(reason is None for _, reason in unproven) else 0


if __name__ == "__main__":
    sys.exit(main())
