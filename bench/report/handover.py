"""The section about one producer and one consumer on two processors."""
import contestants
import plots
from markdown import number, picture, shown, table, times
from results import Figure, ratio
from sections import limit, limits_table

SAME_LATENCY = 1.1  # "the same added latency": no more than a tenth above


def entry(results, name, rest, clock):
    return f"handover/{name}/{rest}/{clock}"


def rests_of(results, name, clock):
    return sorted(int(n.split("/")[1]) for n in results.under("handover") if n.split("/")[0] == name
                  and n.split("/")[2] == clock)


def best_of_ours(results, clock):
    """The name and rest of ours that costs least."""
    candidates = [(name, rest) for name in contestants.OURS for rest in rests_of(results, name, clock)]
    return min(candidates, key=lambda c: results.figure(entry(results, *c, clock), "ns").median)


def cheapest_within(results, allowed, candidates):
    """The entry of `candidates` that costs least and whose saturated latency is at most `allowed`; none: None."""
    within = [name for name in candidates if results.figure(name, "latency_p50").median <= allowed]
    return min(within, key=lambda name: results.figure(name, "ns").median) if within else None


def entries(results, names, clock):
    return [entry(results, name, rest, clock) for name in names for rest in rests_of(results, name, clock)]


def range_at_same_latency(results, ours, clock):
    """The range push of boost that costs least without adding more latency than ours; the smallest if all add more."""
    ranges = entries(results, [name for name in contestants.PEERS if name.startswith("boost_range_")], clock)
    found = cheapest_within(results, SAME_LATENCY * results.figure(ours, "latency_p50").median, ranges)
    return found or min(ranges, key=lambda name: results.figure(name, "latency_p50").median)


def same_latency_table(results, clock):
    """For each way to consume ours: the cheapest range push and the cheapest peer of any kind that add no more latency."""
    ranges = [name for name in contestants.PEERS if name.startswith("boost_range_")]
    rows = []
    for ours in entries(results, contestants.OURS, clock):
        latency = results.figure(ours, "latency_p50").median
        cells = [described(ours), shown(results.figure(ours, "ns")), number(latency / 1000)]
        for names in (ranges, contestants.PEERS):
            found = cheapest_within(results, SAME_LATENCY * latency, entries(results, names, clock))
            cells.append("none" if found is None else
                         f"{described(found)}: {number(results.figure(found, 'ns').median)} ns, "
                         f"{number(results.figure(found, 'latency_p50').median / 1000)} us")
        rows.append(cells)
    return table(["ours", "ns per event", "latency, us", "cheapest range push within", "cheapest peer within"], rows)


def described(where):
    _, name, rest, _ = where.split("/")
    return contestants.title_of(name) + (f", rest {number(int(rest) / 1000)} us" if rest != "0" else "")


def row(results, name, rest, clock, best, push):
    where = entry(results, name, rest, clock)
    paced = where.replace("handover/", "paced/")
    each = results.figure(where, "ns")
    return [contestants.title_of(name), number(rest / 1000) if rest else "0", shown(each), times(ratio(push, each)),
            f"{100 * best.median / each.median:.0f} %"] + [
                number(results.figure(of, figure).median / 1000) for of in (where, paced)
                for figure in ("latency_p50", "latency_p99")]


def contest_table(results, clock, rests):
    _, best = limit(results, clock)
    push = results.figure(entry(results, "boost_push", 0, clock), "ns")
    rows = [row(results, name, rest, clock, best, push)
            for name in list(contestants.OURS) + list(contestants.PEERS)
            for rest in rests_of(results, name, clock) if (rest == 0) == (rests == "none")]
    return table(["contestant", "rest, us", "ns per event", "boost's push / this", "of the limit",
                  "saturated p50, us", "p99", "paced p50, us", "p99"], rows)


def winners(results, clock):
    """Peers that cost less than the best of ours, with the reason, once for each."""
    said = set()
    ours = results.figure(entry(results, *best_of_ours(results, clock), clock), "ns")
    lines = []
    for name in contestants.PEERS:
        for rest in rests_of(results, name, clock):
            figure = results.figure(entry(results, name, rest, clock), "ns")
            if figure.median < ours.median:
                latency = results.figure(entry(results, name, rest, clock), "latency_p50").median
                reason = contestants.WHY_FASTER[name]
                lines.append(f"- **{described(entry(results, name, rest, clock))}**: {shown(figure)} ns, at "
                             f"{number(latency / 1000)} us" + ("." if reason in said else f"; {reason}."))
                said.add(reason)
    return lines


def groups(results, clock):
    """The points of the plot."""
    def point(name, rest, label):
        where = entry(results, name, rest, clock)
        return label, results.figure(where, "latency_p50").median, results.figure(where, "ns").median

    def over_rests(name):
        return [point(name, rest, f"{rest // 1000}us" if rest else "") for rest in rests_of(results, name, clock)]

    shown_groups = [(contestants.title_of(name), over_rests(name)) for name in ("sluice_reader", "sluice_slack_2000")]
    shown_groups.append(("boost, push", over_rests("boost_push")))
    shown_groups.append(("boost, ranges", [point(name, 0, name.split("_")[-1]) for name in contestants.PEERS
                                           if name.startswith("boost_range_")]))
    shown_groups.append(("moodycamel", over_rests("moodycamel")))
    shown_groups.append(("ck_ring", over_rests("ck_ring")))
    return shown_groups


