#!/usr/bin/env python3
"""Gate: pipeline/ and producers/ compile to ARM64 objects as Windows links them.

    arm64_objects_gate.py [--root DIRECTORY]

clang compiles every source of pipeline/ and producers/ for aarch64-pc-windows-msvc; the kernel's declarations are the simulated kernel's,
since mingw-w64's know no ARM64. Of each object: its machine, no section that some C run-time library would have to run or set up, nothing
undefined that no kernel has. It shows that there is nothing of x86 in these files; no driver is linked, and nothing has run.

Exit status: 0 kept, 1 broken, 77 the compiler is not installed.
"""
import argparse
import pathlib
import re
import shutil
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from freestanding_gate import SKIPPED, STRICT, VIEWS, Broken, own_headers, run
from msvc_driver_gate import STRING_H

MACHINE_ARM64 = 0xAA64
START_UP = re.compile(r"\.(CRT|tls|ctors|init_array)")
# Out-of-line atomics, stack probes, guarded statics, exceptions, operator new and delete.
SUPPORT = re.compile(r"__aarch64_|__chkstk|_Init_thread|_CxxThrow|__CxxFrame|\?\?[23]@|\?\?_[UV]@|atexit|_tls_index|__security_")


def sections_and_undefined(data):
    """Names of a COFF object's sections, and of the symbols that it wants from elsewhere."""
    _, count, _, symbols, symbol_count, optional = struct.unpack_from("<HHIIIH", data)
    strings = symbols + 18 * symbol_count

    def name(raw):
        if raw[:4] == b"\0\0\0\0":
            start = strings + struct.unpack("<I", raw[4:])[0]
            return data[start : data.index(0, start)].decode()
        return raw.rstrip(b"\0").decode()

    sections = [name(data[at : at + 8]) for at in range(20 + optional, 20 + optional + 40 * count, 40)]
    undefined, index = [], 0
    while index < symbol_count:
        raw, value, section, _, storage, extra = struct.unpack_from("<8sIhHBB", data, symbols + 18 * index)
        if section == 0 and value == 0 and storage == 2:
            undefined.append(name(raw))
        index += 1 + extra
    return sections, undefined


def check_object(name, data):
    machine = struct.unpack_from("<H", data)[0]
    if machine != MACHINE_ARM64:
        raise Broken(f"{name}: machine is {machine:#x}, not ARM64")
    sections, undefined = sections_and_undefined(data)
    for section in sections:
        if START_UP.match(section):
            raise Broken(f"{name}: section {section}: nothing runs it in a kernel")
    for symbol in undefined:
        if SUPPORT.match(symbol):
            raise Broken(f"{name}: refers to {symbol}, which no kernel has")
    return len(undefined)


def compile_object(root, scratch, source, view):
    (scratch / "string.h").write_text(STRING_H)
    made = scratch / "made.obj"
    run([view.compiler, *STRICT, *view.arguments, *own_headers(view)[1], "-O2", "-fno-threadsafe-statics", "-I", root,
         "-isystem", root / "kernel_port/sim/include", "-isystem", scratch, "-c", source, "-o", made])
    return made.read_bytes()


def check(root, view):
    sources = sorted(path for directory in ("pipeline", "producers") for path in (root / directory).glob("*.cpp"))
    if len(sources) < 10:
        raise Broken(f"{len(sources)} sources found: the check would see nothing")
    with tempfile.TemporaryDirectory() as directory:
        for source in sources:
            check_object(source.name, compile_object(root, pathlib.Path(directory), source, view))
    return len(sources)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=here.parent.parent)
    options = parser.parse_args()
    view = VIEWS["msvc-aarch64"]
    if not shutil.which(view.compiler):
        print(f"SKIPPED: {view.compiler} is not installed (Debian: {view.package}); nothing was checked")
        return SKIPPED
    try:
        count = check(options.root, view)
    except Broken as broken:
        print(f"ARM64: {broken}")
        return 1
    print(f"ARM64: {count} sources of pipeline/ and producers/ make objects")
    return 0


if __name__ == "__main__":
    sys.exit(main())
