"""Runs the fuzzers, several at a time: run.py --build DIRECTORY [--seconds N] [--jobs N] [TARGET ...]

Each begins with its corpus in the tree and with what it has found before in BUILD/corpus/TARGET, where what is new goes. An input
that fails is kept in BUILD/findings. A table on stdout, progress on stderr if that is a terminal.
Exit code: 0 nothing found, 1 something was (the line that replays it is printed), 2 wrong arguments."""
import argparse
import concurrent.futures
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


def launcher():
    """AddressSanitizer of clang 14 needs its address ranges free, which a kernel that randomises by more than 28 bits breaks."""
    bits = pathlib.Path("/proc/sys/vm/mmap_rnd_bits")
    if bits.exists() and int(bits.read_text()) > 28 and shutil.which("setarch"):
        return ["setarch", platform.machine(), "-R"]
    return []


class Fuzzing:
    def __init__(self, build, target, seconds):
        self.build, self.target, self.seconds = build, target, seconds
        self.binary = build / "bin" / f"{target}_fuzzer"
        self.findings = build / "findings"
        self.log = build / "logs" / f"{target}.log"

    def corpora(self):
        """The first is written to."""
        found = self.build / "corpus" / self.target
        found.mkdir(parents=True, exist_ok=True)
        listed = (self.build / "fuzzers" / self.target).read_text()
        for each in filter(None, listed.split(";")):
            shutil.copy(each, found)
        kept = HERE / "corpus" / self.target
        return [found] + ([kept] if kept.is_dir() else [])

    def run(self):
        for directory in (self.findings, self.log.parent):
            directory.mkdir(parents=True, exist_ok=True)
        before = set(self.findings.iterdir())
        command = [*launcher(), str(self.binary), f"-max_total_time={self.seconds}", "-timeout=20", "-rss_limit_mb=4096",
                   "-max_len=4096", "-print_final_stats=1", f"-artifact_prefix={self.findings}/{self.target}-",
                   *map(str, self.corpora())]
        start = time.monotonic()
        with open(self.log, "w") as log:
            status = subprocess.run(command, stdout=log, stderr=log).returncode
        self.took = time.monotonic() - start
        text = self.log.read_text(errors="replace")
        self.new = sorted(set(self.findings.iterdir()) - before)
        executions = re.search(r"number_of_executed_units: *(\d+)", text)
        self.executions = int(executions[1]) if executions else 0
        coverage = re.findall(r"cov: (\d+)", text)
        self.coverage = int(coverage[-1]) if coverage else 0
        self.failed = status != 0
        return self

    def line(self):
        result = "nothing found" if not self.failed else "FOUND SOMETHING"
        return f"{self.target:16} {self.executions:12} {self.coverage:9} {self.took:9.0f}  {result}"

    def report(self):
        text = self.log.read_text(errors="replace").splitlines()
        first = next((i for i, line in enumerate(text) if "ERROR:" in line or "runtime error" in line), max(0, len(text) - 40))
        print(f"\n== {self.target}, {self.log}")
        print("\n".join(text[first:first + 40]))
        for each in self.new:
            print(f"replay: {' '.join([*launcher(), str(self.binary), str(each)])}")


def progress(over, start, seconds, total):
    while not over.wait(1):
        print(f"\rfuzzing: {time.monotonic() - start:.0f} s, {total} targets of {seconds} s each ", end="", file=sys.stderr)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description="Runs the fuzzers.")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where the preset fuzz was built")
    parser.add_argument("--seconds", type=int, default=60, help="of each target (60)")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("targets", nargs="*", help="all, if none is named")
    arguments = parser.parse_args()
    there = sorted(each.name for each in (arguments.build / "fuzzers").iterdir())
    unknown = [each for each in arguments.targets if each not in there]
    if unknown or arguments.seconds < 1 or arguments.jobs < 1:
        parser.error(f"there is no target {unknown[0]!r} (there are: {' '.join(there)})" if unknown else "numbers are at least 1")
    # The machine's first: they are the slowest.
    targets = sorted(arguments.targets or there, key=lambda name: (name not in ("control", "wire"), name))

    over = threading.Event()
    if sys.stderr.isatty():
        threading.Thread(target=progress, args=(over, time.monotonic(), arguments.seconds, len(targets)), daemon=True).start()
    print(f"{'target':16} {'executions':>12} {'branches':>9} {'seconds':>9}", flush=True)
    done = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(Fuzzing(arguments.build, name, arguments.seconds).run) for name in targets]
        for each in concurrent.futures.as_completed(runs):
            done.append(each.result())
            print(done[-1].line(), flush=True)
    over.set()
    for each in done:
        if each.failed:
            each.report()
    return 1 if any(each.failed for each in done) else 0


if __name__ == "__main__":
    sys.exit(main())
