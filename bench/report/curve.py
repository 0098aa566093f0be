"""Drop rate against offered load: the section of docs/benchmarks.md, from the lines of sluice_curve."""
import json

import curve_plots
from markdown import number, picture, table, times
from results import Figure, ratio
from target import Target

DESIGNS = {"sluice": "ours, in process", "mapping": "ours, shared mapping", "port": "ours, filter port", "ioctl": "ours, pended reads",
           "locked_list": "mutex and list", "queued_lock_ring": "ring behind a queued lock", "lttng_ust": "LTTng-UST"}
CONSUMERS = {"running": "running", "slow": "slow", "stalled_10ms": "stalled for 10 ms, four times",
             "stalled_100ms": "stalled for 100 ms, once"}
PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99", "max")
ONE_RING = 1 << 20  # the pictures' ring, the driver's default


class Curve:
    def __init__(self, lines):
        self.lines = lines

    @staticmethod
    def load(path):
        with open(path) as file:
            return Curve([json.loads(line) for line in file])

    def of(self, kind, **wanted):
        return [line for line in self.lines if line["kind"] == kind and all(line[name] == value for name, value in wanted.items())]

    def values(self, kind, name, **wanted):
        """Those that occur, in their first order."""
        return list(dict.fromkeys(line[name] for line in self.of(kind, **wanted)))

    def lttng(self):
        """Empty, or why it is missing."""
        missing = [line["lttng"] for line in self.of("context") if line["lttng"] != "yes"]
        return missing[0] if missing else ""

    def cost(self, design):
        return Figure([turn for line in self.of("cost", design=design) for turn in line["ns"]])

    def shown_ring(self):
        rings = self.values("cell", "ring", shape="steady")
        return ONE_RING if ONE_RING in rings else rings[-1]


def size(count):
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


def rate(value):
    return f"{number(value / 1e6)} M/s"


def drop_share(cell):
    return cell["dropped"] / cell["offered"] if cell["offered"] else 0.0


