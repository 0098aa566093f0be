#!/usr/bin/env python3
"""A client written from docs/wire-format.md alone, with nothing but Python: reads a machine's events over the port and over the device,
takes them apart, and checks its accounts. wire_client.py HOST, where HOST is tests/conformance/host.cpp, built."""
import collections
import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

HELLO, ANSWER = 1, 2
OPEN_DEVICE, CONNECT_PORT, READ, CONTROL, GET_MESSAGE, SEND, CANCEL, SET_INFORMATION = 16, 17, 18, 19, 20, 22, 23, 24
CAPABILITIES, STATISTICS, SET_TYPES, FLUSH, CLIENT_TYPES, CLIENT_ROW = (
    0x800C6400, 0x800C6404, 0x800CA408, 0x800C6410, 0x800CA424, 0x800C6434)
PROTOCOL = 2
IMAGE_LOAD = 12
LATE, FIGURES, STREAM, OVERWRITTEN, CLIENT_LOSS = 1, 2, 4, 8, 16

Record = collections.namedtuple("Record", "boot cpu lane position flags type version time payload")


def check(holds, what):
    if not holds:
        raise SystemExit(f"wire_client: {what}")


class Handle:
    """One connection: frames, requests by id, answers in any order."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.received = b""
        self.answers = {}
        self.next_id = 1
        self.frame(HELLO, 0, struct.pack("<II", 0x48434C53, 1))
        first, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 1)
        self.received = first
        kind, _, body = self.read_frame()
        magic, version, status, page_bytes = struct.unpack_from("<IIiI", body)
        check(kind == HELLO and magic == 0x48434C53 and version == 1, "this is not a hello")
        check(status == 0, f"refused: 0x{status & 0xffffffff:08x}")
        self.page = mmap.mmap(descriptors[0], page_bytes, prot=mmap.PROT_READ)
        for descriptor in descriptors:
            os.close(descriptor)

    def close(self):
        self.socket.close()

    def counter(self):
        while True:
            before, offset, stands_at = struct.unpack_from("<I4xQQ", self.page)
            after, = struct.unpack_from("<I", self.page)
            if before == after and before % 2 == 0:
                break
        return stands_at or (time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 100 + offset) % 2**64

    def frame(self, kind, request, body):
        self.socket.sendall(struct.pack("<IHHQ", len(body), kind, 0, request) + body)

    def read_frame(self):
        def need(count):
            while len(self.received) < count:
                more = self.socket.recv(1 << 20)
                check(more, "the connection ended")
                self.received += more

        need(16)
        length, kind, flags, request = struct.unpack_from("<IHHQ", self.received)
        check(flags == 0, "flags in a frame's header")
        need(16 + length)
        body = self.received[16 : 16 + length]
        self.received = self.received[16 + length :]
        return kind, request, body

    def ask(self, kind, body):
        request = self.next_id
        self.next_id += 1
        self.frame(kind, request, body)
        return request

    def answer(self, request):
        while request not in self.answers:
            kind, of, body = self.read_frame()
            check(kind == ANSWER, f"a frame of kind {kind}")
            status, = struct.unpack_from("<i", body)
            self.answers[of] = status & 0xFFFFFFFF, body[8:]
        return self.answers.pop(request)

    def call(self, kind, body):
        return self.answer(self.ask(kind, body))


class Device(Handle):
    def __init__(self, path):
        super().__init__(path)
        status, _ = self.call(OPEN_DEVICE, "Sluice".encode("utf-16-le"))
        check(status == 0, f"opening the device: 0x{status:08x}")

    def control(self, code, given=b"", capacity=65536, version=PROTOCOL):
        del version  # of the port's messages only
        return self.call(CONTROL, struct.pack("<II", code, capacity) + given)

    def begin_read(self):
        return self.ask(READ, struct.pack("<I", 65536))

    def end_read(self, request):
        status, batch = self.answer(request)
        check(status == 0, f"a read: 0x{status:08x}")
        return batch


class Port(Handle):
    def __init__(self, path, version=PROTOCOL, types=2**64 - 1):
        super().__init__(path)
        context = struct.pack("<IIQII32s", 0x50434C53, version, types, 0, 0, b"python")
        name = "\\SluicePort".encode("utf-16-le")
        self.status, _ = self.call(CONNECT_PORT, struct.pack("<H", len(name)) + name + context)

    def control(self, code, given=b"", capacity=65536, version=PROTOCOL):
        return self.call(SEND, struct.pack("<III", capacity, version, code) + given)

    def begin_read(self):
        return self.ask(GET_MESSAGE, struct.pack("<I", 16 + 65536))

    def end_read(self, request):
        status, message = self.answer(request)
        check(status == 0, f"a message: 0x{status:08x}")
        reply_bytes, _, _ = struct.unpack_from("<IIQ", message)
        check(reply_bytes == 0, "a reply is wanted")
        return message[16:]


def records_of(batch):
    magic, version, header_bytes, total_bytes, count, boot, frequency = struct.unpack_from("<IHHIIQQ", batch)
    check(magic == 0x42434C53 and version == 1 and total_bytes == len(batch), "this is not a batch")
    check(frequency == 10_000_000, f"{frequency} ticks per second")
    at, records = header_bytes, []
    while at < total_bytes:
        entry_bytes, cpu, lane, flags, position = struct.unpack_from("<IHBBQ", batch, at)
        state_and_length, kind, layout, _, when = struct.unpack_from("<IHBBQ", batch, at + 16)
        length = state_and_length & 0x0FFFFFFF
        check(state_and_length >> 28 == 3 and entry_bytes == 16 + (length + 7) // 8 * 8, "an entry contradicts its record")
        records.append(Record(boot, cpu, lane, position, flags, kind, layout, when, batch[at + 32 : at + 16 + length]))
        at += entry_bytes
    check(len(records) == count, "a batch has another count of records than it says")
    return records


def read_until_flushed(handle, port):
    """What is final now. The device answers a flush with the pending read: it is asked again until a batch has nothing."""
    records = []
    status, _ = handle.control(FLUSH)
    check(status == 0, f"a flush: 0x{status:08x}")
    while True:
        new = records_of(handle.end_read(handle.begin_read()))
        records += new
        if all(each.flags & FIGURES for each in new):
            return records
        if not port:
            check(handle.control(FLUSH)[0] == 0, "a flush was refused")


def statistics_of(handle):
    status, answer = handle.control(STATISTICS, capacity=1 << 20)
    check(status == 0, f"statistics: 0x{status:08x}")
    version, count, violations, late, overdue, switched_off = struct.unpack_from("<IIQQQQ", answer)
    check(version == PROTOCOL and len(answer) == 40 + 136 * count and violations == 0, "statistics contradict themselves")
    rows = {}
    for i in range(count):
        cpu, kind, _, *numbers = struct.unpack_from("<HHI16Q", answer, 40 + 136 * i)
        attempted, committed, discarded, opened = numbers[:4]
        dropped, filtered = numbers[4:8], numbers[9:16]
        check(attempted == committed + discarded + opened + sum(dropped) + sum(filtered), f"R3: type {kind} on cpu {cpu}")
        rows[cpu, kind] = committed, sum(dropped)
    return rows


def image_of(record):
    """base and path"""
    _, _, pid, _, base, _, _, _, _, _, offset, length, _, flags = struct.unpack_from("<IIIIQQBBHIHHHH", record.payload)
    check(flags == 0, "a path is cut")
    return base, record.payload[offset : offset + length].decode("utf-16-le")


def follow(handle, port, load, raised):
    before = handle.counter()
    load(0, 700)
    load(1, 300)
    raised += 1000
    records = read_until_flushed(handle, port)
    own = [each for each in records if not each.flags & (FIGURES | STREAM | OVERWRITTEN | CLIENT_LOSS)]
    identities = {(each.boot, each.cpu, each.lane, each.position) for each in own}
    check(len(identities) == len(own), "a record came twice")
    check(all(one.time <= two.time for one, two in zip(own, own[1:]) if not two.flags & LATE), "times go back")
    images = [image_of(each) for each in own if each.type == IMAGE_LOAD]
    check(sorted(base for base, _ in images) == list(range(raised - 999, raised + 1)), f"{len(images)} images came")
    check({path for _, path in images} == {"\\Device\\HarddiskVolume1\\Windows\\some.dll"}, "a path is another one")
    times = [each.time for each in own if each.type == IMAGE_LOAD]
    check(before <= times[0] <= times[-1] <= handle.counter(), "the counter of the page is not that of the records")
    return records, own, raised


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "machine.socket")
        host = subprocess.Popen([sys.argv[1], path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        check(host.stdout.readline() == "serving\n", "the host does not serve")

        def load(cpu, count):
            host.stdin.write(f"{cpu} {count}\n")
            host.stdin.flush()
            check(host.stdout.readline() == "ok\n", "the host does not answer")

        # The port: everything since the driver was loaded, and the accounts of both sides.
        port = Port(path)
        check(port.status == 0, f"connecting to the port: 0x{port.status:08x}")
        status, answer = port.control(CAPABILITIES)
        version, cpus, boot = struct.unpack_from("<IIQ", answer)
        check(status == 0 and len(answer) == 80 and version == PROTOCOL and cpus == 2, "capabilities")
        records, own, raised = follow(port, True, load, 0)
        check({each.boot for each in records} == {boot}, "another boot")
        received = collections.Counter((each.cpu, each.type) for each in own)
        rows = statistics_of(port)
        check({key: committed for key, (committed, _) in rows.items() if committed} == dict(received), "committed is not received")
        check(all(dropped == 0 for _, dropped in rows.values()), "something was dropped")
        status, row = port.control(CLIENT_ROW)
        name, types, pid, _, offered, delivered, lost, waiting, _, _ = struct.unpack("<32sQIIQQQQQQ", row)
        check(status == 0 and name.rstrip(b"\0") == b"python" and pid == os.getpid(), "the row of another client")
        check(offered == delivered + lost + waiting and delivered == len(own) and lost == 0, "the client's account")

        # Its choice of types; and what is refused.
        check(port.control(CLIENT_TYPES, struct.pack("<IIQ", PROTOCOL, 0, 0))[0] == 0, "choosing types")
        load(0, 10)
        raised += 10
        check(all(each.type != IMAGE_LOAD for each in read_until_flushed(port, True)), "a type that is not wanted")
        check(port.control(SET_TYPES, b"short")[0] == 0xC0000004, "a short message is taken")
        check(port.control(CAPABILITIES, version=PROTOCOL + 1)[0] == 0xC0000059, "another version is taken")
        check(port.control(0x800C67FC)[0] == 0xC0000010, "a code that does not exist is taken")
        check(Port(path, version=99).status == 0xC0000059, "a context of another version is taken")
        port.close()

        # The device: the same stream, by reads.
        device = Device(path)
        status, _ = device.call(SET_INFORMATION, struct.pack("<IQ", 20, 0))
        check(status == 0, f"setting the end of a device: 0x{status:08x}")
        check(device.control(CLIENT_ROW)[0] == 0xC0000010, "the device has rows of clients")
        read_until_flushed(device, False)
        _, _, raised = follow(device, False, load, raised)
        statistics_of(device)
        # A read that waits, and is taken back.
        while True:
            pending = device.begin_read()
            device.frame(CANCEL, 0, struct.pack("<Q", pending))
            status, _ = device.answer(pending)
            if status == 0xC0000120:
                break
            check(status == 0, f"a read that was cancelled: 0x{status:08x}")  # an anchor came before
        device.close()

        host.stdin.close()
        check(host.wait(timeout=120) == 0, "the host did not end well")
    print(f"{raised} images, over the port and over the device: every one came once, and the accounts agree")


if __name__ == "__main__":
    main()
