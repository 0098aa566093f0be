#!/usr/bin/env python3
"""The driver's own file, run under Wine: driver_test.py --directory WORK --sluice FILE --heartbeat FILE --load FILE --keep FILE --probe FILE
--fltmgr FILE --fltlib FILE [--tool FILE] [--only plain|substitutes]

Twice: in plain Wine, without a filter port; and with our substitutes for the parts of the kernel that Wine lacks
(kernel_port/wine/). Each result says what it proves; docs/wine.md says what none of them does.
"""
import argparse
import hashlib
import struct
import sys
import time
import traceback

from driver_client import *
from wine_prefix import Failure, Prefix, check

results = []


def say(what):
    print(what, flush=True)


def part(what, action, *arguments):
    """One result, in words. A failure does not stop the others, but the whole fails."""
    begin = time.monotonic()
    try:
        said = action(*arguments)
        results.append(True)
        say(f"ok      {what}{': ' + said if said else ''} ({time.monotonic() - begin:.1f} s)")
        return True
    except Exception as error:  # whatever it is, it is told, and the run is a failure
        results.append(False)
        say(f"FAILED  {what}: {error}")
        if not isinstance(error, Failure):
            traceback.print_exc(file=sys.stdout)
        return False


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


# --- What both kinds of run do ------------------------------------------------------------------------------------------

def bad_input(probe):
    device = Device(probe)
    device.control(control_code(0xABC, 1), status=STATUS_INVALID_DEVICE_REQUEST)
    device.control(CAPABILITIES, room=8, status=STATUS_BUFFER_TOO_SMALL)
    status, words = probe.ask(f"read {device.handle} 16")
    if status == STATUS_PENDING:
        status, _ = probe.ask(f"finish {words[0]} 60000")
    check(status == STATUS_BUFFER_TOO_SMALL, f"a short read gave {status:#x}")
    device.close()


def inverted_call(probe):
    """A read waits, ends by a flush, by a timeout, and by cancel."""
    device = Device(probe)
    device.read_until(lambda seen: any(kind == ANCHOR for kind, _, _ in seen))
    waiting = device.begin_read()
    device.control(FLUSH)
    check(isinstance(probe.finish(waiting), bytes), "a flush ends the read")
    check(device.read(50) == [], "nothing happened, and something came")
    waiting = device.begin_read()
    probe.must(f"cancel {device.handle}")
    probe.must(f"finish {waiting} 60000", STATUS_CANCELLED)
    device.close()


def killed_client(prefix, probe, executable):
    """Its requests are completed and its place is free again, though it never closed its handle."""
    victim = prefix.probe(executable)
    theirs = Device(victim)
    theirs.read_until(lambda seen: True)
    for _ in range(4):
        theirs.begin_read()
    ours = Device(probe)
    status, words = probe.ask(f"read {ours.handle} {READ_BYTES}")
    if status == STATUS_PENDING:
        status, _ = probe.ask(f"finish {words[0]} 60000")
    check(status == STATUS_SHARING_VIOLATION, f"a second reader got {status:#x}")
    victim.process.stdin.write(b"die\n")
    victim.process.stdin.flush()
    victim.process.wait(60)
    end = time.monotonic() + 60
    while True:
        status, words = probe.ask(f"read {ours.handle} {READ_BYTES}")
        if status in (0, STATUS_PENDING):
            status, _ = probe.ask(f"finish {words[0]} 20")
        if status in (0, STATUS_TIMEOUT):
            break
        check(status == STATUS_SHARING_VIOLATION and time.monotonic() < end, f"the dead client still holds the device: {status:#x}")
        time.sleep(0.05)
    ours.close()


