#!/usr/bin/env python3
"""Gate: sluice.sys is bit-reproducible, and needs nothing of the project but the directories it is made of.

    reproducible_gate.py IMAGE [--machine MACHINE] [--root DIRECTORY]

Copies pipeline/, producers/, kernel_port/driver/, kernel_port/snapshot/ and kernel_port/nt/ to another place, builds the driver there, and
compares it with IMAGE byte for byte. Exit status: 0 the same, 1 not.
"""
import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

PARTS = ("pipeline", "producers", "kernel_port/driver", "kernel_port/snapshot", "kernel_port/nt")


def build_elsewhere(root, place, machine="x86_64"):
    """The bytes of a sluice.sys built from a copy of its parts under `place`."""
    for part in PARTS:
        shutil.copytree(root / part, place / "source" / part)
    commands = (["cmake", "-G", "Ninja", "-S", place / "source/kernel_port/nt", "-B", place / "made"],
                ["ninja", "-C", place / "made", f"{machine}/sluice.sys"])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return (place / "made" / machine / "sluice.sys").read_bytes()


def first_difference(one, other):
    """None, or where and how the two differ."""
    for at, (left, right) in enumerate(zip(one, other)):
        if left != right:
            return f"differ first at offset {at:#x}"
    return None if len(one) == len(other) else f"have {len(one)} and {len(other)} bytes"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument("--machine", default="x86_64")
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=here.parent.parent)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sluice another place ") as place:
        try:
            again = build_elsewhere(options.root, pathlib.Path(place), options.machine)
        except RuntimeError as broken:
            print(f"the copy does not build on its own: {broken}")
            return 1
    difference = first_difference(options.image.read_bytes(), again)
    if difference:
        print(f"{options.image.name} and the one built elsewhere {difference}")
        return 1
    print(f"{options.image.name}: built twice, in two places, sha256 {hashlib.sha256(again).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
