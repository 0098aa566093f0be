"""The sections of docs/benchmarks.md: tables from one run, and what they mean."""
import contestants
import plots
from markdown import number, picture, shown, table, times
from results import Figure, difference, ratio

LENGTHS = (16, 64, 200)
CLOCKS = {"monotonic": "`clock_gettime`", "counter": "the processor's counter"}


def write_section(results, directory):
    plots.draw_write(results, directory)
    rows = []
    for clock, title in CLOCKS.items():
        for length in LENGTHS:
            floor, write, reserve, overwrite = (results.figure(f"write/{what}/{length}/{clock}")
                                                for what in ("floor", "write", "reserve", "overwrite"))
            rows.append([title, length, shown(floor), shown(write), shown(difference(write, floor)), shown(reserve),
                         shown(difference(reserve, floor)), shown(overwrite), shown(difference(overwrite, floor))])
    text = f"""## One event on its own CPU

Reading the clock alone: {shown(results.figure("write/clock/0/monotonic"))} ns by `clock_gettime` (what the simulated
kernel's counter reads), {shown(results.figure("write/clock/0/counter"))} ns by the processor's counter. The *floor* is a
clock reading and a copy of the payload to the next place of a buffer as large as the ring. *Write* and *reserve* (with the
same copy, and commit) contain the consumer's announcement being looked at, and the room being given back that a consumer
has read; *overwrite* is a write to a full ring in overwrite mode, which makes room of the oldest records; the section at DISPATCH_LEVEL is [further down](#a-callback-by-parts).

{table(["clock", "payload", "floor, ns", "write, ns", "above the floor", "reserve, fill, commit", "above the floor", "overwrite, ns",
        "above the floor"], rows)}

{picture("write", "floor, write and reserve at 16, 64 and 200 bytes")}
"""
    if results.has("instructions/write"):
        rows = []
        for kind, title in (("_constant", "type and length known when compiled"), ("", "length known at run time")):
            floor = results.figure(f"instructions/floor{kind}", "usual").median
            usual, mean, most = (results.figure(f"instructions/write{kind}", figure).median
                                 for figure in ("usual", "mean", "most"))
            rows.append([title, f"{floor:.0f}", f"{usual:.0f}", f"**{usual - floor:.0f}**", f"{mean:.1f}", f"{most:.0f}"])
        text += f"""
**Instructions**, single-stepped by the trap flag, 64 bytes, processor's counter, calls included. The mean and the most contain
the room given back that the consumer has read. [The write path](write-path.md) lists them one by one, as a driver is compiled.

{table(["", "floor", "write, usually", "above the floor", "on average", "at most"], rows)}
"""
    return text


CHAIN = (("1_section", "IRQL raised and lowered", "simulation"),
         ("2_processor", "number of the processor", "simulation"),
         ("3_clock", "performance counter", "simulation"),
         ("4_copy", "copy of 64 bytes", "ours"),
         ("5_ring", "header, publication, commit, room given back", "ours"),
         ("6_account", "accounting, type check, critical part, clamp of the clock", "ours"),
         ("7_wake", "wake-up look", "ours"))


def callback_parts(results):
    """(name, whose, cost): the parts of the image-load callback, measured by adding one to the other or alone."""
    parts = []
    before = Figure([0.0])
    for step, name, whose in CHAIN:
        now = results.figure(f"callback/chain/{step}")
        parts.append((name, whose, difference(now, before)))
        before = now
    reserve = results.figure("callback/whole/channel_reserve")
    parts.append(("snapshot (process, thread), critical region, a record that stays open", "both",
                  difference(reserve, before)))
    for step, name, whose in (("rundown", "rundown reference", "ours"), ("type_switch", "filter: type switched on",
                                                                             "ours"),
                              ("string", "path captured and copied", "ours")):
        parts.append((name, whose, results.figure(f"callback/alone/{step}")))
    return parts


def callback_section(results, directory):
    parts = callback_parts(results)
    whole = results.figure("callback/whole/image_load")
    write = results.figure("callback/whole/write")
    rest = whole.median - sum(cost.median for _, _, cost in parts)
    plots.draw_callback([(name.split(",")[0].split(" (")[0], cost.median) for name, _, cost in parts] + [("rest", rest)],
                        directory)
    rows = [[name, whose, shown(cost)] for name, whose, cost in parts]
    rows.append(["rest (fields; what overlaps when all of it runs)", "", number(rest)])
    rows.append(["**whole image-load callback**", "", f"**{shown(whole)}**"])
    own = results.figure("callback/chain/7_wake")
    return f"""## A callback, by parts

**On the simulated kernel**: raising IRQL, the performance counter and the current process are functions of
`kernel_port/sim`, with its checks inside. They say nothing about Windows; the parts called *ours* are the same code in a
driver. Parts down to the wake-up look are differences: a function with one part more, each measured by itself. Those that
follow it are measured alone, so that the sum need not be exact: what is left is the *rest*. Payload: 64 bytes (for the
image-load callback 48 and a path of 16).

{table(["part", "whose", "ns"], rows)}

Up to the wake-up look it is `channel::write`, an event of a driver's own: {shown(own)} ns,
{times(ratio(own, write))} the write inside a section on the same clock ({shown(write)} ns). The whole image-load callback is
**{times(ratio(whole, write))}** that write.

{picture("callback", "the parts of a callback")}
{filter_table(results)}"""


FILTERS = (("none", "no filter is set: both looks at an event"),
           ("sections", "a reader of a snapshot comes and goes: two sections, nothing else"),
           ("refused", "refused at the first look, and counted"),
           ("types", "kept; the filter says nothing but types"),
           ("processes_10", "kept; 10 rules for processes and their descendants"),
           ("processes_4000", "kept; 4,000 such rules"),
           ("paths_10", "kept; 10 paths, one of which applies to a path of 73 units"),
           ("paths_10000", "kept; 10,000 such paths"),
           ("limits", "kept; a window for repeats (over 150 bytes), a rate per type and one per process"))


