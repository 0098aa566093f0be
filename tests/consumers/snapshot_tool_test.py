#!/usr/bin/env python3
"""The tool and snapshots: the rings of a machine under load, written to files while it goes on, and read again.

snapshot_tool_test.py TOOL
"""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile

from waiting import limit, wait_for

tool = sys.argv[1]
cpus = 3


class running:
    """The tool on synthetic load of own events only, which every producer numbers from 0."""

    def __init__(self, directory, command, **options):
        self.printed, self.said = os.path.join(directory, 'printed'), os.path.join(directory, 'said')
        with open(self.printed, 'wb') as out, open(self.said, 'wb') as messages:
            self.process = subprocess.Popen([tool, *command, '--source', 'synthetic', '--mix', 'own=1', '--rate', '30000', '--cpus', str(cpus),
                                             '--ring-size', '64KiB', '--duration', 'forever'],
                                            stdout=options.pop('stdout', out), stderr=messages, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def messages(self):
        with open(self.said) as file:
            return file.read()

    def has_printed(self):
        assert self.process.poll() is None, self.messages()
        return os.path.getsize(self.printed) != 0

    def ask(self):
        self.process.send_signal(signal.SIGUSR1)

    def wait_for_file(self, name):
        wait_for(name, lambda: os.path.exists(name) or self.process.poll() is not None)
        assert self.process.poll() is None, self.messages()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(limit)


def sequences(lines):
    found = {}
    for event in lines:
        if event['type'] == 'synthetic':
            found.setdefault(event['fields']['producer'], []).append(event['fields']['sequence'])
    return found


def read_snapshot(path, mode):
    """Its events: whole, in order, each producer's without a gap but for what is announced."""
    read = subprocess.run([tool, 'watch', '--source', 'image:' + path, '--format', 'jsonl'], capture_output=True, text=True, timeout=limit)
    assert read.returncode == 0, (read.returncode, read.stderr)
    stats = subprocess.run([tool, 'stats', path, '--format', 'jsonl'], capture_output=True, text=True, timeout=limit)
    assert stats.returncode == 0, (stats.returncode, stats.stderr)
    about, *rings = [json.loads(line) for line in stats.stdout.splitlines()]
    events = [json.loads(line) for line in read.stdout.splitlines()]
    assert about['rings'] == about['rings_expected'] == 2 * cpus and about['own_types'] == 1 and about['damaged_bytes'] == 0, about
    order = [(event['time'], event['cpu'], event['lane'], event['position']) for event in events if not event.get('since_load')]
    assert order == sorted(order), 'not in the order of time, CPU, lane, position'
    assert all(ring['mode'] == mode for ring in rings), rings
    lost_on = {event['cpu'] for event in events if event['type'] == 'loss'}
    found = sequences(events)
    for producer, numbers in found.items():
        if producer in lost_on:  # one producer a CPU, with its number
            continue
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), f'producer {producer}: a gap'
        if mode == 'overwrite':
            main = next(ring for ring in rings if ring['cpu'] == producer and ring['lane'] == 0)
            assert main['overwritten'] == numbers[0], (main, numbers[0])
    return found


def flight_recorder(directory):
    path = os.path.join(directory, 'snapshot')
    with running(directory, ['watch', '--mode', 'overwrite', '--format', 'jsonl', '--snapshot', path]) as watched:
        wait_for('the first event', watched.has_printed)
        for name in (path, path + '.2'):
            watched.ask()
            watched.wait_for_file(name)
        code = watched.end()
        said = watched.messages()
    assert code == 0, (code, said)
    first, second, last = (read_snapshot(name, 'overwrite') for name in (path, path + '.2', path + '.3'))
    for producer in first:
        assert first[producer][-1] <= second[producer][-1] <= last[producer][-1]
    with open(watched.printed) as file:
        printed = sequences(json.loads(line) for line in file)
    for producer, numbers in printed.items():
        assert last[producer][-1] == numbers[-1], 'the newest events are in the last snapshot'
    assert said.count('snapshot in ' + path) == 3, said
    assert sorted(os.listdir(directory)) == ['printed', 'said', 'snapshot', 'snapshot.2', 'snapshot.3'], os.listdir(directory)
    return sum(len(numbers) for numbers in last.values())


def while_recording(directory):
    path, recording = os.path.join(directory, 'snapshot'), os.path.join(directory, 'recording')
    with running(directory, ['record', recording, '--snapshot', path]) as recorded:
        wait_for('the recording', lambda: os.path.exists(recording))
        wait_for('the title', lambda: 'snapshots of the rings' in recorded.messages())
        recorded.ask()
        recorded.wait_for_file(path)
        code = recorded.end()
    assert code == 0, (code, recorded.messages())
    read_snapshot(path, 'discard')
    read_snapshot(path + '.2', 'discard')


def full_disk(directory):
    """A limit on the size of files stands for it: the write fails in the same place, with another reason."""

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    path = os.path.join(directory, 'snapshot')
    with running(directory, ['watch', '--mode', 'overwrite', '--snapshot', path], preexec_fn=limited,
                 stdout=subprocess.DEVNULL) as watched:
        wait_for('the title', lambda: 'snapshots of the rings' in watched.messages())
        watched.ask()
        wait_for('the error', lambda: 'no snapshot was written' in watched.messages())
        assert watched.process.poll() is None, 'the watch goes on'
        code = watched.end()
        said = watched.messages()
    assert code == 1, (code, said)
    assert f'no snapshot was written: {path}: File too large; everything else goes on' in said, said
    assert 'VIOLATED' not in said and sorted(os.listdir(directory)) == ['printed', 'said'], (said, os.listdir(directory))


def refused(directory):
    there = os.path.join(directory, 'there')
    open(there, 'w').close()
    for pattern, arguments in (('File exists', ['--source', 'synthetic', '--snapshot', there]),
                               ('No such file', ['--source', 'synthetic', '--snapshot', '/nonexistent/file']),
                               ('no driver behind it', ['--source', 'image:x', '--snapshot', 'y']),
                               ('no driver behind it', ['--source', 'file:x', '--snapshot', 'y'])):
        done = subprocess.run([tool, 'watch', *arguments], capture_output=True, text=True, timeout=limit)
        assert done.returncode == 1 and pattern in done.stderr, (arguments, done)
    assert os.path.getsize(there) == 0 and os.listdir(directory) == ['there']


def main():
    for part in (refused, flight_recorder, while_recording, full_disk):
        with tempfile.TemporaryDirectory() as directory:
            got = part(directory)
        print(f"{part.__name__}: as expected{'' if got is None else f', {got} events'}")


main()
