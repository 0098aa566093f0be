"""Writes a first corpus for the fuzzers that begin with a script or a structure of ours: make_corpus.py DIRECTORY

Always the same bytes. What fuzzing has added stands beside them: docs/fuzzing.md."""
import pathlib
import random
import struct
import sys

BATCH = 0x42434C53
FILTER = 0x4C464C53
FREQUENCY = 10_000_000


def text(payload, at, words):
    """The field at `at` describes the words, which are put behind."""
    encoded = words.encode("utf-16-le")
    payload[at:at + 8] = struct.pack("<HHHH", len(payload), len(encoded), len(encoded), 0)
    payload += encoded


def process_create():
    payload = bytearray(struct.pack("<IIIIIIQII8x8x", 10, 11, 42, 7, 10, 11, 0x1122334455667788, 1, 0))
    text(payload, 40, "\\Device\\a.exe")
    text(payload, 48, "a.exe -x")
    return bytes(payload)


def declaration(kind, size):
    name = lambda words: words.encode().ljust(32, b"\0")
    return struct.pack("<HBBI32s", 40, 1, 0, 1, name("request")) + struct.pack("<32sHHB3x", name("id"), 0, size, kind)


def records():
    loss = struct.pack("<QQQQII", 100, 200, 128, 2, 1, 0) + struct.pack("<HHIQ", 8, 0, 0, 2)
    yield 8, process_create(), 0
    yield 9, struct.pack("<IIIiQII", 10, 11, 42, -1, 5, 1, 0), 0
    yield 10, struct.pack("<IIIIIIQII", 10, 11, 42, 43, 10, 11, 0x7FFF00001000, 1, 0), 1
    image = bytearray(struct.pack("<IIIIQQBBHI8x", 10, 11, 42, 1, 0xFFFFF80000000000, 0x2000, 12, 1, 0, 0))
    text(image, 40, "\\x.dll")
    yield 12, bytes(image), 0
    key = bytearray(struct.pack("<IIiIII8x", 10, 11, 0, 0, 1, 2))
    text(key, 24, "\\REGISTRY\\MACHINE")
    yield 13, bytes(key), 0
    value = bytearray(struct.pack("<IIiIII8x8x", 10, 11, 0, 0, 4, 0)) + struct.pack("<IIII", 0, 0, 0, 0)
    text(value, 24, "\\REGISTRY\\MACHINE")
    text(value, 32, "Start")
    yield 15, bytes(value), 0
    renamed = bytearray(struct.pack("<IIiI8x8x", 10, 11, 0, 0))
    text(renamed, 16, "\\REGISTRY\\A")
    text(renamed, 24, "B")
    yield 18, bytes(renamed), 0
    for flags in (0, 2, 8, 0x10):
        yield 1, loss, flags
    yield 2, struct.pack("<QQQ", 1, FREQUENCY, 133_000_000_000_000_000), 4
    yield 5, struct.pack("<IIQQ", 1, 0, 100, 50), 4
    yield 4, struct.pack("<QQQIHBBII", 8, 9, 10, 8, 1, 0, 0, 3, 4), 0
    yield 3, declaration(1, 4), 0
    yield 40, struct.pack("<I", 7), 0
    yield 41, b"unknown", 0


def batch(chosen):
    body, position = b"", 0
    for kind, payload, flags in chosen:
        length = 16 + len(payload)
        stride = (length + 7) // 8 * 8
        body += struct.pack("<IHBBQ", 16 + stride, 0, 0, flags, position)
        body += struct.pack("<IHBBQ", 3 << 28 | length, kind, 1, 0, 1000 + position) + payload + bytes(stride - length)
        position += stride
    return struct.pack("<IHHIIQQ", BATCH, 1, 32, 32 + len(body), len(chosen), 7, FREQUENCY) + body


def batches():
    for mode in (6, 15):
        for each in records():
            one = batch([each])
            yield bytes([mode]) + struct.pack("<H", 0) + struct.pack("<H", len(one)) + one
        for kind, size in ((1, 4), (2, 8), (3, 8), (4, 8), (5, 8)):
            said = declaration(kind, size)
            own = batch([(40, struct.pack("<HHHH", 8, 2, 2, 0) + b"ab", 0)])
            yield bytes([mode]) + struct.pack("<H", len(said)) + said + struct.pack("<H", len(own)) + own
        everything = batch(list(records()))
        yield bytes([mode]) + struct.pack("<H", 0) + struct.pack("<H", len(everything)) + everything


def filter_message(processes=(), images=(), keys=(), rates=(), window=0, process_rate=(0, 0)):
    tables, strings, tail = [], [], b""
    at = 128
    for entries in ([struct.pack("<II", *each) for each in processes], images, keys, [struct.pack("<HHIII", t, 0, r, b, 0) for t, r, b in rates]):
        tables.append((at if entries else 0, len(entries)))
        at += sum(8 if isinstance(each, str) else len(each) for each in entries)
    for entries in (processes, images, keys, rates):
        for each in entries:
            if entries is processes:
                tail += struct.pack("<II", *each)
            elif entries is rates:
                tail += struct.pack("<HHIII", each[0], 0, each[1], each[2], 0)
            else:
                encoded = each.encode("utf-16-le")
                tail += struct.pack("<IHH", at, len(encoded), 0)
                strings.append(encoded)
                at += len(encoded)
    types = (1 << 64) - 1
    header = struct.pack("<IHHIIQQQIIQII", FILTER, 1, 128, at, 0, types, types, 1 << 9 if window else 0, window, 0,
                         1 << 8 if process_rate[0] else 0, *process_rate)
    for where, count in tables:
        header += struct.pack("<II", where, count)
    return header.ljust(128, b"\0") + tail + b"".join(strings)


def filter_messages():
    for named in (0, 1):
        yield bytes([named]) + filter_message()
        yield bytes([named]) + filter_message(processes=[(42, 0), (43, 3)], window=1000)
        yield bytes([named]) + filter_message(images=["\\a\\b", "/c"], keys=["\\REGISTRY\\A"], process_rate=(10, 5))
        yield bytes([named]) + filter_message(rates=[(8, 100, 10), (40, 1, 1)])


def scripts(name, count, length):
    """No more than bytes: what they mean is up to the target, and a fuzzer finds its way from there."""
    source = random.Random(name)
    for i in range(count):
        yield bytes([i]) + bytes(source.choice((0, source.randrange(16), source.randrange(256))) for _ in range(length))


def main():
    to = pathlib.Path(sys.argv[1])
    corpora = {"batch": batches(), "filter_message": filter_messages(), "region": scripts("region", 8, 300), "claim": scripts("claim", 8, 400),
               "control": scripts("control", 32, 200), "wire": scripts("wire", 32, 100)}
    for name, inputs in corpora.items():
        directory = to / name
        directory.mkdir(parents=True, exist_ok=True)
        for i, each in enumerate(inputs):
            (directory / f"made_{i:02}").write_bytes(each)


if __name__ == "__main__":
    main()
