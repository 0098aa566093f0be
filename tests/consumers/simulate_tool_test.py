#!/usr/bin/env python3
"""sluice simulate: serves under its name, tells who cannot be served, and ends with an account that holds.

simulate_tool_test.py TOOL
"""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from waiting import limit, wait_for

tool = sys.argv[1]
directory = tempfile.TemporaryDirectory()
os.environ['SLUICE_RUNTIME_DIR'] = os.path.join(directory.name, 'run')

hello, answer, open_device, connect_port, read, control, get_message = 1, 2, 16, 17, 18, 19, 20
statistics, clients = 0x800c6404, 0x800c6420
image_load, first_own_type = 12, 32


class handle:
    """A connection, from docs/wire-format.md alone."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(limit)
        self.socket.connect(path)
        self.next_id = 1
        self.send(hello, 0, struct.pack('<II', 0x48434c53, 1))
        kind, _, body = self.receive()
        magic, version, status, page = struct.unpack('<IIiI', body)
        assert (kind, magic, version, status, page) == (hello, 0x48434c53, 1, 0, 4096)

    def send(self, kind, id, body):
        self.socket.sendall(struct.pack('<IHHQ', len(body), kind, 0, id) + body)

    def take(self, count):
        data = b''
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        length, kind, flags, id = struct.unpack('<IHHQ', self.take(16))
        assert flags == 0
        return kind, id, self.take(length)

    def call(self, kind, body):
        id, self.next_id = self.next_id, self.next_id + 1
        self.send(kind, id, body)
        answered, to, body = self.receive()
        assert (answered, to) == (answer, id)
        return struct.unpack('<iI', body[:8])[0], body[8:]

    def batches(self, kind, header):
        """Until the host closes the handle."""
        try:
            while True:
                status, body = self.call(kind, struct.pack('<I', header + 65536))
                if status:
                    return
                yield body[header:]
        except (EOFError, ConnectionResetError, BrokenPipeError):  # before its answer, or before it was asked
            pass

    def ask(self, code):
        status, rows = self.call(control, struct.pack('<II', code, 1 << 20))
        assert status == 0
        return rows

    def switched_off(self):
        return struct.unpack_from('<Q', self.ask(statistics), 32)[0]

    def waiting(self):
        """Records in the queue of the first client of the port."""
        return struct.unpack_from('<Q', self.ask(clients), 56 + 72)[0]

    def close(self):
        self.socket.close()


def types_of(batch):
    at, end = struct.unpack_from('<H', batch, 6)[0], struct.unpack_from('<I', batch, 8)[0]
    while at < end:
        yield struct.unpack_from('<H', batch, at + 20)[0]
        at += struct.unpack_from('<I', batch, at)[0]


class simulated:
    def __init__(self, *options):
        self.process = subprocess.Popen([tool, 'simulate', *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith('serving '), self.process.communicate()
        self.path = line[len('serving '):].rstrip('\n')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def end(self, how=signal.SIGINT):
        if how:
            self.process.send_signal(how)
        _, said = self.process.communicate(timeout=limit)
        return self.process.returncode, said


def refused(*options):
    done = subprocess.run([tool, 'simulate', *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit)
    assert done.returncode == 1 and done.stdout == '', done
    return done.stderr


def made(said):
    return int(said.split('made: ')[1].split(' own')[0].split(', ')[-1])


load = ('--source', 'synthetic', '--mix', 'own=1', '--cpus', '2')

# Clients come by the name's socket, read, and the load waits for them: nothing is dropped.
with simulated('web', *load, '--rate', 'max', '--lossless', '--ring-size', '64KiB', '--wait-for-client') as host:
    assert host.path == os.path.join(os.environ['SLUICE_RUNTIME_DIR'], 'web.socket')
    assert os.stat(os.environ['SLUICE_RUNTIME_DIR']).st_mode & 0o777 == 0o700
    assert 'served by another process' in refused('web', *load)
    client = handle(host.path)
    assert client.call(open_device, 'Nothing'.encode('utf-16-le'))[0] == struct.unpack('<i', struct.pack('<I', 0xc0000034))[0]
    assert client.call(open_device, 'Sluice'.encode('utf-16-le')) == (0, b'')
    received = 0
    while received < 20000:  # more than the rings hold
        status, batch = client.call(read, struct.pack('<I', 65536))
        assert status == 0
        received += struct.unpack_from('<I', batch, 12)[0]
    client.close()
    code, said = host.end()
    assert code == 0 and 'R3 holds' in said, said
    assert made(said) > 19000, said
    row = next(line.split() for line in said.splitlines() if line.startswith('synthetic '))
    assert row[1] == row[2] and row[4] == '0', said  # attempted, committed; dropped
    assert not os.path.exists(host.path)

# A path of its own; a socket that a dead host left is replaced; nothing is made before the first client is there.
path = os.path.join(directory.name, 'own.socket')
with simulated(path, *load, '--wait-for-client') as host:
    assert host.path == path
    host.process.kill()
    host.process.wait()
    assert os.path.exists(path)
with simulated(path, *load, '--wait-for-client') as host:
    code, said = host.end(signal.SIGTERM)
    assert code == 0 and made(said) == 0, said

# The time is over: whoever waits for an answer sees the end.
with simulated('short', *load, '--rate', '1000', '--for', '200ms') as host:
    client = handle(host.path)
    assert client.call(open_device, 'Sluice'.encode('utf-16-le'))[0] == 0
    for _ in client.batches(read, 0):
        pass
    code, said = host.end(None)
    assert code == 0 and 'R3 holds' in said, said

# Nothing is raised any more: a client of the port still gets what waits for it, not only what is in the rings.
with simulated('slow', *load, '--rate', '10000', '--lossless', '--wait-for-client') as host:
    client = handle(host.path)
    port = '\\SluicePort'.encode('utf-16-le')
    context = struct.pack('<IIQII32s', 0x50434c53, 2, 2**64 - 1, 0, 0, b'a slow one')
    assert client.call(connect_port, struct.pack('<H', len(port)) + port + context)[0] == 0
    asking = handle(host.path)
    assert asking.call(open_device, 'Sluice'.encode('utf-16-le'))[0] == 0
    wait_for('a hundred records that wait', lambda: asking.waiting() > 100)
    asking.close()
    host.process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # the host has everything it needs to end but this client
    received = sum(type >= first_own_type for batch in client.batches(get_message, 16) for type in types_of(batch))
    code, said = host.end(None)
    assert code == 0 and 'R3 holds' in said and 'not read by anybody' not in said, said
    assert received == made(said) > 0, (received, said)

# Types that were not asked for are off in the driver, and their callbacks are counted so.
with simulated('types', *load, '--rate', '1000', '--types', 'process') as host:
    client = handle(host.path)
    assert client.call(open_device, 'Sluice'.encode('utf-16-le'))[0] == 0
    wait_for('an event of a type that is off', lambda: client.switched_off() != 0)
    client.close()
    code, said = host.end()
    assert code == 0 and 'R3 holds' in said, said
    assert f'met a type switched off: {made(said)};' in said and not re.search('^synthetic ', said, re.M), said
assert "'proces' is not an event type, is 'process' meant?" in refused('types', *load, '--types', 'proces')

# A replay without pauses waits for whoever reads: many times as much as the rings hold, and nothing is dropped.
events = 1000
recording = os.path.join(directory.name, 'recording')
with open(recording, 'w', encoding='ascii') as file:
    for time_of in range(events):
        file.write('{"t":%d,"type":"image_load","pid":8,"load":"%s"}\n' % (time_of, 'x' * 400))
replay = ('--source', 'replay:' + recording, '--speed', 'max', '--cpus', '2', '--ring-size', '64KiB', '--wait-for-client')
with simulated('replayed', *replay) as host:
    client = handle(host.path)
    assert client.call(open_device, 'Sluice'.encode('utf-16-le'))[0] == 0
    batches = client.batches(read, 0)
    taken = [next(batches)]
    time.sleep(0.3)  # long enough for all of it, if nobody waited
    taken += batches
    received = sum(type == image_load for batch in taken for type in types_of(batch))
    code, said = host.end(None)
    assert code == 0 and 'R3 holds' in said and 'not read by anybody' not in said, said
    row = next(line.split() for line in said.splitlines() if line.startswith('image '))
    assert received == events and row[1:6] == [str(events), str(events), '0', '0', '0'], (received, said)
    assert int(said.split('waited for the reader: ')[1].split()[0]) > 10, said

# What is damaged in a recording is said once, whether it is replayed or not.
damaged = os.path.join(directory.name, 'damaged')
with open(damaged, 'w', encoding='ascii') as file:
    file.write('{"t":1,"type":"image_load","pid":8,"load":"a"}\nnonsense\n')
with simulated('damaged', '--source', 'replay:' + damaged, '--speed', 'max', '--no-back-pressure') as host:
    code, said = host.end(None)
    assert code == 1 and said.count('damaged: line 2: ') == 1 and 'raised: 1 image_load;' in said, said
with simulated('damaged', '--source', 'replay:' + damaged, '--wait-for-client') as host:
    code, said = host.end(signal.SIGTERM)
    assert code == 1 and said.count('damaged: line 2: ') == 1, said

# A recording that is cut after it was looked through ends the run early: what came before is accounted for.
with simulated('cut', *replay) as host:
    os.truncate(recording, os.path.getsize(recording) // 2)
    client = handle(host.path)
    assert client.call(open_device, 'Sluice'.encode('utf-16-le'))[0] == 0
    received = sum(type == image_load for batch in client.batches(read, 0) for type in types_of(batch))
    code, said = host.end(None)
    assert code == 1 and 'R3 holds' in said and 0 < received < events, (received, said)
    assert re.search(f'^sluice: the run ended early: .*recording: {events} events when it was looked through, only {received} now$', said, re.M), said

assert 'no name of a machine' in refused('a b', *load)
assert 'has no machine behind it' in refused('web', '--source', 'file:nothing')
assert 'needs --source synthetic' in refused('web', '--source', 'live', '--lossless')
assert refused(os.path.join(directory.name, 'no', 'such', 'directory'), *load) != ''
