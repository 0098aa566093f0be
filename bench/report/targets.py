"""The targets, what was measured, and for those not reached the measurement that shows why."""
import curve as drop_curve
import plots
import transport
from handover import best_of_ours, described, entry, range_at_same_latency
from markdown import number, shown, table, times
from results import difference, ratio
from sections import limit
from target import Target


def write_targets(results):
    floor, write = (results.figure(f"write/{what}/64/monotonic") for what in ("floor", "write"))
    bare = difference(results.figure("write/write/64/counter"), results.figure("write/floor/64/counter"))
    above = difference(write, floor)
    yield Target("write above the floor (clock + copy)", "<= 4 ns", shown(above, "ns"), above.median <= 4,
                 f"With the processor's counter as clock it is {shown(bare)} ns. What is above the floor is the header, the "
                 "publication, the commit, the account, the look at the announcement and the room given back record by record; "
                 "`clock_gettime` reads its counter behind a fence for loads, so that little of it overlaps with the clock.")
    if results.has("instructions/write"):
        count, at_run_time = (results.figure(f"instructions/write{kind}", "usual").median -
                              results.figure(f"instructions/floor{kind}", "usual").median for kind in ("_constant", ""))
        yield Target("the same in instructions, type and length known when compiled", "<= 40", f"{count:.0f}", count <= 40,
                     f"With the length known at run time {at_run_time:.0f}. See [the write path](write-path.md).")


def callback_target(results):
    over = ratio(results.figure("callback/whole/image_load"), results.figure("callback/whole/write"))
    yield Target("whole callback, simulated kernel", "<= 3 x the write", times(over), over.median <= 3)


def handover_targets(results):
    clock = "monotonic"
    push = results.figure(entry(results, "boost_push", 0, clock), "ns")
    ours_name = entry(results, *best_of_ours(results, clock), clock)
    ours = results.figure(ours_name, "ns")
    _, best = limit(results, clock)
    over = ratio(push, ours)
    needed = push.median / 3
    why = f"3 x boost's single push ({shown(push)} ns) would be {number(needed)} ns per event. "
    if needed < best.median:
        why += (f"The measured limit, events handed over in whole blocks without any queue, is {shown(best)} ns: no design "
                "that reads this clock for each event reaches it here.")
    else:
        why += f"The measured limit is {shown(best)} ns: the machine would allow it."
    at = results.figure(ours_name, "latency_p50").median / 1000
    yield Target(f"one producer, one consumer, against boost's single push (ours: {described(ours_name)}, at {number(at)} us)",
                 ">= 3 x", times(over), over.median >= 3, why)

    same_name = range_at_same_latency(results, ours_name, clock)
    same = results.figure(same_name, "ns")
    at_same = results.figure(same_name, "latency_p50").median / 1000
    yield Target(f"the same against its range push at the same added latency ({described(same_name)}, at {number(at_same)} us)",
                 "not slower",
                 f"{shown(ours)} against {shown(same)} ns", ours.low <= same.high,
                 "A range is published once and written in one burst. See [where a peer wins](#where-a-peer-wins-and-why).")
    share = ratio(best, ours)
    yield Target("the same against the measured limit", ">= 60 %", f"{100 * share.median:.0f} % [{100 * share.low:.0f}, "
                 f"{100 * share.high:.0f}]", share.median >= 0.6,
                 f"The limit is {shown(best)} ns per event, ours {shown(ours)} ns.")


def parallel_target(results):
    two, one = (results.figure(f"parallel/write/{n}/monotonic", "events/s") for n in (2, 1))
    floor = ratio(*(results.figure(f"parallel/floor/{n}/monotonic", "events/s") for n in (2, 1)))
    bare = ratio(*(results.figure(f"parallel/write/{n}/counter", "events/s") for n in (2, 1)))
    over = ratio(two, one)
    yield Target("two producers, two rings", ">= 1.9 x one", times(over), over.median >= 1.9,
                 f"Clock and copy alone, without a ring and into memory of each thread's own, reach {times(floor)} on this "
                 f"machine: the second processor does not give more. With the processor's counter as clock two producers "
                 f"reach {times(bare)}.")


def merge_targets(results):
    for rings, aim in ((1, 40), (64, 20), (256, 12)):
        rate = plots.merge_rate(results, f"merge/{rings}/1")
        yield Target(f"merge of {rings} ring{'s' if rings > 1 else ''}", f">= {aim} M events/s", shown(rate), rate.median >= aim,
                     f"In runs of 16: {shown(plots.merge_rate(results, f'merge/{rings}/16'))} M events/s.")


def tail_target(results):
    where = "tail/write/monotonic"
    over = ratio(results.figure(where, "p99.9"), results.figure(where, "p50"))
    floor = ratio(results.figure("tail/floor/monotonic", "p99.9"), results.figure("tail/floor/monotonic", "p50"))
    small = ratio(results.figure("tail/write_small/monotonic", "p99.9"), results.figure("tail/write_small/monotonic", "p50"))
    yield Target("p99.9 of one write, interrupts left out by count", "<= 3 x the median", times(over), over.median <= 3,
                 f"Clock and copy alone: {times(floor)}. The slow writes are those that give back room: they walk "
                 f"over the records that the consumer has read since, several at once. It is the walk, not the cache: with a ring "
                 f"of 128 KiB it is {times(small)}.")


def all_targets(results, curve):
    two_processors = results.on_two_processors()
    yield from write_targets(results)
    yield from callback_target(results)
    if two_processors:
        yield from handover_targets(results.placements()[0][1])
        yield from parallel_target(results)
    yield from merge_targets(results)
    yield from tail_target(results)
    yield from transport.targets(results)
    yield from drop_curve.targets(curve)


def targets_section(results, curve):
    targets = list(all_targets(results, curve))
    rows = [[t.what, t.aim, t.measured, "yes" if t.reached else "**no**"] for t in targets]
    text = f"""## Targets

At 64 bytes of payload, with `clock_gettime` as clock unless it says otherwise.

{table(["what", "target", "measured", "reached"], rows)}
"""
    missed = [t for t in targets if not t.reached]
    if missed:
        text += "\nNot reached:\n\n" + "\n".join(f"- **{t.what}**, {t.aim}: {t.measured}. {t.why}" for t in missed) + "\n"
    return text
