#!/usr/bin/env python3
"""Why lines are not run by the tests: every line that gcovr saw and no test ran, with its reason from reasons.txt.

explain.py DETAILS [--page FILE]     DETAILS: gcovr --json. --page: the table of reasons, and what has none, as Markdown.

A run of such lines, with none between them that was run, has the reason of the first rule that one of its lines fits.
Exit code: 0 all have one, 1 some have none: they are listed.
"""
import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_rules(path):
    """Paragraphs: the reason, indented lines `FILE: EXPRESSION` (no expression: the whole file)."""
    rules, reasons = [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith("  "):
            reasons.append(line.strip())
            continue
        file, _, expression = line.strip().partition(":")
        if not (ROOT / file).exists():
            sys.exit(f"{path}:{number}: there is no {file}")
        rules.append((file, re.compile(expression.strip()), reasons[-1]))
    return rules, reasons


def blocks_of(file):
    """Lists of line numbers."""
    block, blocks = [], []
    for line in sorted(file["lines"], key=lambda each: each["line_number"]):
        if line.get("gcovr/noncode"):
            continue
        if line["count"] == 0:
            block.append(line["line_number"])
        elif block:
            blocks.append(block)
            block = []
    if block:
        blocks.append(block)
    return blocks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("details", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path)
    options = parser.parse_args()
    rules, reasons = read_rules(pathlib.Path(__file__).with_name("reasons.txt"))
    found = {reason: [] for reason in reasons}
    without = []
    lines = run = 0
    for file in json.loads(options.details.read_text())["files"]:
        text = (ROOT / file["file"]).read_text().splitlines()
        counted = [line for line in file["lines"] if not line.get("gcovr/noncode")]
        lines += len(counted)
        run += sum(line["count"] != 0 for line in counted)
        for block in blocks_of(file):
            fits = next((reason for name, expression, reason in rules if name == file["file"] and
                         any(expression.search(text[number - 1]) for number in block)), None)
            (found[fits] if fits else without).append((file["file"], block, text[block[0] - 1].strip()))

    def count(places):
        return sum(len(block) for _, block, _ in places)

    rows = [(count(places), reason, ", ".join(sorted({name for name, _, _ in places}))) for reason, places in found.items() if places]
    rows.sort(key=lambda row: -row[0])
    table = [f"Of {lines:,} lines {run:,} were run, {100 * run / lines:.1f} %. The other {lines - run:,}:", "",
             "| lines | why no test of the coverage build runs them | where |", "|---|---|---|"]
    table += [f"| {number} | {reason} | {where} |" for number, reason, where in rows]
    if without:
        table += [f"| {count(without)} | **not explained** | {', '.join(sorted({name for name, _, _ in without}))} |"]
    if options.page:
        options.page.write_text("\n".join(table) + "\n")
    print("\n".join(table))
    for name, block, line in without:
        print(f"{name}:{block[0]}{'-' + str(block[-1]) if len(block) > 1 else ''}: no reason: {line}", file=sys.stderr)
    return 1 if without else 0


if __name__ == "__main__":
    sys.exit(main())