def filter_table(results):
    """What a filter adds to a callback. Empty for a run from before there were filters."""
    if not results.has("callback/filter/none"):
        return ""
    rows = [[title, shown(results.figure(f"callback/filter/{name}"))] for name, title in FILTERS]
    for name, title in (("replace_2", "2 CPUs"), ("replace_16", "16 CPUs")):
        rows.append([f"setting a filter, nobody reading: {title}, a DPC on each", shown(results.figure(f"callback/filter/{name}"))])
    return f"""
What a filter adds (docs/filters.md). A decision has two sections at DISPATCH_LEVEL, which are the simulation's; a path is
hashed once, however many entries there are.

{table(["decision about one event", "ns"], rows)}
"""


def limit(results, clock):
    """The fastest way found to hand over the same events without a queue: its name and figure."""
    names = [name for name in results.under("limit") if name.startswith("events_") and name.endswith("/" + clock)]
    best = min(names, key=lambda name: results.figure("limit/" + name, "ns").median)
    return best, results.figure("limit/" + best, "ns")


def limits_table(results):
    rows = [["one line there and back", "", shown(Figure(results.round_trips()))]]
    for size in sorted({int(name.split("/")[1]) for name in results.under("limit/lines") and results.under("limit")
                        if name.startswith("lines/")}):
        rows.append(["lines in blocks, per line", f"{size} bytes", shown(results.figure(f"limit/lines/{size}", "ns"))])
    for way, title in (("direct", "events written into the block"), ("prefetch", "the same, lines prefetched for writing"),
                       ("staged", "events staged, then copied into the block")):
        for clock, clock_title in CLOCKS.items():
            best = min((name for name in results.under("limit") if name.startswith(f"events_{way}/")
                        and name.endswith("/" + clock)), key=lambda name: results.figure("limit/" + name, "ns").median)
            rows.append([f"{title}; {clock_title}", f"{best.split('/')[1]} bytes",
                         shown(results.figure("limit/" + best, "ns"))])
    return table(["what", "block", "ns"], rows)


def parallel_section(results):
    rows = []
    for clock, title in CLOCKS.items():
        for what, name in (("floor", "clock and copy, no ring"), ("write", "write")):
            one, two = (results.figure(f"parallel/{what}/{n}/{clock}", "events/s").scaled(1e-6) for n in (1, 2))
            rows.append([name, title, shown(one), shown(two), times(ratio(two, one))])
    return f"""## Two producers, two rings, no consumer

Million events of 64 bytes per second, on one processor and on both at once. The rows without a ring show what the second
processor of this machine adds, whatever runs on it.

{table(["what", "clock", "one", "two", "ratio"], rows)}
"""


def merge_section(results, directory):
    plots.draw_merge(results, directory)
    counts = sorted({int(name.split("/")[0]) for name in results.under("merge") if name[0].isdigit()})
    rows = [[count] + [shown(plots.merge_rate(results, f"merge/{count}/{run}")) for run in (1, 16)] for count in counts]
    return f"""## Merge, on one core

{int(results.figure("merge/floor/1", "events").median)} records of 64 bytes of payload, spread over the rings at random, one
by one or in runs of 16; a pass emits all of them in order, and the sink copies each into a buffer. The same copies from one
ring, read in order without a merge: {shown(plots.merge_rate(results, "merge/floor/1"))} million per second.

{table(["rings", "spread one by one, million/s", "in runs of 16"], rows)}

{picture("merge", "merge rate against the number of rings")}
"""


def tail_section(results, directory):
    plots.draw_tail(results, directory)
    rows = []
    for clock, title in CLOCKS.items():
        for what, name in (("floor", "clock and copy"), ("write", "write"), ("write_small", "write, ring of 128 KiB")):
            where = f"tail/{what}/{clock}"
            figures = [number(results.figure(where, p).median) for p in plots.PERCENTILES]
            tail = ratio(results.figure(where, "p99.9"), results.figure(where, "p50"))
            rows.append([name, title] + figures + [times(tail), number(results.figure(where, "p99.9_with_all").median)])
    counted = {name: sum(sum(results.benchmarks[f"tail/{what}/{clock}"][name]) for what in ("floor", "write", "write_small")
                         for clock in CLOCKS) for name in ("samples", "timer_interrupts", "other_interrupts", "switches")}
    left_out = counted["timer_interrupts"] + counted["other_interrupts"] + counted["switches"]
    longest = results.figure("tail/write/monotonic", "longest_with_all")
    return f"""## The slowest of a thousand writes

Every write of 64 bytes timed by itself, from the end of the one before, by the processor's counter (its reading is part of
each sample, and on this machine it moves in steps of {results.context["counter step, ns"]} ns). Percentiles in ns, medians over the repetitions.

{table(["what", "clock", "p50", "p90", "p99", "p99.9", "p99.99", "p99.9 / p50", "p99.9 of all samples"], rows)}

Left out *by count*: of {counted["samples"]:,.0f} samples in all, as many of the longest of each repetition as the kernel
counted interrupts of that processor and switches of that thread meanwhile: {left_out:,.0f} ({counted["timer_interrupts"]:,.0f}
timer interrupts, {counted["other_interrupts"]:,.0f} others, {counted["switches"]:,.0f} switches). Each of these can have
lengthened one sample at most. What a hypervisor takes is counted by nobody and stays in; the last column leaves nothing out.
The longest sample of all, median over the repetitions: {number(longest.median / 1000)} us.

{picture("tail", "percentiles of one write")}
"""
