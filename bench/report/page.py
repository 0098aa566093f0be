#!/usr/bin/env python3
"""Makes docs/benchmarks.md and its plots from one run of sluice_bench.

  page.py keep RAW_JSON KEPT_JSON      google-benchmark's JSON in the form that is kept
  page.py page KEPT_JSON CURVE MARKDOWN     the page, and the plots into a folder `benchmarks` beside it; CURVE: the lines of sluice_curve
  page.py targets KEPT_JSON CURVE      the table of targets, on stdout
"""
import json
import os
import sys

import curve as drop_curve
import handover
import results as run_results
import sections
import targets
import transport
from markdown import table

HEAD = """# Benchmarks

Made by `./run bench` from one run; do not edit. The values of every repetition are in
[benchmarks/run.json](benchmarks/run.json), those of the [drop curve](#drop-rate-against-offered-load) in
[benchmarks/curve.jsonl](benchmarks/curve.jsonl). Nothing here was measured on Windows.

Figures are `median [95 % confidence interval of the median]` over {repetitions} repetitions. All contestants run in one
process; repetitions of all of them are interleaved in random order, so that what changes on the machine meanwhile meets
all of them alike. Absolute figures are this machine's; compare columns, not machines.
"""


TITLES = {"taken by others": "processor time that other processes and the hypervisor took meanwhile"}


def machine_section(results):
    context = results.context
    shown = ["processor", "virtual machine", "kernel", "compiler", "pinning", "frequency governor", "clock source",
             "counter ticks per ns", "counter step, ns", "asserts", "effort", "date", "taken by others"]
    rows = [[TITLES.get(name, name), context[name]] for name in shown if name in context]
    rows.insert(1, ["processors, MHz", f"{context['num_cpus']}, {context['mhz_per_cpu']}"])
    caches = ", ".join(f"L{cache['level']} {cache['type'].lower()} {cache['size'] // 1024} KiB" for cache in context["caches"])
    rows.insert(2, ["caches", caches])
    rows.append(["load average before", ", ".join(f"{load:.2f}" for load in context["load_avg"])])
    return "## The machine\n\n" + table(["", ""], rows) + "\n"


METHOD = """## Method, and what these figures do not say

- `sluice_bench` uses google-benchmark: a fixed number of iterations per repetition, random interleaving, one JSON. What runs
  on two processors is timed inside: threads pinned, started together, one lap of warm-up untimed.
- Built with `-O2 -DNDEBUG`, as `sluice.sys` is; no link-time optimisation, no processor-specific instructions.
- Debian's google-benchmark says that it is a debug build; what it does inside the timed loop is compiled into ours.
- Intervals of a median come from order statistics; intervals of ratios and differences from a bootstrap over the repetitions
  of both sides. They tell how far this run repeats itself, not how another machine behaves.
- A virtual machine shares its host with others; frequency and the place of the two processors (one core, one cache, two
  sockets) are the host's choice. The round trip of a line says what was given.
- `bench.runs`, `bench.curve` and `bench.report` in `ctest` show that everything runs, every event arrives or is announced where the ring was
  full, and the page comes out; no test asserts a time.
- The drop curve has three runs of each point with a consumer that runs, and one of the others, in random order: points near a ring's limit
  differ from run to run.
- LTTng's discarded events are those it counts itself; with what `babeltrace2` finds in the trace they add up to what was offered.
"""


def make_page(results, curve, path):
    directory = os.path.join(os.path.dirname(os.path.abspath(path)), "benchmarks")
    os.makedirs(directory, exist_ok=True)
    parts = [HEAD.format(repetitions=results.repetitions()), targets.targets_section(results, curve), machine_section(results),
             sections.write_section(results, directory), sections.callback_section(results, directory)]
    if results.on_two_processors():
        parts += [handover.handover_section(results, directory), sections.parallel_section(results)]
    parts += [sections.merge_section(results, directory), sections.tail_section(results, directory),
              transport.section(results), drop_curve.section(curve, directory), METHOD]
    with open(path, "w") as file:
        file.write("\n".join(parts))


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "keep":
        with open(arguments[1]) as file:
            run_results.write(run_results.compact(json.load(file)), arguments[2])
    elif len(arguments) == 4 and arguments[0] == "page":
        make_page(run_results.Results.load(arguments[1]), drop_curve.Curve.load(arguments[2]), arguments[3])
    elif len(arguments) == 3 and arguments[0] == "targets":
        print(targets.targets_section(run_results.Results.load(arguments[1]), drop_curve.Curve.load(arguments[2])))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
