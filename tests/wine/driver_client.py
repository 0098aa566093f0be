"""What a test says to the driver, to load.sys and to the injection device: kernel_port/driver/protocol.h,
kernel_port/wine/load_control.h, kernel_port/wine/injection.h."""
import struct
import time

from wine_prefix import STATUS_PENDING, STATUS_TIMEOUT, check, path_in_wine

STATUS_CANCELLED = 0xC0000120
STATUS_INVALID_DEVICE_REQUEST = 0xC0000010
STATUS_BUFFER_TOO_SMALL = 0xC0000023
STATUS_NOT_SUPPORTED = 0xC00000BB
STATUS_SHARING_VIOLATION = 0xC0000043
STATUS_BUFFER_OVERFLOW = 0x80000005

READ_BYTES = 64 * 1024
FEATURE_MAPPING = 1
FEATURE_PORT = 2


def control_code(function, access):
    return 0x800C << 16 | access << 14 | function << 2


CAPABILITIES = control_code(0x900, 1)
STATISTICS = control_code(0x901, 1)
FLUSH = control_code(0x904, 1)
CLIENTS = control_code(0x908, 1)
MAP = control_code(0x911, 3)

LOSS, ANCHOR, DECLARATION = 1, 2, 3
PROCESS_CREATE, PROCESS_EXIT, THREAD_CREATE, THREAD_EXIT, IMAGE_LOAD, SET_VALUE = 8, 9, 10, 11, 12, 15
FIRST_OWN_TYPE = 32


class Device:
    """A handle to \\\\.\\Sluice."""

    def __init__(self, probe, name="Sluice"):
        self.probe = probe
        self.handle = probe.must(f"open {name}")[0]

    def close(self):
        self.probe.must(f"close {self.handle}")

    def control(self, code, message=b"", room=0, status=0, milliseconds=60000):
        return self.probe.control(self.handle, code, message, room, status, milliseconds)

    def capabilities(self):
        names = ("version cpu_count boot clock_frequency types ring_bytes critical_bytes max_record_bytes process thread image "
                 "registry anchor_counter anchor_utc clock_offset clock_epoch features").split()
        return dict(zip(names, struct.unpack_from("<IIQQQIII4BQQQII", self.control(CAPABILITIES, room=80))))

    def clients(self):
        """How many read."""
        return struct.unpack_from("<I", self.control(CLIENTS, room=64 * 1024), 4)[0]

    def begin_read(self, status=STATUS_PENDING):
        got, words = self.probe.ask(f"read {self.handle} {READ_BYTES}")
        check(got in (status, 0), f"a read gave {got:#x}, expected {status:#x}")
        return words[0]

    def read(self, milliseconds=60000):
        """Records of one batch; none if nothing came in time: then the read was cancelled."""
        status, words = self.probe.ask(f"finish {self.begin_read()} {milliseconds}")
        check(status in (0, STATUS_TIMEOUT), f"a read ended with {status:#x}")
        return [] if status == STATUS_TIMEOUT else list(records(bytes.fromhex(words[0])))

    def read_until(self, done, seconds=60):
        """All records until `done(records)`; fails after `seconds` without it."""
        seen, end = [], time.monotonic() + seconds
        while not done(seen):
            check(time.monotonic() < end, f"what was waited for did not come in {seconds} s; {len(seen)} records came")
            seen += self.read(1000)
        return seen

    def statistics(self):
        """Rows; each is checked to balance: attempted = committed + discarded + open + dropped + filtered."""
        raw = self.control(STATISTICS, room=256 * 1024)
        _, count, violations = struct.unpack_from("<IIQ", raw)
        check(violations == 0, f"{violations} refused claims of the consumer")
        check(len(raw) == 40 + count * 136, "statistics of another length")
        return [struct.unpack_from("<HHI16Q", raw, 40 + i * 136) for i in range(count)]


def records(batch):
    """(type, payload, cpu) of each record of a batch."""
    magic, _, at, _, count = struct.unpack_from("<IHHII", batch)
    check(magic == 0x42434C53, "not a batch")
    for _ in range(count):
        entry, cpu = struct.unpack_from("<IH", batch, at)
        state_and_length, kind = struct.unpack_from("<IH", batch, at + 16)
        yield kind, batch[at + 32 : at + 16 + (state_and_length & 0xFFFFFFF)], cpu
        at += entry


