#!/usr/bin/env python3
"""Lets one call of the tool fail: of each kind, at each of its occurrences.

    failing_calls_test.py SLUICE FAIL_CALLS DATA [--all] [--only SCENARIO] [--kind KIND]

SLUICE is the tool, FAIL_CALLS the library of fail_calls.c, DATA the directory tests/data. A first run of each scenario counts the calls.
Then, run by run, one of them fails: each of the first few and a sample of the rest, or each one with --all. Whatever fails, the tool ends by
itself, with a documented exit code; if that is 0 nothing is missing, and if it is 1 stderr says what failed; what it leaves on disk is what
docs/ says.
"""
import argparse
import concurrent.futures
import errno
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HALF = 0  # a short read or write
HARMLESS = {errno.EINTR, HALF, errno.ECONNABORTED}  # that a program has to go on after

ERRORS = {
    "memory": [errno.ENOMEM], "open": [errno.EMFILE], "openat": [errno.EMFILE], "fopen": [errno.EMFILE],
    "read": [errno.EIO, errno.EINTR, HALF], "pread": [errno.EIO, errno.EINTR, HALF],
    "write": [errno.ENOSPC, errno.EINTR, HALF], "pwrite": [errno.ENOSPC, errno.EINTR, HALF],
    "lseek": [errno.EIO], "fsync": [errno.EIO], "fdatasync": [errno.EIO], "ftruncate": [errno.ENOSPC],
    "fallocate": [errno.ENOSPC], "posix_fallocate": [errno.ENOSPC], "fstat": [errno.EIO], "lstat": [errno.EACCES],
    "mmap": [errno.ENOMEM], "socket": [errno.EMFILE], "connect": [errno.ECONNREFUSED],
    "bind": [errno.EACCES], "listen": [errno.EADDRINUSE], "accept4": [errno.EMFILE, errno.EINTR, errno.ECONNABORTED],
    "recv": [errno.ECONNRESET, errno.EINTR], "recvmsg": [errno.ECONNRESET, errno.EINTR],
    "send": [errno.EPIPE, errno.EINTR, HALF], "sendmsg": [errno.EPIPE, errno.EINTR], "poll": [errno.EINTR],
    "ppoll": [errno.EINTR], "epoll_create1": [errno.EMFILE], "epoll_ctl": [errno.ENOMEM], "epoll_wait": [errno.EINTR],
    "eventfd": [errno.EMFILE], "signalfd": [errno.EMFILE], "memfd_create": [errno.EMFILE],
    "pthread_create": [errno.EAGAIN], "mkdir": [errno.ENOSPC], "link": [errno.EIO], "renameat2": [errno.EIO],
    "readlink": [errno.EACCES], "mkostemp": [errno.EMFILE], "syscall": [errno.EMFILE],
}
CRASH = re.compile(r"terminate called|what\(\)|Sanitizer|runtime error|BUG ?CHECK|was used wrongly|Assertion|\bbug check\b")


class Scenario:
    def __init__(self, name, arguments, same=False, leaves=(), check=None, serves=False, asks=False):
        self.name = name
        self.arguments = arguments
        self.same = same  # stdout is the same each time
        self.leaves = leaves  # names, as patterns, that may be in the directory at the end
        self.check = check  # (directory, result) -> what is wrong with what it left, or None
        self.serves = serves  # `simulate`: a client connects to it, then it is asked to end
        self.asks = asks  # a client of such a process, in which nothing fails


class Result:
    def __init__(self, code, stdout, stderr):
        self.code, self.stdout, self.stderr = code, stdout, stderr