def middle(cells):
    """Of the runs of one point, the one with the median share; of two, the lower."""
    return sorted(cells, key=drop_share)[(len(cells) - 1) // 2]


def percent(share):
    return "0" if share == 0 else "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def reached(cell):
    """Events a second that were really offered."""
    return cell["offered"] / (cell["length"] * 1e-9)


def targets(curve):
    checked = curve.of("cell", checked=True)
    if checked:
        violations = sum(cell["violations"] for cell in checked)
        intervals = sum(cell["intervals"] for cell in checked)
        yield Target("intervals of drops outside a gap of the consumer that fills the ring, or not announced", "0",
                     f"{violations} of {intervals:,}", violations == 0, "Each is named when the benchmark runs.")
    if curve.of("cost", design="lttng_ust"):
        over = ratio(curve.cost("sluice"), curve.cost("lttng_ust"))
        yield Target("cost of an event against LTTng-UST's tracepoint", "<= 0.5 x", times(over), over.median <= 0.5,
                     f"{number(curve.cost('sluice').median)} ns against {number(curve.cost('lttng_ust').median)} ns.")


def share_text(cells, asked):
    """Of the runs of one point: the median, the worst where that is more, and what was reached where that is less than asked."""
    if not cells:
        return ""
    shown = middle(cells)
    median, worst = percent(drop_share(shown)), percent(max(map(drop_share, cells)))
    short = reached(shown) < 0.98 * asked
    return median + (f" ({worst})" if worst != median else "") + (f" at {number(reached(shown) / 1e6)}" if short else "")


def share_table(curve, ring, consumer):
    rates = curve.values("cell", "rate", ring=ring, consumer=consumer, shape="steady")
    rows = []
    for design, name in DESIGNS.items():
        runs = [curve.of("cell", ring=ring, consumer=consumer, shape="steady", design=design, rate=each) for each in rates]
        if any(runs):
            rows.append([name] + [share_text(cells, each) for cells, each in zip(runs, rates)])
    most = max(len(curve.of("cell", ring=ring, consumer=consumer, shape="steady", design=design, rate=rates[0])) for design in DESIGNS)
    median = f", median (worst) of {most}" if most > 1 else ""
    return table([f"{size(ring)}, {CONSUMERS[consumer]}{median}"] + [rate(each) for each in rates], rows)


def join_text(curve):
    cells = curve.of("cell", checked=True)
    dropping = [cell for cell in cells if cell["intervals"]]
    violations = sum(cell["violations"] for cell in cells)
    intervals = sum(cell["intervals"] for cell in cells)
    announced = sum(cell["announced"] for cell in cells)
    least = min((cell["least_gap_over_hold"] for cell in dropping), default=0)
    verdict = (f"In none of them was that otherwise: the shortest gap was {least:.4f} of what the ring holds at the rate of that gap."
               if violations == 0 else f"**{violations} times that was not so.**")
    return f"""**Every drop has its gap, and is announced.** In {len(cells)} runs of ours, {len(dropping)} of which dropped, there were {intervals:,}
intervals of drops, {announced:,} events in all. Each was joined with what the ring's consumer had given back by then, as the generator saw it,
and with the LOSS record that the client read. At the first refusal of an interval the records that were not given back filled the ring: the
consumer's gap, from the writing of the oldest of them to the refusal, is as long as the ring holds at the rate that was offered in that
gap. And each interval has one LOSS record, at its place in the stream, with its count, at times within the refusal's. {verdict}
`sluice_curve` names each violation, and ends with exit code 1.
"""


def away_text(curve):
    """Whether a consumer that never rests was kept from its processor for longer than the ring lasts."""
    held = {line["ring"]: line["held"] for line in curve.of("memory", design="sluice")}
    cells = [cell for cell in curve.of("cell", design="sluice", consumer="running", shape="steady") if cell["ring"] in held]
    dropping = [cell for cell in cells if cell["dropped"]]
    if not dropping:
        return "In process, a consumer that runs lost nothing at any rate.\n"
    away = [cell for cell in dropping if cell["away"] >= 1e9 * held[cell["ring"]] / reached(cell)]
    rest = sorted({(cell["ring"], cell["rate"]) for cell in dropping if cell not in away})
    text = f"""In process the consumer that runs never rests. Of its {len(cells)} runs {len(dropping)} dropped. In {len(away)} of these its thread was kept from its
processor, once at least, for longer than the ring lasts at the rate that was reached (the thread's own processor time, against the clock):
other threads, the kernel or the host ran there. A driver's consumer meets the same; a larger ring is what helps."""
    if rest:
        text += " In the others it had its processor, or lost it for less, and fell behind: " + ", ".join(
            f"{size(ring)} at {rate(each)}" for ring, each in rest) + "."
    return text + "\n"


def rings_table(curve):
    """The highest rate at which no run of ours dropped, by ring and consumer."""
    rows = []
    for design in ("sluice", "mapping", "port", "ioctl"):
        for ring in curve.values("cell", "ring", design=design, shape="steady"):
            row = [DESIGNS[design], size(ring)]
            for consumer in CONSUMERS:
                cells = sorted(curve.of("cell", design=design, ring=ring, consumer=consumer, shape="steady"), key=lambda cell: cell["rate"])
                least = min((cell["rate"] for cell in cells if cell["dropped"]), default=float("inf"))
                kept = max((reached(cell) for cell in cells if cell["rate"] < least), default=0.0)
                row.append(rate(kept) if kept else "none")
            rows.append(row)
    return table(["", "ring"] + list(CONSUMERS.values()), rows)


def burst_table(curve):
    shapes = curve.of("shape")
    designs = [design for design in DESIGNS if any(curve.of("cell", shape=shape["name"], design=design) for shape in shapes)]
    rows = []
    for shape in shapes:
        for each in curve.values("cell", "rate", shape=shape["name"]):
            row = [shape["name"], f"{shape['peak_over_mean']:.0f}x", rate(each), rate(each * shape["peak_over_mean"])]
            for design in designs:
                cells = curve.of("cell", shape=shape["name"], design=design, rate=each)
                row.append(percent(drop_share(cells[0])) if cells else "")
            rows.append(row)
    return table(["recorded rhythm", "peak over mean", "mean", "peak"] + [DESIGNS[design] for design in designs], rows)


def latency_table(curve):
    rows = []
    for line in curve.of("latency"):
        rows.append([DESIGNS[line["transport"]], "the callback" if line["from"] == "callback" else "when it was due",
                     f"{line['events']:,}"] + [number(line[each] / 1000) for each in PERCENTILES])
    return table(["transport", "from", "events", *(f"{each}, us" for each in PERCENTILES)], rows)


def memory_table(curve):
    rows = []
    for line in curve.of("memory"):
        rows.append([DESIGNS[line["design"]], size(line["ring"]), f"{line['bytes'] / 1024:,.0f}", f"{line['held']:,}",
                     number(line["bytes"] / line["held"])])
    return table(["design", "asked for", "KiB for one CPU", "events held", "bytes for each"], rows)


def cost_text(curve):
    if not curve.of("cost"):
        return ""
    ours = curve.cost("sluice")
    text = f"One event of 64 bytes, {len(ours.values)} turns of {curve.of('cost')[0]['events']:,}: ours {number(ours.median)} " \
           f"[{number(ours.low)}, {number(ours.high)}] ns"
    if not curve.of("cost", design="lttng_ust"):
        return text + f". LTTng-UST: {curve.lttng()}.\n"
    theirs = curve.cost("lttng_ust")
    over = ratio(ours, theirs)
    return text + f""", LTTng-UST's tracepoint {number(theirs.median)} [{number(theirs.low)}, {number(theirs.high)}] ns: **{times(over)}**.
By turns in one process on one processor, both clocks `CLOCK_MONOTONIC`, 1 MiB for each CPU. LTTng's daemon empties its buffers on the other
processor and nothing was discarded; our ring has a reader that is done with everything, so that giving room back is paid for.
"""


def section(curve, directory):
    if not curve.of("cell"):
        return ""
    ring = curve.shown_ring()
    curve_plots.draw_all(curve, ring, directory)
    before = max(line["load"] for line in curve.of("context"))
    after = max((line["load"] for line in curve.of("end")), default=before)
    absent = f"\nLTTng-UST did not take part: {curve.lttng()}.\n" if curve.lttng() else ""
    tables = "\n\n".join(share_table(curve, ring, consumer) for consumer in CONSUMERS)
    drops = ""
    if curve_plots.timelines(curve):
        drops = picture("drops", "what waits in the ring, the consumer's stalls and the intervals of drops") + "\n"
    bursts = ""
    if curve.of("shape"):
        bursts = f"""
### Bursts as recorded

The load rises and falls as in a recording, in as many steps as that has of 100 ms, compressed to {curve.of("shape")[0]["length"] / 1e6:.0f} ms; the consumer runs.
*causality* is the project's own; the others are recordings of Windows machines. Where a peak is more than the generator can make, the rest of it comes late.

{burst_table(curve)}
"""
    return f"""## Drop rate against offered load

An open loop: events of 64 bytes are due at times that are fixed beforehand, and wait for nobody; what the generator could not make in time
it makes late, and what was due behind the end of a run is not made. Tables say what was reached ("at 12.3" million a second)
where that is less than 98 % of what was asked. One generator, on one of this machine's processors; the consumer on the other. Runs of
{curve.of("cell")[0]["length"] / 1e6:.0f} ms. *Slow* takes half of what was asked for, which can be more than is reached; a *stalled* consumer sleeps, LTTng's daemon is stopped by SIGSTOP (and cannot be slowed down).
All designs have the same memory for one CPU. Over the transports, generator, driver and simulated kernel are one process, the client another,
on the same two processors: the kernel's worker and the client share what the generator leaves. In process the merge's margin is 2 us, over transports the driver's 50 us.
Load average before, {before:.1f}, and after, {after:.1f}: a generator and a consumer that never rests make 2 of it, and what is more than
that was others' work on the same processors, which delays consumers and generator alike.
{absent}
{picture("drop_rate", "share of dropped events against offered events a second, by design and consumer")}

{tables}

The highest rate of this run up to which nothing was dropped, in none of a point's runs:

{rings_table(curve)}

### Drops under the consumer's gaps

{join_text(curve)}
{away_text(curve)}
{drops}
{bursts}
### From the callback to a client

{curve.of("latency")[0]["rate"] if curve.of("latency") else 0:,} events a second, at even gaps, to a client that sleeps in between. From the record's time until the client has the batch; and from the time when the
event was due, so that a generator that woke late shows, too.

{latency_table(curve)}

{picture("latency", "latency by percentile and transport")}

### Memory

Of one CPU, by what was asked for; and the events of 64 bytes that were counted until the first was refused, with nobody reading. Ours has, beside the ring, the spare
ring for critical events (64 KiB), pages for what each side publishes, and an apron for one record of 16 KiB behind each ring; an eighth of the ring is kept for critical events.

{memory_table(curve)}

### Cost against LTTng-UST

{cost_text(curve)}"""