def own_events(probe, by_dpc):
    """From a system thread and from a timer DPC: each event comes once and in order, or is told as dropped. Plain Wine may run one DPC on
    two threads at once, and has no exclusive CPUs: what its DPCs write can be in no order (heartbeat.sys is seen to emit there)."""
    device, load = Device(probe), Load(probe)
    count = 20000
    load.order(Load.THREAD, burst=50, count=count, pause=1)
    seen = device.read_until(lambda seen: load.figures()["threads_done"] == 1)
    seen += device.read_until(lambda more: accounted(seen + more) == count, 60)
    mine = [sequence for source, sequence in load_events(seen) if source == Load.THREAD]
    check(mine == sorted(set(mine)), "events of the thread are doubled or out of order")
    check(len(mine) == load.figures()["written"], "the driver wrote another number than came")

    if not by_dpc:
        device.statistics()
        load.close()
        device.close()
        return f"{len(mine)} events", None
    load.order(Load.TIMER, burst=7)
    seen = device.read_until(lambda seen: sum(source == Load.TIMER for source, _ in load_events(seen)) >= 70)
    load.order(Load.TIMER, burst=0)
    by_timer = [sequence for source, sequence in load_events(seen) if source == Load.TIMER]
    check(by_timer == list(range(len(by_timer))), "events of the timer DPC are missing, doubled or out of order")
    device.statistics()
    figures = load.figures()
    load.close()
    device.close()
    return f"{len(mine)} from the thread, {len(by_timer)} and more from the DPC", figures


def accounted(seen):
    return sum(1 for _ in load_events(seen)) + told_losses(seen)


def heartbeat(probe, files):
    with Service(probe, "heartbeat", files.heartbeat, Port=0):
        device = Device(probe)
        device.read_until(lambda seen: sum(kind >= FIRST_OWN_TYPE for kind, _, _ in seen) >= 5)
        device.close()


# --- Plain Wine ---------------------------------------------------------------------------------------------------------

def plain(prefix, files):
    with prefix.running():
        probe = prefix.probe(files.probe)
        try:
            plain_parts(prefix, probe, files)
        finally:
            probe.close()


def plain_capabilities(probe):
    device = Device(probe)
    told = device.capabilities()
    device.close()
    check(told["version"] == 2 and told["cpu_count"] >= 1 and told["clock_frequency"] > 0, f"capabilities: {told}")
    check(told["features"] & FEATURE_PORT == 0, "a port is told of, and the option Port is 0")
    return f"process, thread, image, registry registered as {[told[k] for k in ('process', 'thread', 'image', 'registry')]}, features {told['features']}"


def plain_mapping(probe):
    """Plain Wine cannot map pages of the kernel into a process: refused, and nothing is disturbed by it."""
    device = Device(probe)
    status, _ = probe.ask(f"control {device.handle} {MAP:x} 0200000000000000 4096 60000")
    check(status >> 30 == 3, f"a mapping gave {status:#x}")
    device.read_until(lambda seen: True)
    device.statistics()
    device.close()
    return f"refused with {status:#010x}"


def plain_parts(prefix, probe, files):
    say("Plain Wine, Port = 0: Wine's own kernel functions; the driver's file as it ships")
    service = Service(probe, "sluice", files.sluice, Port=0)
    if part("sluice.sys loads", service.start):
        part("capabilities tell what this kernel gave", plain_capabilities, probe)
        part("unknown codes and short buffers are refused with their statuses", bad_input, probe)
        part("inverted call: flush, timeout, cancel", inverted_call, probe)
        part("a client killed with reads pending leaves the device free", killed_client, prefix, probe, files.probe)
        part("mapping", plain_mapping, probe)
        part("it stops and unloads", service.stop)
        if part("it loads a second time", service.start):
            part("and unloads again", service.stop)
    probe.ask("remove sluice")
    part("heartbeat.sys: a driver of one's own loads, emits from a timer DPC, unloads", heartbeat, probe, files)

    def load():
        with Service(probe, "load", files.load, Port=0, RingBytes=4 << 20):
            part("events of a system thread come once and in order", lambda: own_events(probe, by_dpc=False)[0])
    part("load.sys loads and unloads", load)


# --- With the substitutes -----------------------------------------------------------------------------------------------

def substitutes(prefix, files):
    with prefix.running_with_substitutes(files.fltmgr, files.fltlib):
        probe = prefix.probe(files.probe)
        try:
            substitute_parts(prefix, probe, files)
        finally:
            probe.close()


