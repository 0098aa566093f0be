#!/usr/bin/env python3
"""Gate: what an NT kernel (x86-64, with HVCI too, or i686) asks of a driver's file, as far as the file shows it.

    pe_gate.py IMAGE --machine MACHINE --imports LIST [--imports LIST] --objdump PROGRAM [--smaller-than BYTES] OBJECT ...

The image: headers, size, sections, directories, imports, guarded code; x86-64: unwind data; i686: no instruction of x87, MMX or SSE. The
objects it was linked from, each with its .su file: start-up code, calls of support routines, stack frames. This says what the
documentation asks for; it does not prove that Windows loads the file. Exit status: 0 kept, 1 broken.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

from pe_image import SECTION_DISCARDABLE, SECTION_EXECUTE, SECTION_NOT_PAGED, SECTION_WRITE, Image

MACHINES = {"x86_64": 0x8664, "i686": 0x14C}
SUBSYSTEM_NATIVE = 1
OLDEST_NT = (5, 2)
MAX_FRAME = 1024
HIGH_ENTROPY_VA, DYNAMIC_BASE, FORCE_INTEGRITY, NX_COMPAT, NO_SEH = 0x20, 0x40, 0x80, 0x100, 0x400
# The versions an image says it is for: x86-64 images get more from kernels since 6.0; an i686 image is for the oldest kernel, too.
IMAGE_VERSIONS = {"x86_64": ((6, 0), (6, 1)), "i686": ((5, 1), (5, 2))}


def require(condition, message):
    if not condition:
        raise ValueError(message)


def check_file_header(image, machine):
    require(image["machine"] == MACHINES[machine], f"machine is {image['machine']:#x}, not {machine}")
    require(image.is_64_bit == (machine == "x86_64"), "the header is another machine's")
    flags = image["characteristics"]
    require(flags & 0x0002, "not marked as an executable image")
    require(not flags & 0x0001, "relocations are stripped: the image could be loaded at one address only")
    require(not flags & 0x2000, "marked as a DLL")
    require(image["time_stamp"] == 0, "carries the time it was built at")
    require(image["symbols"] == 0, "carries symbols")


def check_optional_header(image, machine):
    require(image["section_alignment"] == 0x1000, "sections are not aligned to pages")
    require(image["file_alignment"] in (0x200, 0x1000), "file alignment is neither 512 nor 4096")
    require(image["size_of_image"] % 0x1000 == 0, "image size is not a multiple of a page")
    require(image["subsystem"] == SUBSYSTEM_NATIVE, f"subsystem is {image['subsystem']}, not native")
    for kind in ("os", "subsystem"):
        version = (image[kind + "_major"], image[kind + "_minor"])
        require(IMAGE_VERSIONS[machine][0] <= version <= IMAGE_VERSIONS[machine][1], f"{kind} version {version} is not that of the oldest NT supported")


def check_dll_characteristics(image, machine):
    flags = image["dll_characteristics"]
    if machine == "i686":
        require(not flags & NO_SEH, "says that it handles no exceptions: the kernel would not call its handlers")
        flags |= HIGH_ENTROPY_VA  # 64-bit images only
    for name, bit in (("DYNAMIC_BASE", DYNAMIC_BASE), ("NX_COMPAT", NX_COMPAT), ("HIGH_ENTROPY_VA", HIGH_ENTROPY_VA),
                      ("FORCE_INTEGRITY (process callbacks are refused without it)", FORCE_INTEGRITY)):
        require(flags & bit, f"lacks {name}")


def check_checksum(image):
    require(image["checksum"] == image.computed_checksum(),
            f"checksum is {image['checksum']:#x}, computed {image.computed_checksum():#x}")


def check_sections(image):
    for section in image.sections():
        where = f"section {section.name}"
        require(not section.name.startswith("/"), f"{where}: a long name, as debug information has")
        require(not (section.flags & SECTION_WRITE and section.flags & SECTION_EXECUTE),
                f"{where} is writable and executable")
        if section.name in ("INIT", ".reloc"):
            require(section.flags & SECTION_DISCARDABLE, f"{where} is not discardable")
        else:
            require(not section.flags & SECTION_DISCARDABLE, f"{where} is discardable")
            pageable = section.name.startswith("PAGE")
            require(bool(section.flags & SECTION_NOT_PAGED) != pageable,
                    f"{where} is {'not ' if pageable else ''}pageable")


def check_entry(image):
    section = image.section_at(image["entry"])
    require(section is not None and section.flags & SECTION_EXECUTE, "the entry point is not in code")
    require(not image.is_64_bit or any(begin <= image["entry"] < end for begin, end, _ in image.functions()),
            "the entry point has no unwind data")


def check_directories(image):
    for name in ("export", "tls", "delay_import", "clr", "debug", "bound_import"):
        require(image.directory(name) == (0, 0), f"has a directory that a driver has no use for: {name}")
    require(image.directory("import")[1], "imports nothing: not a driver that does anything")
    require(image.directory("relocation")[1], "has no relocations: it could be loaded at one address only")


def check_unwind(image):
    functions = image.functions()
    require(functions, "no unwind data (.pdata)")
    last = 0
    for begin, end, information in functions:
        code, data = image.section_at(begin), image.section_at(information & ~1)
        require(last <= begin < end, f"unwind data out of order at {begin:#x}")
        require(code is not None and code.flags & SECTION_EXECUTE and code.holds(end - 1),
                f"unwind data for {begin:#x}, which is not code")
        require(data is not None and not data.flags & SECTION_WRITE, f"unwind information of {begin:#x} is nowhere")
        last = end


def what_is_guarded(image, first, last):
    """Of a scope: the copy from memory of a process, or the call that maps into one; None if it is anything else."""
    code = bytes(image.data[image.file_offset(first) : image.file_offset(last)])
    if code == b"\xf3\xa4":
        return "copy"
    if len(code) == 7 and code[:2] == b"\xff\x15" and code[6:] == b"\x90":  # call *import; nop
        slot = first + 6 + int.from_bytes(code[2:6], "little", signed=True)
        name = image.file_offset(image.read("<I", image.file_offset(slot))) + 2
        if bytes(image.data[name : name + 29]) == b"MmMapLockedPagesSpecifyCache\0":
            return "mapping"
    return None


def check_guarded_copy(image):
    """Two functions survive an exception: rep movsb, and the call that maps into a process, each in a scope whose handler takes every
    exception and goes on in the function."""
    found = []
    for begin, end, information in image.functions():
        where = image.file_offset(information & ~1)
        flags, codes = image.data[where] >> 3, image.data[where + 2]
        if not flags & 1:
            continue  # no exception handler
        scope = where + 4 + 2 * (codes + codes % 2) + 4  # behind the address of the handler
        scopes, first, last, filter_, target = (image.read("<I", scope + 4 * at) for at in range(5))
        require(scopes == 1, f"{begin:#x} handles exceptions in {scopes} scopes")
        require(begin <= first < last <= end and begin <= target < end, f"the scope of {begin:#x} lies outside of it")
        found.append(what_is_guarded(image, first, last))
        require(found[-1] is not None, f"the scope of {begin:#x} is not the copy of bytes alone, nor the call that maps")
        require(filter_ == 1, f"the handler of {begin:#x} does not take every exception")
    require(sorted(found) == ["copy", "mapping"], f"{len(found)} functions handle exceptions: {found}; two do: the copy from memory of a "
            "process, and the call that maps into one")


def find_all(code, wanted):
    at = code.find(wanted)
    while at >= 0:
        yield at
        at = code.find(wanted, at + 1)


ENTER_SCOPE, LEAVE_SCOPE = b"\xc7\x45\xfc\0\0\0\0", b"\xc7\x45\xfc\xff\xff\xff\xff"  # movl $0 / $-1, -4(%ebp)


def check_guarded_frames(image):
    """i686: the same two functions, each with a frame for the kernel's own _except_handler3: its scope table, and what lies in the scope."""
    base, text = image["image_base"], image.section(".text")
    code = bytes(image.data[text.raw : text.raw + text.size])
    at_address = lambda where: code[where - base - text.address :]  # noqa: E731
    handler = image.import_slot("_except_handler3")
    require(handler is not None, "does not import _except_handler3: nothing survives an exception")
    jumps = [base + text.address + at for at in find_all(code, b"\xff\x25" + (base + handler).to_bytes(4, "little"))]
    require(len(jumps) == 1, f"{len(jumps)} ways lead to _except_handler3")
    mapping = image.import_slot("MmMapLockedPagesSpecifyCache") or 0
    may_fault = {b"\xf3\xa4": "copy", b"\xff\x15" + (base + mapping).to_bytes(4, "little"): "mapping"}
    found = []
    for at in find_all(code, b"\x68" + jumps[0].to_bytes(4, "little")):  # pushl $handler, behind pushl $scopes
        where = f"the function around {text.address + at:#x}"
        require(code[at - 5] == 0x68, f"{where} has a frame without a scope table")
        scopes = image.file_offset(int.from_bytes(code[at - 4 : at], "little") - base)
        enclosing, filter_, target = (image.read("<I", scopes + 4 * n) for n in range(3))
        require(enclosing == 0xFFFFFFFF, f"{where}: its scope lies in another")
        require(at_address(filter_)[:6] == b"\xb8\1\0\0\0\xc3", f"{where}: its handler does not take every exception")
        first = code.find(ENTER_SCOPE, at) + len(ENTER_SCOPE)
        last = code.find(LEAVE_SCOPE, first)
        require(at < first < last < at + 128, f"{where}: its scope is nowhere")
        found.append(may_fault.get(code[first:last]))
        require(found[-1] is not None, f"{where}: its scope is not the copy of bytes alone, nor the call that maps")
        behind = target - base - text.address - last
        require(0 < behind < 64 and at_address(target)[:3] == b"\x8b\x65\xe8", f"{where}: its handler goes on elsewhere, or with another stack")
    require(sorted(found) == ["copy", "mapping"], f"{len(found)} functions handle exceptions: {found}; two do: the copy from memory of a "
            "process, and the call that maps into one")


