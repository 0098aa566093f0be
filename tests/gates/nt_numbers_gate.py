#!/usr/bin/env python3
"""Gate: the simulated kernel's numbers are NT's.

    nt_numbers_gate.py --compiler MINGW_COMPILER --objdump MINGW_OBJDUMP [--root DIRECTORY]

Every constant (object-like macro, enumerator) and the size of every type that the simulated <ntifs.h> declares is
compared with what mingw-w64's DDK and our supplement give for the same name. The two headers have different authors; a
driver compiled against one that reads a number of the other would go wrong in silence. Names that mingw-w64 does not
have are counted, and listed with --verbose. Exit status: 0 the same, 1 not.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

STANDARD = ["-std=c++20", "-w", "-ffreestanding"]
NT_VERSION = ["-D_WIN32_WINNT=0x0A00", "-DNTDDI_VERSION=0x0A000000"]
DDK = "/usr/share/mingw-w64/include/ddk"
FEWEST = 300  # names compared; fewer means that the gate has stopped seeing

# Sizes that are the simulation's own affair: drivers hold or point to these, and never look inside.
OWN_SIZE = {"DEVICE_OBJECT", "FILE_OBJECT", "KDPC", "KLOCK_QUEUE_HANDLE", "KTIMER", "KWAIT_BLOCK"}


class Broken(Exception):
    pass


class Headers:
    """One of the two sides: how to compile against it, and how to read the object back."""

    def __init__(self, compiler, objdump, arguments, prelude):
        self.compiler, self.objdump, self.arguments, self.prelude = compiler, objdump, arguments, prelude

    def compile(self, source, scratch, output=None):
        path = pathlib.Path(scratch) / "numbers.cpp"
        path.write_text(self.prelude + source)
        mode = ["-c", "-o", output] if output else ["-fsyntax-only"]
        return subprocess.run([self.compiler, *STANDARD, *self.arguments, "-fmax-errors=0", *mode, path],
                              capture_output=True, text=True)

    def numbers(self, expressions, scratch):
        """{name: value} of those expressions that are constant here. Names that make an error are left out, in rounds."""
        wanted = dict(expressions)
        first_line = self.prelude.count("\n") + 1
        while wanted:
            names = list(wanted)
            source = "".join(f'extern "C" const unsigned long long number_{at:05}; constexpr unsigned long long '
                             f"number_{at:05} = (unsigned long long)(long long)({wanted[name]});\n"
                             for at, name in enumerate(names))
            made = pathlib.Path(scratch) / "numbers.o"
            done = self.compile(source, scratch, made)
            if done.returncode == 0:
                return self.read_back(names, made)
            bad = {int(line) - first_line for line in re.findall(r"numbers\.cpp:(\d+):\d+: (?:fatal )?error", done.stderr)}
            bad = {at for at in bad if 0 <= at < len(names)}
            if not bad:
                raise Broken(f"{self.compiler}: {done.stderr[:2000]}")
            for at in bad:
                del wanted[names[at]]
        return {}

    def read_back(self, names, made):
        """The values of number_NNNNN, out of the object's read-only data."""
        symbols = subprocess.run([self.objdump, "-t", made], check=True, capture_output=True, text=True).stdout
        dump = subprocess.run([self.objdump, "-s", "-j", ".rodata", "-j", ".rdata", made], capture_output=True, text=True).stdout
        data = {}
        for line in dump.splitlines():
            row = re.match(r" ([0-9a-f]{4,16}) ((?:[0-9a-f]{2,8} ){1,4})", line)
            if row:
                for at, byte in enumerate(bytes.fromhex(row.group(2).replace(" ", ""))):
                    data[int(row.group(1), 16) + at] = byte
        values = {}
        for line in symbols.splitlines():
            # ELF: "address flags section size name"; PE: "[ n](sec ..)(..)... 0xaddress name"
            symbol = re.match(r"(?:(?P<elf>[0-9a-f]{16}) .*|\[.*\(nx \d+\) 0x(?P<pe>[0-9a-f]+)) number_(?P<at>\d{5})$", line)
            if symbol:
                address = int(symbol.group("elf") or symbol.group("pe"), 16)
                word = bytes(data[address + n] for n in range(8))
                values[names[int(symbol.group("at"))]] = int.from_bytes(word, "little")
        return values


def declared_names(include):
    """Constants and types that the simulated headers declare, by their text."""
    constants, types = set(), set()
    for path in sorted(include.rglob("*.h")):
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S).replace("\\\n", " ")
        constants |= set(re.findall(r"^\s*#\s*define\s+(\w+)[ \t]+\S", text, flags=re.M))
        for body in re.findall(r"\benum\b[^{};]*\{(.*?)\}", text, flags=re.S):
            constants |= set(re.findall(r"(?:^|,)\s*([A-Za-z_]\w*)\s*(?=[=,]|$)", body.strip()))
        for names in re.findall(r"(?:\btypedef\s[^;{}()]*?|\})\s([^;{}()]*);", text):
            types |= set(re.findall(r"(\w+)\s*(?:,|$)", names.strip()))
    return constants, types - OWN_SIZE


def check(root, compiler, objdump):
    """Raises Broken with every difference; otherwise returns how many numbers were compared, and the names that were not."""
    include = root / "kernel_port/sim/include"
    constants, types = declared_names(include)
    expressions = {name: name for name in constants} | {f"sizeof({name})": f"sizeof({name})" for name in types}
    simulated = Headers("g++", "objdump", ["-I", root, "-I", include], "#include <ntifs.h>\n")
    real = Headers(compiler, objdump, [*NT_VERSION, "-I", root, "-isystem", DDK], '#include "kernel_port/nt/nt.h"\n')
    with tempfile.TemporaryDirectory() as scratch:
        ours = simulated.numbers(expressions, scratch)
        theirs = real.numbers({name: expressions[name] for name in ours}, scratch)
    different = [f"{name}: {ours[name]:#x} simulated, {theirs[name]:#x} in NT" for name in sorted(theirs)
                 if ours[name] != theirs[name]]
    if different:
        raise Broken("\n".join(different))
    if len(theirs) < FEWEST:
        raise Broken(f"only {len(theirs)} numbers could be compared")
    return len(theirs), sorted(set(ours) - set(theirs))


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--objdump", required=True)
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=here.parent.parent)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    try:
        compared, unknown = check(options.root, options.compiler, options.objdump)
    except Broken as broken:
        print(broken)
        return 1
    print(f"{compared} numbers are NT's; mingw-w64 lacks {len(unknown)}" + (f": {' '.join(unknown)}" if options.verbose else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
