#!/usr/bin/env python3
"""Gate: the driver's functions say at which IRQL they may be called, and pageable code is pageable.

    annotation_gate.py [--root DIRECTORY] [--compiler CLANG]

Read from clang's syntax tree of every header of kernel_port/driver/ and producers/. Functions that a source file defines (not those
whose body stands in the class: they are read with it):
  annotated      _IRQL_requires_ or _IRQL_requires_max_ stands in front of the declaration
  pageable       one in the section PAGE or INIT requires PASSIVE_LEVEL, or APC_LEVEL at most; one in INIT, PASSIVE_LEVEL
  PAGED_CODE     its body begins with PAGED_CODE()
Exit status: 0 kept, 1 broken, 77 no clang.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DIRECTORIES = ("kernel_port/driver", "producers")
# No function of the kernel is named there, nor its header: any IRQL.
WITHOUT_KERNEL = {"producers/filter_validation.h"}
FEWEST = 200  # functions; fewer means that the gate has stopped seeing
FUNCTIONS = {"FunctionDecl", "CXXMethodDecl", "CXXConstructorDecl", "CXXDestructorDecl", "CXXConversionDecl"}
LEVELS = {"PASSIVE_LEVEL": 0, "APC_LEVEL": 1, "DISPATCH_LEVEL": 2, "HIGH_LEVEL": 15}


class Broken(Exception):
    pass


class Tree:
    """The functions of clang's tree, with file, line and attributes. Clang names a file and a line only where they change."""

    def __init__(self):
        self.file, self.line = None, None
        self.found = []

    def place(self, where):
        for one in (where.get("spellingLoc"), where.get("expansionLoc")) if "expansionLoc" in where else (where,):
            if one is None:
                continue
            self.file = one.get("file", self.file)
            self.line = one.get("line", self.line)
        return self.file, self.line

    def visit(self, node, scope):
        if "loc" in node:
            self.place(node["loc"])
        begin = None
        if "range" in node:
            begin = self.place(node["range"].get("begin", {}))
            self.place(node["range"].get("end", {}))
        inner = node.get("inner", [])
        if node.get("kind") in FUNCTIONS and not node.get("isImplicit") and begin and begin[0]:
            self.found.append((begin, scope, node))
        inside = scope + [node["name"]] if node.get("kind") in ("CXXRecordDecl", "NamespaceDecl") and node.get("name") else scope
        for child in inner:
            self.visit(child, inside)


def syntax_tree(root, compiler, headers):
    with tempfile.TemporaryDirectory() as directory:
        # The simulated kernel's headers, whose annotations here leave a trace in the tree.
        include = pathlib.Path(directory) / "include"
        shutil.copytree(root / "kernel_port/sim/include", include)
        annotations = include / "simulated_nt/annotations.h"
        text = annotations.read_text()
        for macro in ("_IRQL_requires_", "_IRQL_requires_max_"):
            text = re.sub(rf"#define {macro}\(irql\).*",
                          f'#define {macro}(irql) __attribute__((annotate("{macro} " #irql)))', text)
        annotations.write_text(text)
        unit = pathlib.Path(directory) / "unit.cpp"
        unit.write_text("".join(f'#include "{header}"\n' for header in headers))
        command = [compiler, "-std=c++20", "-fsyntax-only", "-w", f"-I{include}", f"-I{root}", "-Xclang", "-ast-dump=json", str(unit)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode != 0:
            raise Broken("the headers do not parse:\n" + done.stderr[-2000:])
        return json.loads(done.stdout)


def declaration_text(root, file, line):
    """The declaration up to its line: sections and levels are macros, whose names stand only in the source."""
    lines = (root / file).read_text().splitlines()
    first = line - 1
    # Up to where the declaration before this one ended.
    while first > 0 and not re.search(r"[;{}:]\s*(//.*)?$|^\s*//|^\s*$|^#", lines[first - 1]):
        first -= 1
    return "\n".join(lines[first:line])


def check(root, compiler):
    """Raises Broken with everything that is wrong; otherwise returns how many functions were looked at."""
    headers = [str(path.relative_to(root)) for directory in DIRECTORIES for path in sorted((root / directory).glob("*.h"))]
    tree = Tree()
    sys.setrecursionlimit(100000)
    tree.visit(syntax_tree(root, compiler, headers), [])
    sources = [path.read_text() for directory in DIRECTORIES for path in sorted((root / directory).rglob("*.cpp"))]
    wrong, seen, count = [], set(), 0
    for (file, line), scope, node in tree.found:
        file = file.removeprefix(str(root) + "/").removeprefix("./")
        if file not in headers or file in WITHOUT_KERNEL or (file, line, node["name"]) in seen:
            continue
        seen.add((file, line, node["name"]))
        children = node.get("inner", [])
        if node.get("explicitlyDeleted") or node.get("explicitlyDefaulted") or node.get("constexpr") or \
                any(child["kind"] == "CompoundStmt" for child in children):
            continue
        count += 1
        name = "::".join([part for part in scope if part != "sluice"] + [node["name"]])
        text = declaration_text(root, file, line)
        levels = re.findall(r"_IRQL_requires_(?:max_)?\((\w+)\)", text)
        traced = [child for child in children if child["kind"] == "AnnotateAttr"]
        if not levels or not traced:
            wrong.append(f"{file}:{line}: {name} does not say at which IRQL it may be called")
            continue
        sections = re.findall(r"\bSLUICE_(INIT|PAGED)_CODE\b", text)
        if not sections:
            continue
        highest = LEVELS[levels[0]]
        if highest > LEVELS["APC_LEVEL"]:
            wrong.append(f"{file}:{line}: {name} is pageable, and may be called at {levels[0]}")
        if sections[0] == "INIT" and highest != 0:
            wrong.append(f"{file}:{line}: {name} is in INIT, and may be called at {levels[0]}")
        own = re.escape(name)
        definitions = [body for source in sources for body in re.findall(
            rf"^[\w][^\n;]*\b{own}\((?:[^;{{}}]|\{{\}})*?\)\s*(?:const\s*)?\{{\n\s*(.*)$", source, re.M)]
        if not definitions:
            wrong.append(f"{file}:{line}: the definition of {name} was not found")
        elif not all(body.startswith("PAGED_CODE();") for body in definitions):
            wrong.append(f"{file}:{line}: {name} is pageable, and does not begin with PAGED_CODE()")
    if count < FEWEST:
        wrong.append(f"only {count} functions were found")
    if wrong:
        raise Broken("\n".join(wrong))
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--compiler", default="clang++")
    arguments = parser.parse_args()
    if shutil.which(arguments.compiler) is None:
        print(f"SKIPPED: no {arguments.compiler} here")
        return 77
    try:
        count = check(arguments.root.resolve(), arguments.compiler)
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    print(f"{count} functions say at which IRQL they may be called")
    return 0


if __name__ == "__main__":
    sys.exit(main())
