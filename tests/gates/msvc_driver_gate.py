#!/usr/bin/env python3
"""Gate: producers and driver parse as MSVC would see them, without a WDK.

    msvc_driver_gate.py VIEW [--root DIRECTORY]     VIEW: msvc-MACHINE or cl-MACHINE, as in freestanding_gate.py

Every header and source of producers/ and kernel_port/driver/ is parsed as a translation unit of its own by clang in its MSVC mode:
wchar_t of 16 bits, LLP64, Microsoft's rules of lookup. The kernel's declarations are those of the simulated kernel's <ntifs.h> and
<fltkernel.h>, which are written after the WDK's documentation; so this shows that our code is what cl.exe takes, not that the WDK declares
what we call. In a cl view __clang__ is not defined, and GNU extensions in our files are refused.

Exit status: 0 kept, 1 broken, 77 the compiler is not installed.
"""
import argparse
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from freestanding_gate import CL_PRELUDE, CL_PRELUDE_NAME, SKIPPED, STRICT, VIEWS, Broken, own_headers, run

NAMES = [name for name in VIEWS if name.startswith(("msvc-", "cl-"))]
DIRECTORIES = ("producers", "kernel_port/driver")
# What the kernel's headers want of a C library.
STRING_H = """#pragma once
#include <stddef.h>
extern "C" {
void* memcpy(void*, const void*, size_t);
void* memmove(void*, const void*, size_t);
void* memset(void*, int, size_t);
int memcmp(const void*, const void*, size_t);
}
"""
# The kernel's declarations are not ours to judge: they come before the ban on GNU extensions.
KERNEL_FIRST = "#define __clang__ 1\n#include <fltkernel.h>\n#undef __clang__\n"


def files_of(root, view):
    """In a cl view, sources only: they include the headers."""
    patterns = ("*.cpp",) if VIEWS[view].without_clang else ("*.h", "*.cpp")
    found = sorted(path for directory in DIRECTORIES for pattern in patterns for path in (root / directory).rglob(pattern))
    if len(found) < 20:
        raise Broken(f"{len(found)} files found in {' and '.join(DIRECTORIES)}: the check would see nothing")
    return found


def check(root, name):
    """Raises Broken with what is wrong; otherwise returns how many files were parsed."""
    view = VIEWS[name]
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        (scratch / "string.h").write_text(STRING_H)
        command = [view.compiler, *STRICT, *view.arguments, *own_headers(view)[1], "-I", root,
                   "-isystem", root / "kernel_port/sim/include", "-isystem", scratch]
        if view.without_clang:
            ban = CL_PRELUDE.index("#pragma GCC poison")
            (scratch / CL_PRELUDE_NAME).write_text(CL_PRELUDE[:ban] + KERNEL_FIRST + CL_PRELUDE[ban:])
            command.append("-U__clang__")
            run([*command, "-x", "c++-header", scratch / CL_PRELUDE_NAME, "-o", scratch / "prelude.pch"])
            command += ["-include-pch", scratch / "prelude.pch"]
        files = files_of(root, name)
        for path in files:
            run([*command, "-fsyntax-only", "-x", "c++", "-"], f'#include "{path.relative_to(root)}"\n')
    return len(files)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("view", choices=NAMES)
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=here.parent.parent)
    options = parser.parse_args()
    view = VIEWS[options.view]
    if not shutil.which(view.compiler):
        print(f"SKIPPED: {view.compiler} is not installed (Debian: {view.package}); nothing was checked")
        return SKIPPED
    try:
        count = check(options.root, options.view)
    except Broken as broken:
        print(f"{options.view}: {broken}")
        return 1
    print(f"{options.view}: {count} files of producers and driver parse")
    return 0


if __name__ == "__main__":
    sys.exit(main())
