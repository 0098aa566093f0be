#!/usr/bin/env python3
"""The conformance suite of the transports (tests/conformance) with the Windows client and sluice.sys, under Wine with our substitutes
(kernel_port/wine).

What this shows: the shipped driver's file and the shipped client's code do over each transport what they do on the simulated kernel,
against our reading of the documentation. Not: that Windows does the same, nor anything about speed.

usage: conformance_test.py --prefix DIRECTORY --program FILE --driver FILE --keeper FILE --fltmgr FILE --fltlib FILE [-- ARGUMENT...]
"""

import argparse
import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "wine"))
from wine_prefix import Prefix, path_in_wine


def main():
    parser = argparse.ArgumentParser()
    for name in ("prefix", "program", "driver", "keeper", "fltmgr", "fltlib"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("arguments", nargs="*")
    files = parser.parse_args()
    with Prefix(files.prefix).running_with_substitutes(files.fltmgr, files.fltlib) as wine:
        wine.environment["SLUICE_TEST_DRIVER"] = path_in_wine(files.driver)
        wine.environment["SLUICE_TEST_KEEPER"] = path_in_wine(files.keeper)
        done = wine.run(files.program, *files.arguments, patience=600)
    sys.stdout.buffer.write(done.stdout.replace(b"\r\n", b"\n"))
    sys.stderr.buffer.write(done.stderr)
    sys.stdout.flush()
    digest = hashlib.sha256(pathlib.Path(files.driver).read_bytes()).hexdigest()
    print(f"sluice.sys {digest}: loaded from where it was built")
    return 0 if done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
