"""A Wine prefix of a test's own, which leaves no process and no file behind. Without Wine the test is skipped, and says so."""

import os
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
PATIENCE = 120  # seconds; what takes longer hangs


class prefix:
    def __enter__(self):
        self.wine = next((path for path in ("/usr/lib/wine/wine64", shutil.which("wine64"), shutil.which("wine"))
                          if path and os.path.exists(path)), None)
        self.server = shutil.which("wineserver")
        if self.wine is None or self.server is None:
            print("SKIPPED: there is no Wine here (Debian: wine64)")
            sys.exit(SKIPPED)
        self.directory = tempfile.mkdtemp(prefix="sluice-wine-")
        self.environment = dict(os.environ, WINEPREFIX=self.directory, WINEDEBUG="-all", WINEDLLOVERRIDES="mscoree,mshtml=",
                                LC_ALL="C.UTF-8")
        self.environment.pop("DISPLAY", None)
        try:
            self.run("wineboot", "-i")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run([self.server, "-k"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        subprocess.run([self.server, "-w"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=PATIENCE, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command):
        # Files, not pipes: a server of the prefix inherits them, and outlives what is run here.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run([self.wine, *command], env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                  timeout=PATIENCE, check=False)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())
