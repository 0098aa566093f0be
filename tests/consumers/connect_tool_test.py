#!/usr/bin/env python3
"""Runs the tool and the examples as processes that are clients of another one: connect_tool_test.py SLUICE PROCESS_STARTS PROCESS_TREE."""
import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import forging_host

sluice, process_starts, process_tree = sys.argv[1:4]


def fail(what):
    raise SystemExit(f"connect_tool_test: {what}")


def run(*arguments, expect=0, says=""):
    limit = time.monotonic() + 120
    while True:
        done = subprocess.run([sluice, *arguments], capture_output=True, text=True, timeout=300)
        # The client before has gone, and its handle may still be about to be closed: a mapped client is alone.
        if not ("0xc0000043" in done.stderr or "beside another client" in done.stderr) or time.monotonic() > limit:
            break
    if done.returncode != expect or says not in done.stderr + done.stdout:
        fail(f"{' '.join(arguments)} ended with {done.returncode}, not {expect} and '{says}':\n{done.stdout[-2000:]}{done.stderr}")
    return done


class Simulation:
    def __init__(self, name):
        self.process = subprocess.Popen(
            [sluice, "simulate", name, "--source", "synthetic", "--rate", "2000", "--cpus", "2"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)  # also of a test that fails
        line = self.process.stdout.readline()
        if not line.startswith("serving "):
            fail(f"simulate says '{line}': {self.process.stderr.read()}")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=300)
        if self.process.returncode != 0:
            fail(f"simulate ended with {self.process.returncode}: {said}")


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.environ["SLUICE_RUNTIME_DIR"] = directory
        run("watch", "--connect", "nobody", expect=1, says="nobody")
        run("stats", "--connect", "nobody", expect=1, says="nobody")
        run("stats", expect=1, says="needs a FILE, or --connect NAME")
        run("watch", "--transport", "port", expect=1, says="--connect")
        run("watch", "--connect", "nobody", "--cpus", "2", expect=1, says="excludes")
        demo = Simulation("demo")

        for by in ("port", "ioctl", "mapping"):
            done = run("watch", "--connect", "demo", "--transport", by, "--duration", "1s", "--format", "jsonl", says=f"by {by}")
            events = [json.loads(line) for line in done.stdout.splitlines()]
            if not events:
                fail(f"nothing came by {by}")
            if by == "port" and "what the driver delivered to this client, it received" not in done.stderr:
                fail(f"no account: {done.stderr}")
        done = run("watch", "--connect", "demo", "--types", "process", "--duration", "1s", "--format", "jsonl")
        kinds = {json.loads(line)["type"] for line in done.stdout.splitlines()}
        if not kinds & {"process_create", "process_exit"} or {kind for kind in kinds if kind.startswith(("thread", "image", "registry"))}:
            fail(f"of processes came {kinds}")

        run("stats", "--connect", "demo", says="R3 holds")
        path = os.path.join(directory, "filter.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write('types = ["process"]\n')
        run("filter", "show", "--connect", "demo", says="no filter is set")
        run("filter", "set", path, "--connect", "demo")
        run("filter", "show", "--connect", "demo", says="types: process")
        run("filter", "clear", "--connect", "demo")
        run("filter", "show", "--connect", "demo", says="no filter is set")
        run("watch", "--connect", "demo", "--filter", path, "--duration", "500ms", says="filter: ")
        run("filter", "show", "--connect", "demo", says="no filter is set")  # that one was the client's own
        # Of rates there is only the driver's; a client's own filter has none.
        with open(path, "w", encoding="utf-8") as file:
            file.write('[process_rate]\ntypes = ["thread"]\nper_second = 500\nburst = 700\n')
        run("filter", "set", path, "--connect", "demo")
        run("filter", "show", "--connect", "demo", says="rate of a process: 500 events a second, 700 at once\n")
        run("filter", "clear", "--connect", "demo")
        run("watch", "--connect", "demo", "--filter", path, "--duration", "500ms", expect=1,
            says="error: the driver refuses the filter: repeats and rates are for the driver's filter")
        with open(path, "w", encoding="utf-8") as file:
            file.write('typs = ["process"]\n')
        run("filter", "set", path, "--connect", "demo", expect=1, says="is not known here")

        # A driver that lies: its batches are longer than they say, and it does not know its clients.
        def forge(kind, code, status, content):
            if kind == forging_host.read and status == 0:
                return status, content + bytes(8)
            if code == forging_host.clients:
                return forging_host.unsuccessful, b""
            return status, content

        lying = forging_host.ForgingHost(os.path.join(directory, "lying"), os.path.join(directory, "demo.socket"), forge)
        done = run("watch", "--connect", lying.path, "--transport", "ioctl", "--duration", "1s", expect=2,
                   says="bytes were read, its header says")
        if not done.stdout or "BROKEN" in done.stderr:
            fail(f"of batches with bytes behind them came something else: {done.stderr}")
        done = run("stats", "--connect", lying.path, says="clients: not known, the driver did not answer")
        if "R3 holds" not in done.stdout:
            fail(f"what the driver did answer is not shown: {done.stdout}")

        # The examples, until they have shown something.
        shown = subprocess.Popen([process_starts, "demo"], stdout=subprocess.PIPE, text=True,
                                 env={**os.environ, "LC_ALL": "C"})
        os.set_blocking(shown.stdout.fileno(), True)
        line = shown.stdout.readline()
        shown.kill()
        shown.communicate()
        if " starts: " not in line and "missing here" not in line:
            fail(f"process_starts shows '{line}'")
        done = subprocess.run([process_tree, "nobody", "1"], capture_output=True, text=True, timeout=60)
        if done.returncode != 1 or not done.stderr:
            fail("process_tree follows a process of nobody")

        # A watch that is asked to end, and one whose kernel goes away.
        watching = subprocess.Popen([sluice, "watch", "--connect", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watching.stdout.readline()
        watching.send_signal(signal.SIGTERM)
        _, said = watching.communicate(timeout=300)
        if watching.returncode != 0:
            fail(f"a watch that was asked to end, ended with {watching.returncode}: {said}")
        demo.end()

        demo = Simulation("demo")
        watching = subprocess.Popen([sluice, "watch", "--connect", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watching.stdout.readline()
        demo.process.kill()
        demo.process.communicate()
        _, said = watching.communicate(timeout=300)
        if watching.returncode != 1 or "NT status" not in said:
            fail(f"a watch whose kernel has gone, ended with {watching.returncode}: {said}")


if __name__ == "__main__":
    main()
