#!/usr/bin/env python3
"""Gate: driver and producers are NT code and nothing else: no line of them exists for the simulation.

    driver_sources_gate.py [--root DIRECTORY]

In every source and header of kernel_port/driver/ and producers/, comments left out:
  includes       our own files of pipeline/, producers/, kernel_port/driver/ and kernel_port/snapshot/, "kernel_port/nt/nt.h", <stdint.h>,
                 <stddef.h>; nt.h is the only way to the kernel's headers
  conditionals   decide by compiler, machine, DBG or NT version; never by operating system or simulation
  names          nothing of sluice::sim, of the C++ library or of POSIX
CMake files of these directories may know the simulation: they build for it. Exit status: 0 kept, 1 broken.
"""
import argparse
import pathlib
import re
import sys

DIRECTORIES = ("kernel_port/driver", "producers")
INCLUDES = re.compile(r'^("((pipeline|producers|kernel_port/driver|kernel_port/snapshot)/[\w/]+\.h|kernel_port/nt/nt\.h)"|<(stdint|stddef)\.h>)$')
CONDITIONS = re.compile(r"^(defined|_MSC_VER|__GNUC__|__clang__|_M_(X64|IX86|ARM64|AMD64)|__(x86_64|i386|aarch64)__|"
                        r"DBG|NTDDI_\w+|_WIN64|__cplusplus)$")
NAMES = re.compile(r"\b(sim(?=\s*::)|sluice_sim\w*|SLUICE_SIM\w*|std(?=\s*::)|__linux\w*|linux|__unix\w*|_POSIX\w*|"
                   r"pthread_\w+|printf|malloc|abort|mingw\w*|__MINGW\w*|__wine\w*)|\w*simulat\w*", re.I)


class Broken(Exception):
    pass


def without_comments(text):
    """The text with comments blanked, its lines kept; string and character literals are respected."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group()
        return re.sub(r"[^\n]", " ", found) if found.startswith(("//", "/*")) else found

    return token.sub(blank, text)


def check_file(root, path):
    text = without_comments(path.read_text().replace("\\\n", "  "))
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path.relative_to(root)}:{number}"
        directive = re.match(r"\s*#\s*(\w+)\s*(.*?)\s*$", line)
        kind, rest = directive.groups() if directive else ("", "")
        if kind == "include" and not INCLUDES.match(rest):
            raise Broken(f"{where}: includes {rest}")
        if kind in ("if", "ifdef", "ifndef", "elif"):
            for name in re.findall(r"[A-Za-z_]\w*", rest):
                if not CONDITIONS.match(name):
                    raise Broken(f"{where}: decides by {name}")
        found = NAMES.search(line)
        if found and kind != "include":
            raise Broken(f"{where}: names {found.group()}")


def check(root):
    """Raises Broken with what is wrong; otherwise returns how many files were looked at."""
    files = [path for directory in DIRECTORIES for path in sorted((root / directory).rglob("*"))
             if path.suffix in (".h", ".hpp", ".c", ".cc", ".cpp", ".inc")]
    for path in files:
        check_file(root, path)
    return len(files)


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=here.parent.parent)
    try:
        count = check(parser.parse_args().root)
    except Broken as broken:
        print(broken)
        return 1
    print(f"{count} files are NT code and nothing else")
    return 0


if __name__ == "__main__":
    sys.exit(main())
