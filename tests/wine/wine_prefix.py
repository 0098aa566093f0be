"""A Wine prefix for tests: made once in the build directory, used by one test at a time, left as it was made.

A prefix runs between `with prefix.running(...)`'s ends. Before: what an earlier run changed in the registry, or put in place of a file
of Wine's, is put back; its server is there and stays, and a program has been seen to start, run and end. After: no process of it is
left, whatever happened inside, or ten minutes later if the test itself was killed. A failure of Wine's own is tried again here, and
told; a test never sees it as its program's.
"""
import contextlib
import ctypes
import fcntl
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import threading

SKIPPED = 77
PATIENCE = 240  # seconds; what takes longer hangs
ATTEMPTS = 3  # of what Wine does by itself, before any program of a test runs
LINGERS = 600  # seconds that the server stays with nobody, if a test is killed: its stop() ends it at once
STATUS_TIMEOUT = 0x102
STATUS_PENDING = 0x103

# No downloads, and nothing written into the home directory of whoever runs the tests.
WITHOUT = "mscoree,mshtml=;winemenubuilder.exe=d"
SUBSTITUTES = "fltlib,fltmgr.sys=n,b"  # ours, where they are (kernel_port/wine)
ERRORS = "-all,err+all"  # of WINEDEBUG


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(SKIPPED)


class Failure(AssertionError):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def keep_addresses():
    """Debian's wine64 is linked at 0x7d000000; Linux begins its heap at a random place in the gigabyte behind. Where that covers 0x7ffe0000,
    which Wine needs, the process ends with 1, whatever it was to run, and says nothing unless WINEDEBUG lets it: one start in some thousands.
    Without randomisation it never does. In force for this process and all that it starts; a container may forbid it."""
    address_no_randomize, ask = 0x0040000, 0xFFFFFFFF
    personality = ctypes.CDLL(None, use_errno=True).personality
    personality.argtypes = [ctypes.c_ulong]
    if personality(personality(ask) | address_no_randomize) == -1:
        print(f"Wine: addresses stay random ({os.strerror(ctypes.get_errno())}): now and then a program will not start", flush=True)


