#!/usr/bin/env python3
"""What a deterministic run promises: the same seed gives the same run, in any process; a fault made by hand is noticed, says which
seed it was and with which command it comes again, and comes again.

usage: repeats.py PROGRAM same|noticed
"""
import re
import shlex
import subprocess
import sys

LIMIT = 240  # seconds; a run that hangs is an error of its own


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    return done.returncode, done.stdout, done.stderr


def same(program):
    def fingerprints(*arguments):
        code, output, errors = run([program, "--fingerprints", *arguments])
        if code != 0:
            sys.exit(f"exit code {code}\n{errors}")
        return dict(line.split() for line in output.splitlines())

    first = fingerprints("--runs", "60")
    # Another process, other addresses, and other runs before each.
    again = fingerprints(*(word for seed in range(60, 0, -1) for word in ("--seed", str(seed))))
    differ = [seed for seed in first if first[seed] != again[seed]]
    if differ:
        sys.exit(f"the same seed gave another run: {differ}")
    if len(set(first.values())) != len(first):
        sys.exit("different seeds gave the same run")
    traces = [run([program, "--seed", "11", "--trace"])[1] for _ in range(2)]
    if traces[0] != traces[1] or traces[0].count("\n") < 50:
        sys.exit("two traces of seed 11 differ, or hold nothing")
    print(f"{len(first)} seeds gave the same run twice, each another one")


def noticed(program):
    """Not every store left out does harm (the announcement that nobody is asleep is made again and again), but most do."""
    faults = range(1, 41)
    found = {}
    for nth in faults:
        code, _, errors = run([program, "--runs", "8", "--leave-out-store", str(nth)])
        if code != 0:
            found[nth] = errors
    if len(found) < len(faults) // 2:
        sys.exit(f"of {len(faults)} left out stores {len(found)} were noticed: {sorted(found)}")
    for nth, errors in list(found.items())[:5]:
        match = re.search(r"again, with every switch: (.*)", errors)
        if not match:
            sys.exit(f"store {nth}: no word of how to repeat it:\n{errors}")
        what = re.search(r"BROKEN .*", errors)
        code, _, again = run(shlex.split(match.group(1)))
        if code == 0 or (what and what.group(0) not in again):
            sys.exit(f"store {nth}: {match.group(1)} gave exit code {code}:\n{again}\nbefore:\n{errors}")
    print(f"of {len(faults)} left out stores {len(found)} were noticed; the commands that were given repeat it")


if __name__ == "__main__":
    {"same": same, "noticed": noticed}[sys.argv[2]](sys.argv[1])
