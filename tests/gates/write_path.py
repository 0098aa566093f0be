#!/usr/bin/env python3
"""docs/write-path.md: the instructions that a write executes, as compiled, and what each is for; and the gate that keeps it true.

    write_path.py --write          makes docs/write-path.md (g++ and clang)
    write_path.py gxx | clang      checks what this compiler makes of the sources

The functions of write_path_code.cpp are compiled for x86-64 and executed once, one instruction at a time
(write_path_steps.cpp), where there is room and nothing to announce. What is listed is what was executed. Which of them
publishes, stamps or closes is seen in the ring's memory; debug information says which statement an instruction belongs to.

The check: each step of the protocol is one instruction, and they come in its order; none of all the instructions orders by
itself (a lock, a fence); a 64-byte write takes no more instructions above the floor than LIMITS says; and docs/write-path.md says
what is found, if the compiler's version is the one that made it.

Exit status: 0 kept, 1 broken, 77 the compiler is not installed, or nothing can be single-stepped here.
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from freestanding_gate import OBJECT, ORDERING_INSTRUCTIONS, SKIPPED, STRICT, Broken, own_headers, View, run

COMPILERS = {"gxx": View("g++", "g++", OBJECT), "clang": View("clang++", "clang", OBJECT)}
PAGE = "docs/write-path.md"
TARGET = 40  # instructions of a 64-byte write above clock and copy
LIMITS = {"gxx": (52, 38), "clang": (54, 41)}  # what is reached: for type and length known at run time, and for constant ones
PATHS = ["write", "write_event", "reserve", "commit", "floor", "floor_event"]
# What each path does, in this order. What stands in a tuple may come in any order, and in several instructions.
WRITE = [("header", "reserved", "payload"), "publish", "clock", ("time",), "close", "announcement"]
PROTOCOL = {
    "write": WRITE,
    "write_event": WRITE,
    "reserve": [("header", "reserved"), "publish", "clock", ("time",), "stamp"],
    "commit": ["close", "announcement"],
    "floor": ["clock"],
    "floor_event": ["clock"],
}
# Functions that only carry out what another one says.
CARRIERS = ("atomic.h", "copy.h", "seam.h")

LOADS = re.compile(r"(mov|cmp|test)\w* (\$\S+,)?[^,(]*\([^)]*\)")

Step = collections.namedtuple("Step", "text times effect function statement")


class Skip(Exception):
    pass


class Sources:
    """Statements of the source, by file and line."""

    def __init__(self, root):
        self.root = root
        self.files = {}

    def statement(self, name, line):
        path = pathlib.Path(name).resolve()
        if path not in self.files:
            self.files[path] = path.read_text().splitlines() if path.is_relative_to(self.root) else None
        lines = self.files[path]
        if lines is None or not 0 < line <= len(lines):
            return ""
        text = ""
        for each in lines[line - 1:line + 3]:
            text = f"{text} {each.split('//')[0].strip()}".strip()
            if re.search(r"[;{}]$", text):
                break
        one_line = re.search(r"\{ (.*) \}$", text)
        return one_line.group(1) if one_line else text


def build_driver(root, scratch):
    """The objects of the program that executes the path, all but the path itself."""
    made = []
    for source in ("tests/gates/write_path_steps.cpp", "tests/instruction/stepper.cpp"):
        made.append(scratch / (pathlib.Path(source).stem + ".o"))
        run(["g++", "-std=c++20", "-O2", "-fno-pic", "-I", root, "-c", root / source, "-o", made[-1]])
    return made


def build(root, view, scratch, driver):
    """The program that executes the path; its code from `view`'s compiler."""
    code = scratch / "code.o"
    run([view.compiler, *STRICT, *view.arguments, *own_headers(view)[1], "-g", "-I", root, "-c",
         root / "tests/gates/write_path_code.cpp", "-o", code])
    program = scratch / "steps"
    run(["g++", "-no-pie", *driver, code, "-o", program])
    return program


def plain_name(signature):
    """Without namespaces, template arguments and parameters."""
    shorter = None
    while shorter != signature:
        shorter, signature = signature, re.sub(r"<[^<>]*>", "", signature)
    return re.sub(r"\(.*", "", signature).split("::")[-1]


def frames_of(program, addresses):
    """For each address, the chain of inlined functions, innermost first: (function, file, line)."""
    text = subprocess.run(["addr2line", "-e", program, "-a", "-i", "-f", "-C"], input="\n".join(addresses),
                          capture_output=True, text=True, check=True).stdout.splitlines()
    chains, chain = {}, None
    position = 0
    while position < len(text):
        if text[position].startswith("0x"):
            chain = chains.setdefault(f"{int(text[position], 16):x}", [])
            position += 1
            continue
        name, _, line = text[position + 1].rpartition(":")
        function = plain_name(text[position])
        chain.append((function, name, int(re.match(r"\d*", line).group() or 0)))
        position += 2
    return chains


