#!/usr/bin/env python3
"""Gate: nothing in the section PAGE raises the IRQL: it would go on at DISPATCH_LEVEL in code that may be paged out.

    pageable_gate.py --objdump OBJDUMP OBJECT ...

Looked at is what the compiler made of it, with all that it inlined. Exit status: 0 kept, 1 broken.
"""
import argparse
import re
import subprocess
import sys

RAISES = re.compile(r"%cr8\s*$|KeAcquireSpinLock|KfAcquireSpinLock|K[ef]RaiseIrql|KeAcquireInStackQueuedSpinLock|"
                    r"IoAcquireCancelSpinLock")
FEWEST = 10  # functions in PAGE; fewer means that the gate has stopped seeing


class Broken(Exception):
    pass


def check(objects, objdump, fewest=FEWEST):
    """Raises Broken with what is wrong; otherwise returns how many functions were looked at."""
    functions, wrong = 0, []
    for path in objects:
        done = subprocess.run([objdump, "-dr", "-j", "PAGE", path], capture_output=True, text=True)
        if done.returncode != 0 and "not found in any input file" not in done.stderr:
            raise Broken(f"{path}: {done.stderr.strip()}")
        name = ""
        for line in done.stdout.splitlines():
            if begins := re.match(r"[0-9a-f]+ <(.*)>:$", line):
                name = begins.group(1)
                functions += 1
            elif "%cr8," not in line and RAISES.search(line):
                wrong.append(f"{path}: {name} is pageable, and raises the IRQL: {line.strip()}")
    if functions < fewest:
        wrong.append(f"only {functions} functions are in PAGE")
    if wrong:
        raise Broken("\n".join(wrong))
    return functions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objdump", required=True)
    parser.add_argument("objects", nargs="+")
    arguments = parser.parse_args()
    try:
        functions = check(arguments.objects, arguments.objdump)
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    print(f"{functions} pageable functions, and none raises the IRQL")
    return 0


if __name__ == "__main__":
    sys.exit(main())