def all_capabilities(probe):
    device = Device(probe)
    told = device.capabilities()
    device.close()
    check(told["features"] == FEATURE_MAPPING | FEATURE_PORT, f"features {told['features']}")
    check((told["process"], told["thread"], told["image"], told["registry"]) == (3, 1, 2, 2), f"registrations: {told}")


def injected(probe, injection):
    """One callback of each kind becomes one event; data that cannot be read is caught."""
    injection.watch_processes(False)
    device = Device(probe)
    device.read_until(lambda seen: True)
    key = "\\REGISTRY\\MACHINE\\SOFTWARE\\Sluice"
    wanted = []
    for kind, values in (
        ("process_create", {"path": "\\??\\C:\\a.exe", "text": "a.exe -x"}),
        ("thread_create", {"base": 0x77000000}),
        ("image_load", {"count": 3, "base": 0x10000, "base_step": 0x1000, "path": "\\Device\\HarddiskVolume1\\a.dll"}),
        ("registry_create_key", {"path": key}),
        ("registry_set_value", {"path": key, "text": "v", "data": b"1234"}),
        ("registry_set_value", {"path": key, "text": "unreadable", "flags": Injection.ADDRESS, "value": 0x10, "size": 64}),
        ("registry_delete_value", {"path": key, "text": "v"}),
        ("registry_rename_key", {"path": key, "text": "n"}),
        ("registry_delete_key", {"path": key}),
        ("thread_exit", {}),
        ("process_exit", {"status": 5}),
    ):
        count = values.get("count", 1)
        check(injection.inject(kind, **values) == count, f"{kind} was not raised {count} times")
        wanted += [kind] * count

    def mine(seen):  # a process of the prefix may just have ended when the watch was switched off
        return [kind for kind, payload, _ in seen if kind >= PROCESS_CREATE and
                (kind not in (PROCESS_CREATE, PROCESS_EXIT) or struct.unpack_from("<I", payload, 8)[0] == 1000)]
    seen = device.read_until(lambda seen: len(mine(seen)) >= len(wanted))
    # The stream's order is the order in which they happened.
    numbers = {"process_create": 8, "process_exit": 9, "thread_create": 10, "thread_exit": 11, "image_load": 12,
               "registry_create_key": 13, "registry_set_value": 15, "registry_delete_key": 16, "registry_delete_value": 17,
               "registry_rename_key": 18}
    got = mine(seen)
    check(got == [numbers[kind] for kind in wanted], f"events {got}")
    counted = injection.counters()
    check(counted["faults_caught"] > 0, "data that cannot be read did not fault")
    check(counted["dpcs_run"] == 0 or counted["irql_violations"] == 0, counted["last_violation"])
    device.statistics()
    device.close()
    return f"{len(got)} events, {counted['faults_caught']} faults caught in copies of user memory"


def on_each_cpu(probe, injection):
    """Virtual CPUs: an event is recorded on the ring of the CPU that its callback ran on."""
    device = Device(probe)
    device.read_until(lambda seen: True)
    cpus = injection.counters()["cpu_count"]
    for cpu in range(cpus):
        injection.inject("image_load", cpu=cpu, count=100, base=cpu << 32, base_step=16, path="\\x")
    seen = device.read_until(lambda seen: sum(kind == IMAGE_LOAD for kind, _, _ in seen) == 100 * cpus)
    for kind, payload, cpu in seen:
        if kind == IMAGE_LOAD:
            check(struct.unpack_from("<Q", payload, 16)[0] >> 32 == cpu, "an event lies in another CPU's ring")
    device.close()
    return f"{cpus} virtual CPUs"


def started_processes(prefix, probe, executable, injection):
    injection.watch_processes(True)
    device = Device(probe)
    device.read_until(lambda seen: True)
    started = prefix.probe(executable)  # it lives until its start has been seen
    try:
        pid = int(started.must("pid")[0])

        def of(kind, seen):
            return [payload for number, payload, _ in seen if number == kind and struct.unpack_from("<I", payload, 8)[0] == pid]
        seen = device.read_until(lambda seen: of(PROCESS_CREATE, seen))
        started.exit(7)
    finally:
        started.close()
    seen += device.read_until(lambda more: of(PROCESS_EXIT, seen + more))
    check(len(of(PROCESS_CREATE, seen)) == 1, "its start is told more than once")
    check(struct.unpack_from("<i", of(PROCESS_EXIT, seen)[0], 12)[0] == 7, "another exit status")
    device.close()
    injection.watch_processes(False)


