#!/usr/bin/env python3
"""Gate: the pipeline stays freestanding, for one compiler and machine.

    freestanding_gate.py VIEW [--root DIRECTORY]     VIEW is one of the views below; without one, they are listed

Every freestanding header is compiled as its own translation unit, warnings as errors, and so are the instantiations
beside this script. Checked besides: what a header includes (in its text, and as the preprocessor saw it), by what its
conditionals decide, what the instantiations leave undefined, and that they need no start-up code. In the producer's side,
no locked instruction, no fence and no call of a library; on ARM64 the only ordered instructions are ldar, ldapr and stlr, and
there is no dmb of any kind but the one between stores that moves the tail in overwrite mode (pipeline/tail.h), and every
release and acquire of the path is one. In all i686 objects, no x87, MMX or SSE instruction, no cmpxchg8b and no call of a library.

The msvc views parse as MSVC would see the files, but with clang; the cl views of these take the branches that clang
itself would not take (clang defines __clang__, cl.exe does not).

Exit status: 0 kept, 1 broken, 77 the compiler is not installed.
"""
import argparse
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77

STRICT = ["-std=c++20", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics",
          "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wcast-qual"]
OBJECT = ["-O2", "-fno-stack-protector", "-fno-pic", "-fno-asynchronous-unwind-tables", "-nostdinc++"]
MSVC = ["-fms-compatibility", "-fms-extensions", "-fms-compatibility-version=19.38", "-fno-delayed-template-parsing"]


@dataclasses.dataclass
class View:
    compiler: str
    package: str                # Debian package of the compiler
    arguments: list
    objdump: str = ""           # "": parsed only
    without_clang: bool = False  # parse the branches meant for cl.exe


def clang(target, arguments, **rest):
    return View("clang++", "clang", ["--target=" + target, *arguments], **rest)


# A 32-bit kernel must not touch x87, MMX or SSE registers: the compiler is forbidden to.
VIEWS = {
    "gxx-x86_64": View("g++", "g++", OBJECT, "objdump"),
    "gxx-i686": View("i686-linux-gnu-g++", "g++-i686-linux-gnu", [*OBJECT, "-mgeneral-regs-only"],
                     "i686-linux-gnu-objdump"),
    "gxx-aarch64": View("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu", [*OBJECT, "-mno-outline-atomics"],
                        "aarch64-linux-gnu-objdump"),
    "clang-x86_64": clang("x86_64-linux-gnu", OBJECT, objdump="objdump"),
    "clang-i686": clang("i686-linux-gnu", [*OBJECT, "-mgeneral-regs-only"], objdump="i686-linux-gnu-objdump"),
    "clang-aarch64": clang("aarch64-linux-gnu", [*OBJECT, "-mno-outline-atomics"], objdump="aarch64-linux-gnu-objdump"),
}
for machine in ("x86_64", "i686", "aarch64"):
    VIEWS["msvc-" + machine] = clang(machine + "-pc-windows-msvc", MSVC)
    VIEWS["cl-" + machine] = clang(machine + "-pc-windows-msvc", MSVC, without_clang=True)
for view in VIEWS.values():
    if view.package == "clang":
        # clang counts the hidden members of a base class as shadowed by constructor arguments; g++ does not.
        view.arguments = [*view.arguments, "-Wno-shadow-field-in-constructor"]

# What stands in front of a cl view: the headers of the compiler, the intrinsics of cl.exe that clang's <intrin.h> lacks (as
# Microsoft documents them), and a ban on what cl.exe does not know and clang would take.
CL_PRELUDE_NAME = "cl_prelude.h"
CL_PRELUDE = """
#include <intrin.h>
#include <stddef.h>
#include <stdint.h>
#if defined(_M_ARM64)
extern "C" unsigned int __ldar32(volatile unsigned int*);
extern "C" void __stlr32(volatile unsigned int*, unsigned int);
extern "C" void __prefetch(const void*);
extern "C" void __prefetch2(const void*, unsigned char);
#endif
#pragma GCC poison __atomic_load_n __atomic_store_n __atomic_exchange_n __atomic_fetch_add __atomic_thread_fence
#pragma GCC poison __sync_synchronize __asm__ __attribute__ __builtin_memcpy __builtin_memset __builtin_expect __typeof__
"""