def require_wine():
    """Paths of Wine's loader and server; exits as skipped, with the reason, where there are none."""
    found = []
    for names in (("wine64", "wine"), ("wineserver",)):
        path = next(filter(None, (shutil.which(name, path=where) for where in ("/usr/lib/wine", None) for name in names)), None)
        if path is None:
            skip(f"{names[0]} is not installed (Debian: wine64 and wine); nothing was run under Wine")
        found.append(path)
    return found


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

    def exit(self, code):
        self.process.stdin.write(f"exit {code}\n".encode())
        self.process.stdin.flush()
        self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Prefix:
    def __init__(self, directory):
        self.wine, self.server = require_wine()
        self.directory = os.path.abspath(directory)
        self.environment = {}

    def windows(self, *path):
        return os.path.join(self.directory, "drive_c", "windows", *path)

    @contextlib.contextmanager
    def running(self, overrides="", files={}):
        """The prefix, made if it is not there yet. `overrides`: of WINEDLLOVERRIDES, in force for every process. `files`: what stands
        meanwhile in place of files of Wine's, by their places under C:\\windows."""
        os.makedirs(os.path.dirname(self.directory), exist_ok=True)
        with open(self.directory + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keep_addresses()
            self.use(overrides)
            self.stop()
            try:
                if not os.path.exists(self.kept("made")):
                    self.repeat("a prefix", self.make)
                self.restore()
                for place, source in files.items():
                    self.put(source, self.windows(*place.split("/")))
                self.repeat("a first program", self.warm_up)
                yield self
            finally:
                self.stop()

    def running_with_substitutes(self, fltmgr, fltlib):
        """The same with ours of these files in place of Wine's."""
        return self.running(SUBSTITUTES, {"system32/drivers/fltmgr.sys": fltmgr, "system32/fltlib.dll": fltlib})

    def use(self, overrides):
        self.environment = {
            **os.environ,
            "WINEPREFIX": self.directory,
            "WINEARCH": "win64",
            "WINELOADER": self.wine,
            "LC_ALL": "C.UTF-8",
            "WINEDEBUG": os.environ.get("SLUICE_WINEDEBUG", "-all"),
            "WINEDLLOVERRIDES": ";".join(filter(None, [overrides, WITHOUT])),
        }
        self.environment.pop("DISPLAY", None)

    def repeat(self, what, action):
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except Failure as failure:
                print(f"Wine: {what}, attempt {attempt + 1} of {ATTEMPTS}: {failure}", flush=True)
                self.stop()
        raise Failure(f"Wine does not give {what} here: see above")

    def kept(self, name):
        return os.path.join(self.directory, "as-made", name)

    def make(self):
        mark = os.path.join(self.directory, "of-the-tests")
        if os.path.exists(self.directory):
            check(os.path.exists(mark), f"{self.directory} is there and was not made by these tests: it is left alone")
            shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        open(mark, "w").close()
        done = self.run("wineboot", "-i", debug=ERRORS)
        self.serve("-w")  # wineboot leaves processes behind that still write
        registry = glob.glob(os.path.join(self.directory, "*.reg"))
        check(done.returncode == 0 and len(registry) == 3 and os.path.exists(self.windows("system32", "drivers")),
              f"wineboot made none: exit code {done.returncode}: {said(done)}")
        os.mkdir(self.kept(""))
        for path in registry:
            shutil.copy2(path, self.kept(os.path.basename(path)))
        open(self.kept("made"), "w").close()

    def restore(self):
        for path in glob.glob(self.kept("*.reg")):
            shutil.copy2(path, os.path.join(self.directory, os.path.basename(path)))
        for path in glob.glob(self.windows("**", "*.of-wine"), recursive=True):
            os.replace(path, path.removesuffix(".of-wine"))

    def put(self, source, target):
        check(os.path.exists(target), f"Wine has no {target}, which a test wants to replace")
        os.replace(target, target + ".of-wine")
        shutil.copy2(source, target)

    def warm_up(self):
        """The server, which otherwise ends three seconds after the last program and takes with it what comes at that moment; and what
        runs beside each program."""
        check(self.serve(f"-p{LINGERS}") == 0, "its server does not start")
        done = self.run("cmd.exe", "/c", "exit 7", debug=ERRORS)
        check(done.returncode == 7, f"'exit 7' ended with {done.returncode}: {said(done)}")

    def run(self, *command, patience=PATIENCE, debug=None):
        """A program, to its end; with `debug`, Wine says on its stderr what it thinks of it. Files, not pipes: a server of the prefix
        inherits them, and outlives what is run here."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = None
            environment = self.environment if debug is None else {**self.environment, "WINEDEBUG": debug}
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = subprocess.run([self.wine, *command], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                      timeout=patience).returncode
            for file in (out, err):
                file.seek(0)
            done = subprocess.CompletedProcess(command, code, out.read(), err.read())
        check(code is not None, f"{command[0]} was not done after {patience} s; until then it said: {said(done)}")
        return done

    def start(self, command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL if "SLUICE_WINEDEBUG" not in os.environ else None)
        return subprocess.Popen([self.wine, *command], env=self.environment, **options)

    def serve(self, argument):
        try:
            return subprocess.run([self.server, argument], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=PATIENCE).returncode
        except subprocess.TimeoutExpired as late:
            raise Failure(f"wineserver {argument} was not done after {PATIENCE} s") from late

    def stop(self):
        """Ends every process of this prefix, and of no other."""
        if os.path.isdir(self.directory):
            self.serve("-k")
            self.serve("-w")

    def probe(self, executable):
        return Probe(self, executable)


def said(done):
    return (done.stdout + done.stderr).decode(errors="replace").strip() or "nothing"


def path_in_wine(path):
    return "Z:" + os.path.abspath(path).replace("/", "\\")
