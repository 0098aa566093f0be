#!/usr/bin/env python3
"""Runs a test program for Windows in a Wine prefix of its own, with Wine as it is.

usage: unit_test.py PROGRAM.EXE [ARGUMENT...]
"""

import sys

from prefix import prefix

with prefix() as wine:
    done = wine.run(*sys.argv[1:])
sys.stdout.buffer.write(done.stdout.replace(b"\r\n", b"\n"))
sys.stderr.buffer.write(done.stderr)
sys.exit(done.returncode != 0)
