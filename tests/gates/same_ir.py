#!/usr/bin/env python3
"""Gate: ring and merge of the Linux build and of the driver are the same code, as optimised by clang.

    same_ir.py COMPILE_COMMANDS --driver OPTION ...

pipeline/native_merge.cpp and producers/kernel_rings.cpp are compiled to optimised LLVM IR twice: with the options, definitions and headers of
the Linux build (out of its compile_commands.json) for x86_64 Linux, and with the driver's for x86_64 Windows. Every function of the two
must be the same, but for the names of types that are `unsigned long` here and `unsigned long long` there, attributes, linkage and metadata.

The two systems pass a struct of up to 16 bytes in different places: functions that take or return one by value, and what they are
inlined into, cannot be the same (BY_VALUE). These are compared with the driver's options for the Linux target instead: what is left to differ
is the calling convention alone. One of them that is the same all the same is refused: it belongs to the others.

Exit status: 0 the same, 1 not, 77 clang or mingw-w64's headers are not installed.
"""
import argparse
import difflib
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

SKIPPED = 77
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DDK = pathlib.Path("/usr/share/mingw-w64/include/ddk")
LINUX, WINDOWS = "--target=x86_64-pc-linux-gnu", "--target=x86_64-w64-mingw32"

# By source: functions that handle a ring_head by value (16 bytes, so that it is returned in registers where that is possible).
BY_VALUE = {
    "pipeline/native_merge.cpp": (
        r"sluice::merge<.*>::pass<.*>\(", r"sluice::merge<.*>::take_run<.*>\(", r"sluice::merge<.*>::begin_epoch<.*>\(",
        r"sluice::ring_reader<sluice::native_seam>::(look_again|look_overwriting|judge_step_back|hidden)\("),
    "producers/kernel_rings.cpp": (),
}
# What a comparison without it has not seen.
MUST_HAVE = {
    "pipeline/native_merge.cpp": ("sluice::native_merge::pass(", "sluice::native_merge::release(", "read_head_overwriting("),
    "producers/kernel_rings.cpp": ("write_out_of_line(", "reserve_out_of_line(", "::overwrite_oldest(", "::walk_to_claim("),
}
# Of a compiler's options, those that decide about code; g++'s own that clang does not have are left out.
CODE = re.compile(r"-(O\w*|f(?!file-prefix-map|random-seed|stack-usage|diagnostics)\S+|m(?!no-stack-arg-probe)\S+|D\S*|std=\S+)$")


# Of a function's attributes, those that change its code.
KEPT_ATTRIBUTES = re.compile(r'"target-(?:cpu|features)"="[^"]*"|"frame-pointer"="\w+"|\bssp\w*|\boptsize\b|\bminsize\b|\boptnone\b')


class Broken(Exception):
    pass


def linux_options(commands, source):
    """Options and include directories with which the Linux build compiles `source`; the driver's library first."""
    for each in sorted(json.loads(commands.read_text()), key=lambda entry: "sensor" not in entry.get("output", entry["command"])):
        if pathlib.Path(each["directory"], each["file"]).resolve() == (ROOT / source).resolve():
            words = shlex.split(each["command"])
            taken = [word for word in words if CODE.match(word) or re.match(r"-I\S+", word)]
            for at, word in enumerate(words):
                if word in ("-isystem", "-I"):
                    taken += [word, words[at + 1]]
            return taken
    raise Broken(f"{commands} has no {source}")


def driver_options(options):
    return [option for option in options if CODE.match(option)]


def compile_ir(source, target, options, root=ROOT):
    done = subprocess.run(["clang++", target, "-Wno-everything", *options, "-S", "-emit-llvm", "-o", "-", root / source],
                          capture_output=True, text=True)
    if done.returncode:
        raise Broken(f"{source}: clang++ {target}: {done.stderr.strip()}")
    return functions(done.stdout)


