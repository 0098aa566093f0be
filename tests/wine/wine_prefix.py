"""A Wine prefix for the driver's tests: made once in the build directory, used by one test at a time.

A prefix runs between `with prefix.running(...)`'s ends: no process of it is left behind, whatever happens inside.
"""
import contextlib
import os
import shutil
import subprocess
import sys
import threading

SKIPPED = 77
STATUS_TIMEOUT = 0x102
STATUS_PENDING = 0x103


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(SKIPPED)


class Failure(AssertionError):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def require_wine():
    """The programs of Wine; exits as skipped, with the reason, where there are none."""
    programs = {name: shutil.which(name) or shutil.which(name, path="/usr/lib/wine") for name in ("wine", "wineserver")}
    for name, path in programs.items():
        if path is None:
            skip(f"{name} is not installed (Debian: wine64 and wine); nothing of the driver was run under Wine")
    return programs


class Probe:
    """tests/wine/probe.cpp, running in the prefix."""

    def __init__(self, prefix, executable):
        self.process = prefix.start([executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command, seconds=120):
        """Status and the words behind it."""
        late = threading.Timer(seconds, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            late.cancel()
        if not line:
            raise Failure(f"the probe gave no answer to '{command[:80]}' in {seconds} s, or has ended")
        words = line.decode().split()
        return int(words[0], 16), words[1:]

    def must(self, command, status=0, seconds=120):
        got, words = self.ask(command, seconds)
        check(got == status, f"'{command[:100]}' gave {got:#010x}, expected {status:#010x}")
        return words

    def control(self, handle, code, message=b"", room=0, status=0, milliseconds=60000):
        words = self.must(f"control {handle} {code:x} {message.hex() or '-'} {room} {milliseconds}", status)
        return b"" if not words or words[0] == "-" else bytes.fromhex(words[0])

    def finish(self, request, status=0, milliseconds=60000):
        words = self.must(f"finish {request} {milliseconds}", status)
        return b"" if not words or words[0] == "-" else bytes.fromhex(words[0])

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.stdout.close()


class Prefix:
    def __init__(self, directory):
        self.programs = require_wine()
        self.directory = os.path.abspath(directory)
        self.environment = {}

    def windows(self, *path):
        return os.path.join(self.directory, "drive_c", "windows", *path)

    @contextlib.contextmanager
    def running(self, overrides=""):
        """The prefix, made if it is not there yet. `overrides`: of WINEDLLOVERRIDES, in force for every process."""
        os.makedirs(self.directory, exist_ok=True)
        self.environment = {
            **os.environ,
            "WINEPREFIX": self.directory,
            "WINEARCH": "win64",
            "LC_ALL": "C.UTF-8",
            "WINEDEBUG": os.environ.get("SLUICE_WINEDEBUG", "-all"),
            "WINEDLLOVERRIDES": ";".join(filter(None, [overrides, "mscoree,mshtml="])),
        }
        self.environment.pop("DISPLAY", None)
        self.stop()
        try:
            if not os.path.exists(os.path.join(self.directory, "made")):
                self.make()
            yield self
        finally:
            self.stop()

    def make(self):
        made = subprocess.run([self.programs["wine"], "wineboot", "-i"], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=240)
        subprocess.run([self.programs["wineserver"], "-w"], env=self.environment, timeout=240)
        if made.returncode != 0 or not os.path.exists(self.windows("system32", "drivers")):
            raise Failure("wineboot could not make a prefix")
        open(os.path.join(self.directory, "made"), "w").close()

    def start(self, command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL if "SLUICE_WINEDEBUG" not in os.environ else None)
        return subprocess.Popen([self.programs["wine"], *command], env=self.environment, **options)

    def stop(self):
        """Ends every process of this prefix, and of no other."""
        if os.path.isdir(self.directory):
            for arguments in (["-k"], ["-w"]):
                subprocess.run([self.programs["wineserver"], *arguments], env=self.environment, stderr=subprocess.DEVNULL,
                               timeout=60)

    def probe(self, executable):
        return Probe(self, executable)


def path_in_wine(path):
    return "Z:" + os.path.abspath(path).replace("/", "\\")
