"""From one process to another: the section of docs/benchmarks.md and its targets."""
from markdown import number, shown, table, times
from results import ratio
from target import Target

WAYS = (("mapping", "shared mapping"), ("port", "filter communication port"), ("ioctl", "pended reads of the device"),
        ("socket_per_event", "a Unix-socket message per event"), ("textbook", "a locked list, asked for every 200 ms"))
TRANSPORTS = WAYS[:3]
# What wakes anybody while nothing happens: the worker's timer only while a reservation is open, a sender's look once a second
# while its client has a message to take. With nothing to do: nobody.
HOUSEKEEPING = 2  # context switches of both processes in a second that count as none: the measurement's own


def rate(results, way):
    return results.figure(f"transport/stream/{way}", "events/s").scaled(1e-6)


def latency(results, way, share):
    return results.figure(f"transport/latency/{way}", share)


def targets(results):
    if not results.has("transport/stream/mapping"):
        return
    for way, aim in (("mapping", 10), ("port", 2), ("ioctl", 2)):
        figure = rate(results, way)
        yield Target(f"{dict(WAYS)[way]}, across processes", f">= {aim} M events/s", shown(figure), figure.median >= aim,
                     f"A message per event through a Unix socket: {shown(rate(results, 'socket_per_event'))} M events/s.")
    for share, aim in (("p50", 100), ("p99", 2000)):
        figure = latency(results, "mapping", share)
        yield Target(f"callback to a sleeping client, mapping, 10,000 events/s, {share}", f"<= {aim} us", shown(figure),
                     figure.median <= aim, f"A message per event through a Unix socket: "
                     f"{shown(latency(results, 'socket_per_event', share))} us.")
    for way, name in TRANSPORTS:
        figures = results.benchmarks[f"transport/idle/{way}"]
        switches = max(figures["client"]) + max(figures["host"])
        seconds = figures["seconds"][0]
        yield Target(f"context switches of both processes while nothing happens, {name}, {number(seconds)} s",
                     f"<= {HOUSEKEEPING} a second", f"{switches:.0f}", switches <= HOUSEKEEPING * seconds)


def section(results):
    if not results.has("transport/stream/mapping"):
        return ""
    rows = []
    for way, name in WAYS:
        over = ratio(results.figure(f"transport/stream/{way}", "events/s"),
                     results.figure("transport/stream/socket_per_event", "events/s"))
        rows.append([name, shown(rate(results, way)), times(over)] +
                    [shown(latency(results, way, share)) for share in ("p50", "p99", "p99.9")])
    idle = [[name, number(max(results.benchmarks[f"transport/idle/{way}"]["client"])),
             number(max(results.benchmarks[f"transport/idle/{way}"]["host"])),
             number(results.benchmarks[f"transport/idle/{way}"]["seconds"][0])] for way, name in TRANSPORTS]
    return f"""## From one process to another

Two processes on all processors of this machine, nothing pinned: the simulated kernel with a driver that writes own events of
64 bytes, and a client. Between them are Unix sockets and shared memory of this Linux, not Windows: what a port or a device
costs there, nobody has measured. *Stream*: as fast as it goes; who makes the events waits while half a ring is not read, and nothing is
lost. *Latency*: 10,000 events a second, even gaps, to a client that sleeps in between; from the record's time to the moment when the client
has the batch in its hands, microseconds.

{table(["way", "million events/s", "against the socket", "p50, us", "p99, us", "p99.9, us"], rows)}

A client that waits while nothing happens (context switches of all threads, one run; the measurement's own are among them):

{table(["way", "of the client", "of the host", "in seconds"], idle)}
"""