def functions(text):
    """{name: normalised body} of every function that is defined."""
    names = sorted(set(re.findall(r"@(_Z\w+)", text)))
    plain = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.splitlines()
    plain = {name: re.sub(r"unsigned long( long)?\b", "u64", each) for name, each in zip(names, plain)}
    text = re.sub(r"@(_Z\w+)", lambda match: f'@"{plain[match.group(1)]}"', text)
    groups = {number: " ".join(KEPT_ATTRIBUTES.findall(each)) for number, each in re.findall(r"^attributes #(\d+) = (.*)", text, re.M)}
    found = {}
    for body in re.findall(r"^define.*?^}", text, re.S | re.M):
        head, _, rest = body.partition("\n")
        body = re.sub(r" #(\d+)(?= |$)", lambda match: " " + groups.get(match.group(1), ""), head) + "\n" + rest
        body = re.sub(r", ![a-zA-Z.]+ ![0-9]+| #\d+(?= |$)", "", body, flags=re.M)
        body = re.sub(r"\b(zeroext|signext|dso_local|linkonce_odr|weak_odr|comdat|noundef|nonnull|local_unnamed_addr|unnamed_addr|"
                      r"mustprogress|internal|fastcc|dllimport)\b ?|dereferenceable\(\d+\) ?", "", body)
        body = re.sub(r"!\d+", "!", re.sub(r"[ \t]+", " ", body))
        found[re.search(r'@"(.*?)"|@(\w+)', body).group(0)[1:].strip('"')] = re.sub(r" +\n", "\n", body)
    return found


def difference(name, here, there, what):
    lines = difflib.unified_diff(here.splitlines(), there.splitlines(), "Linux build", what, lineterm="", n=1)
    return f"{name} is not the same:\n" + "\n".join(list(lines)[:20])


def compare(source, here, there, same_target):
    """The functions of the Linux build, of the driver, and of the driver's options for Linux. Returns how many were compared in which way."""
    if set(here) != set(there):
        raise Broken(f"{source}: functions on one side only: {' '.join(sorted(set(here) ^ set(there)))}")
    for part in MUST_HAVE[source]:
        if not any(part in name for name in here):
            raise Broken(f"{source}: no function {part}...): is it inlined now?")
    across = within = 0
    for name, body in here.items():
        if any(re.search(pattern, name) for pattern in BY_VALUE[source]):
            if body == there[name]:
                raise Broken(f"{source}: {name} is the same on both: BY_VALUE must not excuse it")
            if body != same_target.get(name):
                raise Broken(difference(name, body, same_target.get(name, ""), "driver's options, Linux target"))
            within += 1
        else:
            if body != there[name]:
                raise Broken(difference(name, body, there[name], "driver"))
            across += 1
    return across, within


def check(source, linux, driver, root=ROOT, driver_root=None):
    """Raises Broken with what is wrong; otherwise compare()'s counts."""
    driver_root = driver_root or root
    nt = ["-isystem", str(DDK)]
    simulated = ["-isystem", str(driver_root / "kernel_port/sim/include")]
    own = [f"-I{driver_root}"]
    return compare(source, compile_ir(source, LINUX, linux, root),
                   compile_ir(source, WINDOWS, [*driver, *own, *nt], driver_root),
                   compile_ir(source, LINUX, [*driver, *own, *simulated], driver_root))


def missing_tool():
    for tool in ("clang++", "c++filt"):
        if not shutil.which(tool):
            return tool
    return None if DDK.is_dir() else f"{DDK} (Debian: mingw-w64-common, g++-mingw-w64-x86-64-win32)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", type=pathlib.Path)
    parser.add_argument("--driver", nargs=argparse.REMAINDER, required=True)
    options = parser.parse_args()
    missing = missing_tool()
    if missing:
        print(f"SKIPPED: {missing} is missing; nothing was compared")
        return SKIPPED
    try:
        for source in BY_VALUE:
            across, within = check(source, linux_options(options.commands, source), driver_options(options.driver))
            print(f"{source}: {across} functions are the same for Linux and Windows, {within} but for the calling convention")
    except Broken as broken:
        print(broken)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