def trace(root, view, scratch, driver):
    """For each path, the instructions it executed, in the order in which they came first."""
    program = build(root, view, scratch, driver)
    done = subprocess.run([program], capture_output=True, text=True)
    if done.returncode == SKIPPED:
        raise Skip(done.stdout.strip())
    if done.returncode:
        raise Broken(done.stderr)
    # Where each instruction stands, and in which function: the thunks of the stepping program do not count.
    texts = {}
    function = start = None
    for line in run(["objdump", "-d", "--no-show-raw-insn", program]).splitlines():
        head = re.match(r"([0-9a-f]+) <(.*)>:$", line)
        if head:
            start, function = int(head.group(1), 16), head.group(2)
        body = re.match(r" *([0-9a-f]+):\t(.*)", line)
        if body:
            text = re.sub(r"\s+#.*", "", body.group(2)).strip()
            text = re.sub(r"\b[0-9a-f]+ <([^+>]+)(\+0x[0-9a-f]+)?>",
                          lambda m: f"<{m.group(2) or '+0x0'}>" if m.group(1) == function else f"<{m.group(1)}>", text)
            texts[body.group(1)] = (function, re.sub(r"\s+", " ", text))
    executed = {path: [] for path in PATHS}
    for line in done.stdout.splitlines():
        path, address, effect = line.split()
        if address in texts and not re.search(r"step_|stepper_", texts[address][0]):
            executed[path].append((address, effect))
    chains = frames_of(program, sorted({address for each in executed.values() for address, _ in each}))
    sources = Sources(root)
    result = {}
    for path, seen in executed.items():
        times = collections.Counter(address for address, _ in seen)
        steps = []
        for address, effect in dict(reversed(seen)).items():
            chain, text = chains[address], texts[address][1]
            said = next((frame for frame in chain if pathlib.Path(frame[1]).name not in CARRIERS), chain[-1])
            statement = sources.statement(said[1], said[2])
            if text.startswith("rdtsc"):
                effect = "clock"
            elif effect == "-" and chain[0][0] == "load" and "announcement" in statement and LOADS.match(text):
                effect = "announcement"
            steps.append(Step(text, times[address], effect.replace("-", ""), said[0], statement))
        first = {address: place for place, (address, _) in reversed(list(enumerate(seen)))}
        result[path] = [step for _, step in sorted(zip(map(first.get, dict(reversed(seen))), steps))]
    return result


def check_protocol(name, paths):
    for path, wanted in PROTOCOL.items():
        steps = paths[path]
        found = [step.effect for step in steps if step.effect]
        position = 0
        for effect in wanted:
            length = 1
            if isinstance(effect, tuple):
                length = next((i for i, each in enumerate(found[position:]) if each not in effect), len(found) - position)
            if set(found[position:position + length]) != set(effect if isinstance(effect, tuple) else [effect]):
                break
            position += length
        if position != len(found) or found.count("close") + found.count("stamp") != ("floor" not in path):
            raise Broken(f"{name}: {path} does this: {', '.join(found) or 'nothing'}. It must be: "
                         f"{', '.join(each if isinstance(each, str) else ' and '.join(each) for each in wanted)}")
        for step in steps:
            if ORDERING_INSTRUCTIONS["x86"].match("\t" + step.text):
                raise Broken(f"{name}: {path} executes an ordering instruction: {step.text}")


def figures(paths):
    """As in the table: write and above its floor, the same for an event, reserve, commit."""
    counts = {path: sum(step.times for step in paths[path]) for path in PATHS}
    return [counts["write"], counts["write"] - counts["floor"],
            counts["write_event"], counts["write_event"] - counts["floor_event"], counts["reserve"], counts["commit"]]


def version_of(view):
    return run([view.compiler, "--version"]).splitlines()[0]


def row_of(view, paths):
    return f"| {version_of(view)} | " + " | ".join(map(str, figures(paths))) + " |"


def listing(steps):
    lines = []
    for step in steps:
        times = f"{step.times} x" if step.times > 1 else ""
        line = f"{step.text:34}{times:>5} {step.effect:13} {step.function}: {step.statement}"
        lines.append(line if len(line) <= 150 else line[:147] + "...")
    return "\n".join(line.rstrip(": ") for line in lines)