class Service:
    """A driver that is loaded from the built file itself."""

    def __init__(self, probe, name, image, **parameters):
        self.probe, self.name = probe, name
        probe.ask(f"remove {name}")  # of a run that was cut off
        probe.must(f"install {name} {path_in_wine(image)} Sluice")
        for key, value in parameters.items():
            probe.must(f"parameter {name} {key} {value}")

    def start(self):
        self.probe.must(f"start {self.name}")

    def stop(self):
        self.probe.must(f"stop {self.name}")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        status, _words = self.probe.ask(f"stop {self.name}")
        self.probe.ask(f"remove {self.name}")
        if kind is None:
            check(status == 0, f"the driver did not unload: error {status}")


# --- load.sys ---------------------------------------------------------------------------------------------------------

class Load:
    ORDER, FIGURES = 0x8001 << 16 | 0x960 << 2, 0x8001 << 16 | 0x961 << 2
    THREAD, TIMER, BREAK = 1, 2, 3
    BREAK_WAIT, BREAK_LEVEL, BREAK_POOL = 1, 2, 3

    def __init__(self, probe):
        self.device = Device(probe, "SluiceLoad")

    def order(self, what, burst=0, count=0, pause=0):
        self.device.control(self.ORDER, struct.pack("<IIIIQ", what, burst, pause, 0, count))

    def figures(self):
        return dict(zip(("written", "dropped", "at_dispatch_level", "threads_done"),
                        struct.unpack_from("<qqqi", self.device.control(self.FIGURES, room=32))))

    def close(self):
        self.device.close()


def load_events(seen):
    """(source, sequence) of load.sys' events, each checked."""
    for kind, payload, _ in seen:
        if kind < FIRST_OWN_TYPE:
            continue
        sequence, source, mark = struct.unpack_from("<QQQ", payload)
        check(mark == (sequence * 0x9E3779B97F4A7C15 & (1 << 64) - 1) ^ source, "an event of load.sys is damaged")
        yield source, sequence


def told_losses(seen):
    """Events that LOSS records announce: loss_payload's count (pipeline/loss.h)."""
    return sum(loss_events(payload) for kind, payload, _ in seen if kind == LOSS)


def loss_events(payload):
    return struct.unpack_from("<Q", payload, LOSS_EVENTS_AT)[0]


LOSS_EVENTS_AT = 24


# --- The injection device ----------------------------------------------------------------------------------------------

class Injection:
    RAISE, COUNTERS, WATCH = (0x8001 << 16 | function << 2 for function in (0x940, 0x941, 0x942))
    KINDS = ("process_create process_exit thread_create thread_exit image_load registry_create_key registry_open_key "
             "registry_set_value registry_delete_key registry_delete_value registry_rename_key").split()
    ADDRESS = 4

    def __init__(self, probe):
        self.device = Device(probe, "SluiceInjection")

    def event(self, kind, flags=0, count=1, cpu=0xFFFFFFFF, current_pid=4, current_tid=8, pid=1000, tid=1004, parent_pid=4,
              status=0, base=0, base_step=0, size=0, value=0, value_type=1, path="", text="", data=b""):
        path, text = path.encode("utf-16le"), text.encode("utf-16le")
        head = struct.pack("<12I4Q4I", 1, 96 + len(path) + len(text) + len(data), self.KINDS.index(kind), flags, count, cpu,
                           current_pid, current_tid, pid, tid, parent_pid, status, base, base_step, size, value, value_type,
                           len(path), len(text), len(data))
        return head + path + text + data

    def inject(self, kind, **values):
        """Callbacks that were raised."""
        _, raised, refused, _ = struct.unpack("<4I", self.device.control(self.RAISE, self.event(kind, **values), 16))
        check(refused == 0, f"{refused} callbacks refused")
        return raised

    def counters(self):
        raw = self.device.control(self.COUNTERS, room=8 + 88 + 40 + 16 + 128)
        values = struct.unpack_from("<II11Q5Q4I", raw)
        names = "irql_violations pool_violations dpcs_run faults_caught pool_blocks filters ports connections".split()
        return {"cpu_count": values[1], "raised": dict(zip(self.KINDS, values[2:13])), **dict(zip(names, values[13:21])),
                "last_violation": raw[-128:].decode("utf-16le").rstrip("\0")}

    def watch_processes(self, wanted):
        self.device.control(self.WATCH, struct.pack("<II", 1, int(wanted)))

    def close(self):
        self.device.close()