SYSTEM_INCLUDES = {"<stdint.h>", "<stddef.h>", "<intrin.h>"}
# What a conditional may decide by: the compiler and the machine. Never the operating system, never "kernel or not".
CONDITIONS = re.compile(r"^(defined|__has_feature|_MSC_VER|__GNUC__|__clang__|_M_(X64|IX86|ARM64|AMD64)|"
                        r"__(x86_64|i386|aarch64)__|__SANITIZE_THREAD__|thread_sanitizer|SLUICE_ORDER_\w+)$")
# Calls that a compiler may make of its own accord; every kernel exports them. Not from a producer, and not on i686.
LIBRARY_CALLS = {"memcpy", "memmove", "memset", "memcmp"}
# How many releases a function of instantiate_producer.cpp must have at least, as ARM64 shows them: publish, stamp, close.
RELEASES = {"producer_write": 2, "producer_reserve": 2, "producer_commit": 1, "producer_discard": 1}
# The fence of overwrite mode: in this function, once, and nowhere else. On x86 it is no instruction.
TAIL_FUNCTION = "overwrite_oldest"
TAIL_FENCE = re.compile(r"\tdmb\s+ishst\b.*")
START_UP_SECTIONS = re.compile(r"\.(init_array|ctors|preinit_array|tdata|tbss)\b")
# What a 32-bit kernel has not saved, and the 64-bit move that locks the bus. (In AT&T's spelling x87 alone begins with f.)
FOREIGN_TO_I686 = re.compile(r"\t((f[a-z0-9]+|emms|v?mov[ad]q|cmpxchg8b)\b.*|\S+\s.*%([xyz]?mm\d|st\b).*)")
# lock prefix, xchg with memory (locks by itself), fences, serialisation; exclusive and atomic memory operations, barriers.
ORDERING_INSTRUCTIONS = {
    "x86": re.compile(r"\t(lock\b.*|xchg\s+.*\(.*|[mls]fence\b.*|cpuid\b.*)"),
    "aarch64": re.compile(r"\t((dmb|dsb|isb|ldx\w+|ldaxr?\w*|stl?xr?\w*|cas\w*|swp\w*|ld(add|clr|set|eor|smax|smin|umax|umin)\w*)\s.*)"),
}


class Broken(Exception):
    pass


def freestanding_headers(root):
    headers = sorted((root / "pipeline").glob("*.h"))
    headers += [root / "producers/events.h", root / "producers/filter_message.h", root / "kernel_port/driver/protocol.h"]
    return headers


def check_text(root, header):
    """Includes and conditionals, as written."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        directive = re.match(r"\s*#\s*(\w+)\s*(.*)", line.split("//")[0])
        if not directive:
            continue
        kind, rest = directive.groups()
        where = f"{header.relative_to(root)}:{number}"
        if kind == "include":
            own = re.match(r'"((pipeline|producers)/\w+\.h)"\s*$', rest)
            if own and (root / own.group(1)) in freestanding_headers(root):
                continue
            if rest.strip() not in SYSTEM_INCLUDES:
                raise Broken(f"{where}: includes {rest.strip()}")
        elif kind in ("if", "ifdef", "ifndef", "elif"):
            for name in re.findall(r"[A-Za-z_]\w*", rest):
                if not CONDITIONS.match(name):
                    raise Broken(f"{where}: decides by {name}")


def run(command, source=None):
    done = subprocess.run(command, input=source, capture_output=True, text=True)
    if done.returncode:
        raise Broken(f"{' '.join(map(str, command))}\n{source or ''}\n{done.stderr}{done.stdout}")
    return done.stdout


def own_headers(view):
    """The directories of the compiler's own headers, and the arguments that leave no others to find."""
    target = [argument for argument in view.arguments if argument.startswith("--target=")]
    if "clang" in view.compiler:
        directory = run([view.compiler, *target, "-print-resource-dir"]).strip()
        return pathlib.Path(directory).resolve(), ["-nostdlibinc"]
    directory = run([view.compiler, "-print-file-name=include"]).strip()
    return pathlib.Path(directory).resolve(), ["-nostdinc", "-isystem", directory]


def compile_command(root, view, scratch):
    command = [view.compiler, *STRICT, *view.arguments, *own_headers(view)[1], "-I", root]
    if view.without_clang:
        (scratch / CL_PRELUDE_NAME).write_text(CL_PRELUDE)
        command += ["-U__clang__", "-include", scratch / CL_PRELUDE_NAME]
    return command