# x87, MMX and SSE, by register or by instruction.
FLOATING_POINT = re.compile(r":\t(?:\w+ )*((?:f\w+|emms|wait|ldmxcsr|stmxcsr)\b.*|.*%(?:st\b|mm[0-7]|[xyz]mm\d).*)")


def check_no_floating_point(image, objdump):
    with tempfile.NamedTemporaryFile(suffix=".sys") as file:
        file.write(image.data)
        file.flush()
        listing = subprocess.run([objdump, "-d", "--no-show-raw-insn", file.name], check=True, capture_output=True, text=True).stdout
    require(listing.count("\n") > 1000, "objdump shows no code")
    for line in listing.splitlines():
        used = FLOATING_POINT.search(line)
        require(not used, f"uses registers that a 32-bit kernel would have to save: {line.strip()}")


def read_import_lists(paths):
    """{(module, name): version} from lists of imports; a later list's word counts."""
    allowed = {}
    for line in "\n".join(pathlib.Path(path).read_text() for path in paths).splitlines():
        words = line.split("#")[0].split()
        if words:
            module, name, version = words
            allowed[module.lower(), name] = (99,) if version == "never" else tuple(map(int, version.split(".")))
    return allowed


def check_imports(image, allowed):
    for module, name, _ in image.imports():
        require(name is not None, f"imports from {module} by ordinal")
        require((module, name) in allowed, f"imports {name} from {module}, which the list of imports does not have")
        version = allowed[module, name]
        require(version <= OLDEST_NT, f"imports {name}, which kernels before {version} lack: look it up at run time")


