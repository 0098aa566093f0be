#!/usr/bin/env python3
"""Runs a test program for Windows, with Wine as it is.

usage: unit_test.py PREFIX PROGRAM.EXE [ARGUMENT...]
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "wine"))
from wine_prefix import Prefix

with Prefix(sys.argv[1]).running() as wine:
    done = wine.run(*sys.argv[2:])
sys.stdout.buffer.write(done.stdout.replace(b"\r\n", b"\n"))
sys.stderr.buffer.write(done.stderr)
sys.exit(done.returncode != 0)