class Tester:
    def __init__(self, arguments):
        self.sluice = arguments.sluice
        self.library = arguments.fail_calls
        self.data = pathlib.Path(arguments.data)
        self.all = arguments.all
        self.kind = arguments.kind
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="sluice_failing_"))
        self.environment = {**os.environ, "SLUICE_RUNTIME_DIR": str(self.root)}
        self.wrong = []
        self.runs = 0

    def plain(self, *words, **options):
        done = subprocess.run([self.sluice, *map(str, words)], capture_output=True, env=self.environment, timeout=120, **options)
        return Result(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))

    def make_inputs(self):
        for words in (("record", self.root / "whole.slr", "--source", "synthetic", "--duration", "60ms", "--rate", "1500", "--cpus", "2"),
                      ("watch", "--source", "synthetic", "--duration", "60ms", "--rate", "1500", "--cpus", "2",
                       "--snapshot", self.root / "whole.img")):
            done = self.plain(*words)
            assert done.code == 0, done.stderr
        lines = (self.data / "causality_short.jsonl").read_text().splitlines()[:120]
        (self.root / "replay.jsonl").write_text("\n".join(lines) + "\n")
        (self.root / "filter.toml").write_text('types = ["process", "image"]\n')

    def run(self, scenario, call=None, counts=None, is_asked_to_end=True):
        with tempfile.TemporaryDirectory(dir=self.root) as directory:
            environment = {**self.environment, "LD_PRELOAD": ":".join(filter(None, [os.environ.get("LD_PRELOAD"), self.library]))}
            if call:
                environment["SLUICE_FAIL_CALL"] = "%s:%d:%d" % call
            if counts:
                environment["SLUICE_FAIL_COUNTS"] = counts
            words = [self.sluice, *(word.format(root=self.root, own=directory) for word in scenario.arguments)]
            if scenario.serves:
                environment["SLUICE_RUNTIME_DIR"] = directory
                return self.serve(words, environment, is_asked_to_end)
            try:
                done = subprocess.run(words, capture_output=True, env=environment, timeout=60, stdin=subprocess.DEVNULL)
            except subprocess.TimeoutExpired as late:
                return Result(None, b"", (late.stderr or b"").decode("utf-8", "replace")), "did not end"
            result = Result(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
            left = [name for name in os.listdir(directory) if not any(re.fullmatch(each, name) for each in scenario.leaves)]
            fault = f"left {left}" if left else None
            if fault is None and scenario.check:
                fault = scenario.check(self, pathlib.Path(directory), result)
            return result, fault

    def serve(self, words, environment, is_asked_to_end):
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as server:
            try:
                told = server.stdout.readline()
                if told:
                    inside = {**self.environment, "SLUICE_RUNTIME_DIR": environment["SLUICE_RUNTIME_DIR"]}
                    client = subprocess.run([self.sluice, "watch", "--connect", "failing", "--duration", "20ms", "--format", "jsonl"],
                                            capture_output=True, env=inside, timeout=60)
                    if client.returncode not in (0, 1):
                        return Result(client.returncode, b"", client.stderr.decode("utf-8", "replace")), "its client crashed"
                    if is_asked_to_end:
                        server.send_signal(signal.SIGINT)
                out, said = server.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                server.kill()
                return Result(None, b"", ""), "it, or its client, did not end"
            return Result(server.returncode, told + out, said.decode("utf-8", "replace")), None

    def judge(self, scenario, usual, call, result, fault):
        kind, _, error = call
        if fault:
            return fault
        if result.code not in (0, 1):
            return f"ended with {result.code}"
        if CRASH.search(result.stderr):
            return "says that it crashed"
        if result.code == 0:
            if scenario.serves and "R3 holds" not in result.stderr:
                return "ended with 0, and does not say that R3 holds"
            if scenario.same and result.stdout != usual.stdout:
                return "ended with 0, and its output is another one"
            if "R3 holds" in usual.stderr and "R3 holds" not in result.stderr and kind != "write":
                return "ended with 0, and does not say that R3 holds"
            return None
        if error in HARMLESS:
            return "gave up after what is no failure"
        # Without memory the C library starts no thread, and says no more than that; the driver has a status, zstd words of its own.
        said = ["out of memory", "a thread could not be started", "NT status 0xc000009a", "not enough memory"] \
            if kind == "memory" else [os.strerror(error)]
        if error == errno.ENOMEM:
            said += ["out of memory", "no memory"]
        if scenario.asks or scenario.serves:
            said += ["NT status", "nobody serves there"]
        if not any(each.lower() in result.stderr.lower() for each in said):
            return f"does not say '{said[0]}'"
        return None

    def chosen(self, total, seconds):
        if self.all:
            return range(1, total + 1)
        most = max(3, min(24, int(0.25 / seconds)))
        if total <= most:
            return range(1, total + 1)
        first = most // 3
        return sorted({*range(1, first + 1), total, *(first + (i * (total - first)) // (most - first) for i in range(1, most - first + 1))})

    def test(self, scenario):
        if not scenario.asks:
            return self.disturb(scenario)
        words = [self.sluice, "simulate", "steady", "--source", "synthetic", "--rate", "1000", "--cpus", "2"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment) as server:
            assert server.stdout.readline().startswith(b"serving"), server.stderr.read()
            try:
                return self.disturb(scenario)
            finally:
                server.send_signal(signal.SIGINT)
                said = server.communicate(timeout=60)[1].decode("utf-8", "replace")
                if server.returncode != 0 or "R3 holds" not in said:
                    self.wrong.append(f"{scenario.name}: the process that served its clients ended with {server.returncode}:\n{said}")

    def disturb(self, scenario):
        counts = str(self.root / f"counts-{scenario.name}")
        begin = time.monotonic()
        usual, fault = self.run(scenario, counts=counts)
        seconds = time.monotonic() - begin
        if usual.code != 0 or fault:
            self.wrong.append(f"{scenario.name}: undisturbed it ended with {usual.code} ({fault}):\n{usual.stderr}")
            return
        totals = {name: int(count) for name, count in (line.split() for line in open(counts, encoding="utf-8"))}
        calls = [(kind, nth, error) for kind, errors in ERRORS.items() if self.kind in (None, kind)
                 for error in errors for nth in self.chosen(totals[kind], seconds)]
        self.runs += len(calls)

        def one(call):
            result, fault = self.run(scenario, call)
            if scenario.serves and result.code == -signal.SIGINT:
                # It had given up, and minded signals no more when it was asked to end: then it ends without being asked.
                result, fault = self.run(scenario, call, is_asked_to_end=False)
            while not fault and "0xc0000043" in result.stderr:  # the client before still has the rings, or the reading
                result, fault = self.run(scenario, call)
            wrong = self.judge(scenario, usual, call, result, fault)
            if wrong:
                name = "half" if call[2] == HALF else errno.errorcode[call[2]]
                return f"{scenario.name}: {call[0]} {call[1]} of {totals[call[0]]} with {name}: {wrong}\n    " + \
                    "\n    ".join(result.stderr.strip().splitlines()[-6:])
            return None

        # The device has one reader.
        with concurrent.futures.ThreadPoolExecutor(1 if scenario.asks else 2) as pool:
            self.wrong += [wrong for wrong in pool.map(one, calls) if wrong]
        print(f"{scenario.name}: {len(calls)} runs, {seconds * 1000:.0f} ms each", flush=True)


def recording_is_readable(tester, directory, result):
    for path in directory.glob("*.slr"):
        read = tester.plain("watch", "--source", f"file:{path}", "--format", "jsonl")
        if read.code not in (0, 1) or CRASH.search(read.stderr):
            return f"what it recorded cannot be read: {read.stderr}"
        if result.code == 0 and read.code != 0:
            return f"ended with 0, and what it recorded is damaged: {read.stderr}"
    return None


def image_is_readable(tester, directory, result):
    for path in directory.glob("*.img*"):
        read = tester.plain("watch", "--source", f"image:{path}", "--format", "jsonl")
        if read.code != 0:
            return f"the image cannot be read: {read.stderr}"
    if result.code == 0 and not list(directory.glob("*.img*")):
        return "ended with 0, and there is no image"
    return None


LOAD = ["--source", "synthetic", "--duration", "30ms", "--rate", "1000", "--cpus", "2"]
SCENARIOS = [
    Scenario("filter_check", ["filter", "check", "{root}/filter.toml"], same=True),
    Scenario("help", ["--help"], same=True),
    Scenario("stats", ["stats", "{root}/whole.slr"], same=True),
    Scenario("stats_image", ["stats", "{root}/whole.img"], same=True),
    Scenario("watch_file", ["watch", "--source", "file:{root}/whole.slr"], same=True),
    Scenario("watch_file_jsonl", ["watch", "--source", "file:{root}/whole.slr", "--format", "jsonl"], same=True),
    Scenario("watch_image", ["watch", "--source", "image:{root}/whole.img", "--format", "jsonl"], same=True),
    Scenario("watch_replay", ["watch", "--source", "replay:{root}/replay.jsonl", "--speed", "max", "--cpus", "2"]),
    Scenario("watch_synthetic", ["watch", *LOAD, "--filter", "{root}/filter.toml"]),
    Scenario("watch_memory", ["watch", *LOAD, "--memory", "{own}/memory"], leaves=["memory"]),
    Scenario("snapshot", ["watch", *LOAD, "--snapshot", "{own}/s.img"], leaves=[r"s\.img(\.\d+)?"], check=image_is_readable),
    Scenario("simulate", ["simulate", "failing", "--source", "synthetic", "--rate", "1000", "--cpus", "2"], serves=True),
    Scenario("stats_connected", ["stats", "--connect", "steady"], asks=True),
    Scenario("filter_set", ["filter", "set", "{root}/filter.toml", "--connect", "steady"], asks=True),
    Scenario("filter_show", ["filter", "show", "--connect", "steady"], asks=True),
    Scenario("watch_port", ["watch", "--connect", "steady", "--transport", "port", "--duration", "20ms"], asks=True),
    Scenario("watch_ioctl", ["watch", "--connect", "steady", "--transport", "ioctl", "--duration", "20ms"], asks=True),
    Scenario("watch_mapping", ["watch", "--connect", "steady", "--transport", "mapping", "--duration", "20ms"], asks=True),
    Scenario("record", ["record", "{own}/r.slr", *LOAD], leaves=[r"r\.slr"], check=recording_is_readable),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sluice")
    parser.add_argument("fail_calls")
    parser.add_argument("data")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", action="append", help="of this scenario; can be given again")
    parser.add_argument("--kind")
    arguments = parser.parse_args()
    tester = Tester(arguments)
    try:
        tester.make_inputs()
        for scenario in SCENARIOS:
            if not arguments.only or scenario.name in arguments.only:
                tester.test(scenario)
    finally:
        shutil.rmtree(tester.root)
    print(f"{tester.runs} runs, {len(tester.wrong)} wrong")
    for wrong in tester.wrong[:40]:
        print(wrong)
    sys.exit(1 if tester.wrong else 0)


if __name__ == "__main__":
    main()