HEAD = """# The write path, as compiled

Made by `tests/gates/write_path.py --write`, and checked by the tests `gates.write_path.*`: do not edit.

What a write executes, instruction by instruction, where there is room and no gap to announce: the functions of
`tests/gates/write_path_code.cpp`, compiled freestanding for x86-64 as a driver is (-O2), and executed once under the trap
flag with a 64-byte payload. The clock is `rdtsc`. The floor is one clock read and a copy of the same bytes, with the same
code. Calls and returns of these functions are in it; the section (raising to DISPATCH_LEVEL) is not.

Executed instructions:

| compiler | write | above the floor | write, type and length constant | above the floor | reserve | commit |
|---|---|---|---|---|---|---|
ROWS

The target is TARGET above the floor: REACHED.

## The orders

| | on x86-64 | on ARM64 | its partner (pipeline/order.h) |
|---|---|---|---|
| header as `reserved` | `mov` | `str` | none: the publication makes it visible |
| **publish** | `mov` | `stlr` | observe_published |
| clock | `rdtsc`, behind the publication for the compiler only | the counter's read, likewise | the consumer's barrier or margin (pipeline/barrier.h) |
| **stamp**, **close** | `mov` | `stlr` | observe_state, observe_closed |
| look at the announcement | `mov`, behind the close for the compiler only | `ldr` | the consumer's barrier or margin |
| **observe_consumed**, **observe_closed** (only where room is short) | `mov` | `ldar` | release_consumed, close |
| **publish_loss** (only where something is dropped) | `mov` | `stlr` | observe_loss |

x86-64 keeps stores in order, and loads before later stores: a release and an acquire cost no instruction, and the compiler
must only leave them where they stand, which the listing shows. On ARM64 `ldar`, `ldapr` and `stlr` are the only ordered instructions;
there is no `dmb` on this path (overwrite mode has one, off it: pipeline/tail.h). Neither has a locked or exclusive instruction or a fence on the producer's side (`gates.freestanding.*`,
whole objects, cold paths included).

In the listings: how often an instruction was executed, if more than once; what it did, as seen in the ring's memory
(`publish`, `stamp` and `close` carry the orders of that name; `reserved` is the header's relaxed store; `header`, `time` and
`payload` are plain ones); the function and the statement it belongs to, by the compiler's own debug information.
"""


def reached(name, paths):
    run_time, constant = figures(paths)[1], figures(paths)[3]
    return (f"{version_of(COMPILERS[name])} takes {run_time}, with type and length constant {constant}"
            f" ({'reached' if max(run_time, constant) <= TARGET else 'reached with constants' if constant <= TARGET else 'not reached'})")


def page(root, made):
    rows = "\n".join(row_of(COMPILERS[name], paths) for name, paths in made.items())
    said = "; ".join(reached(name, paths) for name, paths in made.items())
    text = HEAD.replace("ROWS", rows).replace("TARGET", str(TARGET)).replace("REACHED", said)
    text += "\n# What readers can see\n\nThe same listings, without what touches only registers and the producer's own memory.\n"
    for name, paths in made.items():
        for path in ("write_event", "reserve", "commit"):
            seen = [step for step in paths[path] if step.effect]
            text += f"\n{version_of(COMPILERS[name])}, {path}:\n\n```\n{listing(seen)}\n```\n"
    text += "\n# All of it\n"
    for name, paths in made.items():
        for path in PATHS:
            text += f"\n## {version_of(COMPILERS[name])}: {path}\n\n```\n{listing(paths[path])}\n```\n"
    return text


def check_page(root, name, paths):
    view = COMPILERS[name]
    text = (root / PAGE).read_text()
    again = "make it again with tests/gates/write_path.py --write"
    now = figures(paths)
    for what, found, limit in zip(("", ", type and length constant,"), (now[1], now[3]), LIMITS[name]):
        if found > limit:
            raise Broken(f"{name}: a 64-byte write{what} takes {found} instructions above clock and copy, more than {limit}")
    rows = {row.split("|")[1].strip(): [int(cell) for cell in row.split("|")[2:-1]]
            for row in re.findall(r"^\| .*(?:\| \d+ ){6}\|$", text, re.M)}
    version = version_of(view)
    if version not in rows:
        return f" ({PAGE} was made with other versions)"
    if rows[version] != now:
        raise Broken(f"{name}: {PAGE} says {rows[version]} instructions, but it is {now}; {again}")
    for path in PATHS:
        section = re.search(re.escape(f"## {version}: {path}\n\n```\n") + r"(.*?)\n```", text, re.S)
        if not section or section.group(1) != listing(paths[path]):
            raise Broken(f"{name}: the listing of {path} in {PAGE} is not what is compiled; {again}")
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compiler", nargs="?", choices=COMPILERS)
    parser.add_argument("--write", action="store_true")
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=here.parent.parent)
    options = parser.parse_args()
    names = list(COMPILERS) if options.write else [options.compiler]
    if not options.write and not options.compiler:
        parser.error("which compiler, or --write?")
    for tool in ("g++", "objdump", "addr2line", *(COMPILERS[name].compiler for name in names)):
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed; nothing was checked")
            return SKIPPED
    try:
        made, remarks = {}, ""
        with tempfile.TemporaryDirectory() as directory:
            scratch = pathlib.Path(directory)
            driver = build_driver(options.root, scratch)
            for name in names:
                made[name] = trace(options.root, COMPILERS[name], scratch, driver)
                check_protocol(name, made[name])
                if not options.write:
                    remarks = check_page(options.root, name, made[name])
        if options.write:
            (options.root / PAGE).write_text(page(options.root, made))
    except Skip as why:
        print(why)
        return SKIPPED
    except Broken as broken:
        print(broken)
        return 1
    for name, paths in made.items():
        write, above, event, event_above, reserve, commit = figures(paths)
        print(f"{name}: a 64-byte write executes {write} instructions, {above} above clock and copy; with type and length "
              f"constant {event}, {event_above} above; reserve {reserve}, commit {commit}; every step of the protocol is in its "
              f"place{remarks}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