def check_size(image, limit):
    require(len(image.data) < limit, f"is {len(image.data)} bytes; it has to be smaller than {limit}")


def check_image(image, allowed, machine, objdump):
    check_file_header(image, machine)
    check_optional_header(image, machine)
    check_dll_characteristics(image, machine)
    check_sections(image)
    check_directories(image)
    if machine == "x86_64":
        check_unwind(image)
        check_guarded_copy(image)
    else:
        check_guarded_frames(image)
        check_no_floating_point(image, objdump)
    check_entry(image)
    check_imports(image, allowed)
    check_checksum(image)


# Sections whose contents some C run-time library would have to run or set up.
START_UP = re.compile(r"\s(\.(?:ctors|dtors|init_array|fini_array|CRT\$|tls)\S*)\s")
SUPPORT_CALL = re.compile(r"\b(_*chkstk\w*|_+gxx_\w+|_+Unwind_\w+|_+cxa_\w+|_*atexit|__+main|_*emutls\w*|_+atomic_\w+|"
                          r"_+stack_chk_\w+|_+security_\w+|_+Zn[wa]\w*|_+Zd[la]\w*)\b")
# What a compiler calls of its own has two underscores. These a kernel has, or the linker adds from libgcc (whole numbers only: the image's
# instructions are looked at).
UNDEFINED = re.compile(r"\(sec +0\).* (_*__[a-z]\w+)$", re.MULTILINE)
KNOWN_SUPPORT = re.compile(r"___?imp_.*|__C_specific_handler|__except_handler3|___udivdi3|___umoddi3")


def check_object_listing(name, listing):
    """`listing` is what objdump -h -t says of the object."""
    start_up = START_UP.search(listing)
    require(not start_up, f"{name}: section {start_up and start_up.group(1)}: nothing runs it in a kernel")
    call = SUPPORT_CALL.search(listing)
    require(not call, f"{name}: refers to {call and call.group(1)}, which no kernel has")
    for symbol in UNDEFINED.findall(listing):
        require(KNOWN_SUPPORT.fullmatch(symbol), f"{name}: refers to {symbol}, which no kernel has")


def check_frames(name, usage):
    """`usage` is the compiler's .su file: place and function, bytes, kind."""
    for line in usage.splitlines():
        function, size, kind = line.rsplit("\t", 2)
        require(kind in ("static", "dynamic,bounded"), f"{name}: {function} has a stack frame of {kind} size")
        require(int(size) < MAX_FRAME, f"{name}: {function} has a stack frame of {size} bytes")


def check_object(path, objdump):
    listing = subprocess.run([objdump, "-h", "-t", path], check=True, capture_output=True, text=True).stdout
    check_object_listing(path.name, listing)
    usage = path.with_suffix(".su")
    require(usage.exists(), f"{path.name}: the compiler left no {usage.name}")
    check_frames(path.name, usage.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument("--machine", choices=MACHINES, required=True)
    parser.add_argument("--smaller-than", type=int, metavar="BYTES")
    parser.add_argument("--imports", action="append", required=True, metavar="LIST")
    parser.add_argument("--objdump", required=True)
    parser.add_argument("objects", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    try:
        image = Image(options.image.read_bytes())
        check_image(image, read_import_lists(options.imports), options.machine, options.objdump)
        if options.smaller_than:
            check_size(image, options.smaller_than)
        for path in options.objects:
            check_object(path, options.objdump)
    except ValueError as broken:
        print(f"{options.image.name}: {broken}")
        return 1
    print(f"{options.image.name}: {len(image.data)} bytes; image and {len(options.objects)} objects are as a kernel asks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
