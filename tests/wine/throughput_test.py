#!/usr/bin/env python3
"""How many events a second come out of the driver under Wine with the substitutes: throughput_test.py --directory PREFIX --program
throughput.exe --load FILE --keep FILE --probe FILE --fltmgr FILE --fltlib FILE [--milliseconds N] [--only MODE]

Measures, and prints. It fails if an event is lost in silence, comes twice, out of order or damaged; never for being slow: the figures are
this machine's, and of Wine (docs/wine.md).
"""
import argparse
import os

from driver_client import *
from wine_prefix import Prefix, check, said

# What Wine's server copies batches through is freed after each. The C library would give it back to the kernel every time, and take it
# again page by page.
KEEPS_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 28), "MALLOC_TRIM_THRESHOLD_": str(1 << 28)}

MODES = {"reads": "batches over pended reads, four at a time", "ioctl": "the client library over pended reads, one at a time",
         "mapping": "the client library, rings mapped"}


def measure(prefix, probe, files, mode):
    done = run(prefix, probe, files, mode)
    check(done.returncode == 0, f"{mode}: exit code {done.returncode}: {said(done)}")
    events, microseconds, batches, dropped = (int(word) for word in done.stdout.split())
    check(events > 0 and microseconds > 0 and batches > 0, f"{mode}: nothing came")
    print(f"{MODES[mode]}: {events / microseconds:.2f} million events of 64 bytes/s in {batches * 1e6 / microseconds:.0f} batches/s; "
          f"{dropped} found no room, and all are told", flush=True)


def run(prefix, probe, files, mode):
    """The driver is loaded anew: what it counts is of this run."""
    with Service(probe, "load", files.load, RingBytes=4 << 20):
        injection = Injection(probe)
        injection.watch_processes(False)
        done = prefix.run(files.program, mode, str(files.milliseconds))
        counted = injection.counters()
        check(counted["irql_violations"] == 0 and counted["pool_violations"] == 0, f"{mode}: a rule was broken: {counted['last_violation']}")
        injection.close()
    return done


def main():
    parser = argparse.ArgumentParser()
    for name in ("directory", "program", "load", "keep", "probe", "fltmgr", "fltlib"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--milliseconds", type=int, default=2000)
    parser.add_argument("--only", choices=MODES)
    files = parser.parse_args()
    os.environ.update(KEEPS_FREED_MEMORY)
    prefix = Prefix(files.directory)
    with prefix.running_with_substitutes(files.fltmgr, files.fltlib):
        probe = prefix.probe(files.probe)
        try:
            Service(probe, "keep", files.keep).start()
            for mode in MODES:
                if files.only in (None, mode):
                    measure(prefix, probe, files, mode)
        finally:
            probe.close()
    print("This machine, under Wine: no figure of Windows.")


if __name__ == "__main__":
    main()
