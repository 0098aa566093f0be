#!/usr/bin/env python3
"""sluice simulate: serves under its name, tells who cannot be served, and ends with an account that holds.

simulate_tool_test.py TOOL
"""
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile

from waiting import limit

tool = sys.argv[1]
directory = tempfile.TemporaryDirectory()
os.environ['SLUICE_RUNTIME_DIR'] = os.path.join(directory.name, 'run')

hello, answer, open_device, read, control = 1, 2, 16, 18, 19


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

    def close(self):
        self.socket.close()


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
    try:
        while client.call(read, struct.pack('<I', 65536))[0] == 0:
            pass
        raise AssertionError('the host closed a handle with an answer')
    except (EOFError, ConnectionResetError, BrokenPipeError):  # before its answer, or before it was asked
        pass
    code, said = host.end(None)
    assert code == 0 and 'R3 holds' in said, said

assert 'no name of a machine' in refused('a b', *load)
assert 'has no machine behind it' in refused('web', '--source', 'file:nothing')
assert 'needs --source synthetic' in refused('web', '--source', 'live', '--lossless')
assert refused(os.path.join(directory.name, 'no', 'such', 'directory'), *load) != ''