def check_header(command, own, header, allowed, scratch):
    """Compiles the header on its own, included twice, and looks at what the preprocessor opened for it."""
    rule = scratch / "header.d"
    run([*command, "-fsyntax-only", "-MD", "-MF", rule, "-MT", "header", "-x", "c++", "-"],
        f'#include "{header}"\n#include "{header}"\n')
    for name in rule.read_text().replace("\\\n", " ").split(":", 1)[1].split():
        path = pathlib.Path(name).resolve()
        if name == "-" or path in allowed or path.name == CL_PRELUDE_NAME or path.is_relative_to(own):
            continue
        raise Broken(f"{header}: the preprocessor opened {name}")


def without_tail_fence(source, code):
    functions = re.findall(rf"<\S*{TAIL_FUNCTION}\S*>:\n.*?(?:\n\n|\Z)", code, re.S)
    if not functions:
        raise Broken(f"{source.name}: there is no {TAIL_FUNCTION}: the check would see nothing")
    for function in functions:
        if len(TAIL_FENCE.findall(function)) != 1:
            raise Broken(f"{source.name}: {TAIL_FUNCTION} needs one dmb ishst: the fence of the tail is lost, or there is more than it")
        code = code.replace(function, TAIL_FENCE.sub("", function))
    return code


def check_object(view, source, producer):
    """An instantiation's object: what it lacks, what it would need before main, what its producer executes."""
    machine = next((each for each in ("i686", "aarch64") if each in view.objdump), "x86_64")
    symbols = run([view.objdump, "-t", source])
    undefined = {line.split()[-1] for line in symbols.splitlines() if "*UND*" in line.split()}
    allowed = set() if producer or machine == "i686" else LIBRARY_CALLS
    if undefined - allowed:
        raise Broken(f"{source.name} needs from outside: {' '.join(sorted(undefined - allowed))}")
    start_up = START_UP_SECTIONS.search(run([view.objdump, "-h", source]))
    if start_up:
        raise Broken(f"{source.name} has a section {start_up.group()}: nothing runs or sets it up in a kernel")
    code = run([view.objdump, "-d", "--no-show-raw-insn", source])
    if code.count("\n") < 100:
        raise Broken(f"{source.name}: hardly any code was compiled; the check would see nothing")
    foreign = machine == "i686" and FOREIGN_TO_I686.search(code)
    if foreign:
        raise Broken(f"{source.name}: not for a 32-bit kernel: {foreign.group().strip()}")
    if producer and machine == "aarch64":
        code = without_tail_fence(source, code)
    found = producer and ORDERING_INSTRUCTIONS["aarch64" if machine == "aarch64" else "x86"].search(code)
    if found:
        raise Broken(f"{source.name}: the producer's side has an ordering instruction: {found.group().strip()}")
    if producer and machine == "aarch64":
        for function, least in RELEASES.items():
            body = re.search(rf"<{function}>:\n(.*?)(?:\n\n|\Z)", code, re.S)
            found = len(re.findall(r"\tstlr\s", body.group(1))) if body else 0
            if found < least:
                raise Broken(f"{source.name}: {function} has {found} stlr, and needs {least}: an order is lost")
        if len(re.findall(r"\tldap?r\s", code)) < 2:
            raise Broken(f"{source.name}: reclaim has no ldar for `consumed` and the states: an order is lost")


def check(root, name):
    """Raises Broken with what is wrong; otherwise returns how many headers were looked at."""
    view = VIEWS[name]
    headers = freestanding_headers(root)
    allowed = {header.resolve() for header in headers}
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        command = compile_command(root, view, scratch)
        for header in headers:
            check_text(root, header)
        for source in sorted((root / "tests/gates").glob("instantiate_*.cpp")):
            if not view.objdump:
                run([*command, "-fsyntax-only", source])
                continue
            made = scratch / (source.stem + ".o")
            run([*command, "-c", source, "-o", made])
            check_object(view, made, producer="producer" in source.stem)
        own = own_headers(view)[0]
        for header in headers:
            check_header(command, own, header.relative_to(root), allowed, scratch)
    return len(headers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("view", nargs="?", choices=VIEWS)
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=here.parent.parent)
    options = parser.parse_args()
    if not options.view:
        print("\n".join(VIEWS))
        return 0
    view = VIEWS[options.view]
    for tool in filter(None, (view.compiler, view.objdump)):
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed (Debian: {view.package}); nothing was checked")
            return SKIPPED
    try:
        count = check(options.root, options.view)
    except Broken as broken:
        print(f"{options.view}: {broken}")
        return 1
    print(f"{options.view}: {count} headers and the instantiations are freestanding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