def no_rule_broken(injection):
    counted = injection.counters()
    check(counted["irql_violations"] == 0 and counted["pool_violations"] == 0, f"a rule was broken: {counted['last_violation']}")
    return f"{counted['dpcs_run']} DPCs ran at DISPATCH_LEVEL"


def planted(injection, load):
    """The rules are really watched: each bug that load.sys has on order is counted, once."""
    for which, counter in ((Load.BREAK_WAIT, "irql_violations"), (Load.BREAK_LEVEL, "irql_violations"),
                           (Load.BREAK_POOL, "pool_violations")):
        before = injection.counters()[counter]
        load.order(Load.BREAK, count=which)
        now = injection.counters()
        check(now[counter] == before + 1, f"a planted bug was not seen: {which}")
        say(f"        planted, and told: {now['last_violation']}")


def at_dispatch_level(probe):
    said, figures = own_events(probe, by_dpc=True)
    check(figures["at_dispatch_level"] > 0, "the timer DPC did not run at DISPATCH_LEVEL")
    return said


def substitute_parts(prefix, probe, files):
    say("Wine with the substitutes: the same file, byte for byte; DPCs, virtual CPUs, IRQL rules, ports and callbacks are ours")
    Service(probe, "keep", files.keep).start()
    service = Service(probe, "sluice", files.sluice)
    if not part("sluice.sys loads", service.start):
        return
    injection = Injection(probe)
    part("capabilities: every callback, mapping and port", all_capabilities, probe)
    part("unknown codes and short buffers are refused with their statuses", bad_input, probe)
    part("inverted call: flush, timeout, cancel", inverted_call, probe)
    part("a client killed with reads pending leaves the device free", killed_client, prefix, probe, files.probe)
    part("callbacks of every kind become events, in order", injected, probe, injection)
    part("events stay on the virtual CPU where they happened", on_each_cpu, probe, injection)
    part("processes that this test starts are seen, with their exit status", started_processes, prefix, probe, files.probe, injection)
    part("no rule of the kernel was broken", no_rule_broken, injection)
    part("it stops and unloads", service.stop)

    def nothing_left():
        counted = injection.counters()
        left = {name: counted[name] for name in ("pool_blocks", "filters", "ports", "connections") if counted[name]}
        check(not left, f"left behind: {left}")
    part("nothing is left behind: pool, filter, port, connections", nothing_left)
    probe.ask("remove sluice")

    def load():
        with Service(probe, "load", files.load, RingBytes=4 << 20):
            orders = Load(probe)
            part("events of a system thread and a timer DPC come once and in order", at_dispatch_level, probe)
            part("no rule of the kernel was broken", no_rule_broken, injection)
            part("rules are watched: planted bugs", planted, injection, orders)
            orders.close()
    part("load.sys loads and unloads", load)


def main():
    parser = argparse.ArgumentParser()
    for name in ("directory", "sluice", "heartbeat", "load", "keep", "probe", "fltmgr", "fltlib"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--tool")
    parser.add_argument("--only", choices=("plain", "substitutes"))
    files = parser.parse_args()

    prefix = Prefix(files.directory)
    built = digest(files.sluice)
    for name, run in (("plain", plain), ("substitutes", substitutes)):
        if files.only not in (None, name):
            continue
        part(f"the {name} run", run, prefix, files)
        part("sluice.sys is the file that was built, byte for byte", lambda: check(digest(files.sluice) == built, "it has changed"))
    say(f"sluice.sys {built}")
    say("What this proves: the shipped file runs against Wine's and our reading of the documentation (docs/wine.md). Not: that "
        "Windows loads it, paging, preemption, access control, signing, speed.")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