def placement_text(parts):
    """Where the host had put the two processors, as far as a line's round trip tells."""
    if len(parts) == 1:
        return ("The round trip of a line, measured before each repetition, says how far apart the two processors are; it "
                "did not fall apart into groups in this run.")
    (share, usual), (_, other) = parts
    trips = [shown(Figure(part.round_trips())) for part in (usual, other)]
    return (f"**The host moved the two processors during the run**: a line's round trip, measured before each repetition, took "
            f"{trips[0]} ns in {100 * share:.0f} % of the repetitions and {trips[1]} ns in the others. They are kept apart: "
            "the figures of this section are those of the more frequent placement, except where it says otherwise.")


def placement_table(parts):
    if len(parts) == 1:
        return ""
    usual, other = (part for _, part in parts)
    rows = []
    for name in list(contestants.OURS) + list(contestants.PEERS):
        where = entry(usual, name, 0, "monotonic")
        rows.append([contestants.title_of(name)] + [cell for part in (usual, other) for cell in (
            shown(part.figure(where, "ns")),
            times(ratio(part.figure(entry(part, "boost_push", 0, "monotonic"), "ns"), part.figure(where, "ns"))))])
    limits = [limit(part, "monotonic")[1] for part in (usual, other)]
    rows.append(["*measured limit*", shown(limits[0]), "", shown(limits[1]), ""])
    return f"""### In both placements

The consumer never rests; `clock_gettime`.

{table(["contestant", "more frequent: ns per event", "boost's push / this", "other: ns per event", "boost's push / this"], rows)}

"""


def handover_section(all_results, directory):
    parts = all_results.placements()
    results = parts[0][1]
    way, best = limit(results, "monotonic")
    plots.draw_handover(groups(results, "monotonic"), best.median, directory)
    name, rest = best_of_ours(results, "monotonic")
    ours = entry(results, name, rest, "monotonic")
    same = range_at_same_latency(results, ours, "monotonic")
    faster = winners(results, "monotonic")
    what = [[contestants.title_of(key), text] for key, (_, text) in {**contestants.OURS, **contestants.PEERS}.items()]
    faster_text = "\n".join(faster) if faster else "None in this run."
    reads = results.figure(ours, "latency_p50").median / 1000
    same_latency = results.figure(same, "latency_p50").median / 1000
    return f"""## One producer, one consumer, on two processors

Lossless: a producer that finds no room waits. Every event carries 64 bytes of payload and a time that the producer reads
from the same clock; the consumer reads every word, checks that each number follows the one before, and adds up a checksum:
a run in which one event is lost, doubled, reordered or torn fails. Each peer has room for 16384 events of 72 bytes; our ring
is the driver's default, 1 MiB, of which an eighth is kept for critical types; its records are of 80 bytes.

{table(["contestant", "what it does"], what)}

**Latency** is measured from an event's time to the end of the drain that consumed it: *saturated*, in the same run as the ns
per event; *paced*, at one event every {500} ns, where nothing queues. **Rest**: the consumer begins a drain at most every so
many us. A consumer that polls without rest takes the producer's lines away again and again; one that rests adds latency. All
contestants are measured with the same rests.

### What the machine gives

{placement_text(parts)}

{limits_table(results)}

Without a queue: blocks that are handed over whole, one word of synchronisation per block and direction. "Events" means the
same work as above: a clock reading and 64 bytes each, 80 bytes in all. The fastest of them (`{way}`) is called the limit.

### With `clock_gettime`, the consumer never rests

{contest_table(results, "monotonic", "none")}

### With a consumer that rests

{contest_table(results, "monotonic", "some")}

### With the processor's counter as clock

{contest_table(results, "counter", "none")}

{picture("handover", "cost per event against added latency")}

{placement_table(parts)}### At the same added latency

Saturated, by median latency; "within" allows a tenth more than ours.

{same_latency_table(results, "monotonic")}

The cheapest of ours is *{described(ours)}*: {shown(results.figure(ours, "ns"))} ns at {number(reads)} us. The cheapest range
push of boost's at that latency is *{described(same)}*: {shown(results.figure(same, "ns"))} ns at {number(same_latency)} us.

What ours pay for, that the others do not have: a record has a state, so that it can be left open, discarded, or be of any
size; its position is published before its clock is read, so that the merge needs no heartbeat. *Exact* interrupts the
producer's processor in every pass (under a hypervisor, an exit on both sides); *slack* waits for its margin instead.

### Where a peer wins, and why

Peers that cost less per event than the cheapest of ours, whatever latency they add:

{faster_text}
"""
