#!/usr/bin/env python3
"""sluice.exe with the driver loaded: what it shows of the processes that this test starts, and what the driver counts of them. Under
Wine, with our substitutes for what its kernel lacks (kernel_port/wine): the list of processes is Wine's, the callbacks are raised from it.

What this shows: driver, transports, client and tool together, as the files that are shipped. Not: that Windows does the same.

usage: watch_test.py --prefix DIRECTORY --tool FILE --driver FILE --keeper FILE --fltmgr FILE --fltlib FILE --probe FILE
"""

import argparse
import json
import pathlib
import re
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "wine"))
from driver_client import Device, Injection, Service
from wine_prefix import PATIENCE, Prefix


class watching:
    """`sluice.exe watch`, from when it says that it is connected."""

    def __init__(self, wine, tool, transport, output_format):
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = wine.start([tool, "watch", "--types", "process", "--transport", transport, "--format", output_format],
                                  stdout=self.out, stderr=self.err)
        self.wait_for(lambda: b"rings of" in self.said())

    def text(self):
        return self.whole(self.out).decode()

    def said(self):
        return self.whole(self.err)

    @staticmethod
    def whole(file):
        with open(f"/proc/self/fd/{file.fileno()}", "rb") as again:  # the position of `file` is shared with who writes
            return again.read()

    def wait_for(self, holds):
        def told():
            return f"watch ({self.process.poll()}) says: {self.said().decode()} {self.text()}"
        eventually(lambda: self.process.poll() is not None or holds(), told)
        assert holds(), told()

    def stop(self):
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.out.close()
        self.err.close()


def eventually(holds, told):
    limit = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < limit, f"not seen in {PATIENCE} s: {told()}"
        time.sleep(0.01)


def events(text, kind, pid):
    """Of the whole lines."""
    lines = text[:text.rfind("\n") + 1].splitlines()
    return [event for event in map(json.loads, lines) if event["type"] == kind and event["pid"] == pid]


class tool_with_driver(unittest.TestCase):
    def tearDown(self):
        self.wait_for_clients(0)

    def wait_for_clients(self, count):
        """What a process has held is given back some time after its end."""
        eventually(lambda: self.device.clients() == count, lambda: f"{self.device.clients()} clients instead of {count}")

    def run_process(self, started_is_seen, ended_is_seen, status):
        """A process that lives until its start has been seen; its pid."""
        process = self.wine.probe(self.files.probe)
        try:
            pid = int(process.must("pid")[0])
            started_is_seen(pid)
            process.exit(status)
        finally:
            process.close()
        ended_is_seen(pid)
        return pid

    def test_watch_shows_the_processes_that_start_and_end_over_each_transport(self):
        for transport, name in (("automatic", b"by port"), ("port", b"by port"), ("ioctl", b"by ioctl"), ("mapping", b"by mapping")):
            self.wait_for_clients(0)
            with self.subTest(transport), watching(self.wine, self.files.tool, transport, "jsonl") as watch:
                self.assertIn(name, watch.said())
                pid = self.run_process(lambda pid: watch.wait_for(lambda: events(watch.text(), "process_create", pid)),
                                       lambda pid: watch.wait_for(lambda: events(watch.text(), "process_exit", pid)), 7)
                self.assertEqual(watch.stop(), 0, watch.said())
                self.assertEqual([event["image_path"] for event in events(watch.text(), "process_create", pid)], ["probe.exe"])
                self.assertEqual([event["exit_status"] for event in events(watch.text(), "process_exit", pid)], [7])
                self.assertRegex(watch.said(), rb"[1-9]\d* records; dropped by the driver, as announced: 0;")

    def test_watch_shows_them_as_text(self):
        with watching(self.wine, self.files.tool, "automatic", "text") as watch:
            def shown(kind):
                return lambda pid: watch.wait_for(lambda: re.search(rf"{kind} .*\bpid={pid}\b", watch.text()))
            pid = self.run_process(shown("process_create"), shown("process_exit"), 3)
            self.assertEqual(watch.stop(), 0, watch.said())
            self.assertRegex(watch.text(), rf'process_create .*\bpid={pid}\b.* image_path="probe\.exe"')

    def test_stats_count_them(self):
        with watching(self.wine, self.files.tool, "port", "jsonl") as watch:
            self.run_process(lambda pid: watch.wait_for(lambda: events(watch.text(), "process_create", pid)),
                             lambda pid: watch.wait_for(lambda: events(watch.text(), "process_exit", pid)), 0)
            done = self.wine.run(self.files.tool, "stats")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for expected in (rb"process_create +[1-9]", rb"process_exit +[1-9]", rb"client sluice watch \(process \d+\): offered [1-9]",
                         rb"R3 holds: every event attempted was committed, discarded, dropped, filtered, or is open"):
            self.assertRegex(done.stdout, expected)


def main():
    parser = argparse.ArgumentParser()
    for name in ("prefix", "tool", "driver", "keeper", "fltmgr", "fltlib", "probe"):
        parser.add_argument(f"--{name}", required=True)
    files = tool_with_driver.files = parser.parse_args()
    with Prefix(files.prefix).running_with_substitutes(files.fltmgr, files.fltlib) as wine:
        tool_with_driver.wine = wine
        with wine.probe(files.probe) as probe, Service(probe, "keep", files.keeper), Service(probe, "sluice", files.driver):
            Injection(probe).watch_processes(True)
            tool_with_driver.device = Device(probe)
            result = unittest.main(argv=sys.argv[:1], exit=False).result
            tool_with_driver.device.close()
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
