#!/usr/bin/env python3
"""replay_check.py TOOL RECORDING [--cpus N] [--ring-size SIZE] [--flood] [--hosts N]

Replays a recording through the tool and compares what it delivers with the file, read here by other code: the repair
rules of docs/replay.md are written down once more below, plainly and in memory.

  - the multiset of events, field by field for what the file has
  - the order of the stream: (time, cpu) never decreases
  - causality: for every process, the events that concern it come in the repaired order of the file; nothing else is known
    to be ordered
With --flood the rings are too small: then what is missing must be announced, by type, and where it is missing.
Exit code 77: the recording is not there.
"""
import argparse
import collections
import gzip
import json
import os
import subprocess
import sys

HOST_SHIFT = 26
DATA_TYPES = {'dword': 'REG_DWORD', 'qword': 'REG_QWORD', 'string': 'REG_SZ', 'binary': 'REG_BINARY', 'empty': 'REG_NONE', 'unknown': 'REG_NONE'}


def load(path):
    with open(path, 'rb') as file:
        start = file.read(2)
    opened = gzip.open(path) if start == b'\x1f\x8b' else open(path, 'rb')
    events = []
    for line in opened:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        event['line'] = len(events)
        events.append(event)
    return events


def repaired(events):
    """docs/replay.md: per (host, guid) creations first, nothing after the last exit; then by time."""
    segment, newest = 0, 0
    spans = {}
    for event in events:
        if event['t'] + 600_000_000 < newest:
            segment, newest = segment + 1, event['t']
        newest = max(newest, event['t'])
        event['segment'] = segment
        event['process'] = (segment, event.get('host', ''), event.get('guid', ''))
        event['known'] = bool(event.get('guid', '').strip('0-{}'))
        if event['known']:
            span = spans.setdefault(event['process'], [event['t'], None])
            span[0] = min(span[0], event['t'])
            if event['type'] == 'process_exit':
                span[1] = max(span[1] or 0, event['t'])
    for event in events:
        event['when'] = event['t']
        if event['known']:
            first, last = spans[event['process']]
            if event['type'] == 'process_create':
                event['when'] = first
            if last is not None:
                event['when'] = min(event['when'], last)
    rank = {'process_create': 0, 'process_exit': 2}
    return sorted(events, key=lambda e: (e['segment'], e['when'], rank.get(e['type'], 1), e['line']))


def value_of(event):
    data, kind = event.get('data', ''), event['dtype']
    if kind == 'dword':
        return int(data[7:-1], 16).to_bytes(4, 'little').hex()
    if kind == 'qword':
        high, low = data[7:-1].split('-')
        return (int(high, 16) << 32 | int(low, 16)).to_bytes(8, 'little').hex()
    return (data + '\0').encode('utf-16-le', 'surrogatepass').hex() if kind == 'string' else ''


def bounded(data):
    """The driver keeps 4096 bytes of a value's data, and its length."""
    return data[:2 * 4096], len(data) // 2


def expected(event, hosts):
    """What must be delivered: (type, fields), and the processes that it concerns."""
    base = hosts.index(event.get('host', '')) << HOST_SHIFT
    kind = event['type']
    pid = base | event.get('pid', 4)
    if kind == 'process_create':
        parent = base | event['ppid']
        return ('process_create', pid, parent, parent, event.get('image'), event.get('cmd')), {pid, parent}
    if kind == 'process_exit':
        return ('process_exit', pid, pid), {pid}
    if kind == 'driver_load':
        return ('image_load', 0, base | 4, event.get('load')), {base | 4}
    if kind == 'image_load':
        return ('image_load', pid, pid, event.get('load')), {pid}
    if kind == 'remote_thread':
        target, tid = base | event['tpid'], base | event['tid']
        return ('thread_create', target, tid, pid, int(event.get('start', '0'), 16)), {pid, target}
    if kind == 'registry_set_value':
        return (kind, pid, event['key_nt'], event.get('val', ''), DATA_TYPES[event['dtype']],
                *bounded(value_of(event))), {pid}
    if kind == 'registry_delete_value':
        return (kind, pid, event['key_nt'], event.get('val', '')), {pid}
    if kind == 'registry_rename':
        return ('registry_rename_key', pid, event['key_nt'], event['new_key_nt'].rpartition('\\')[2]), {pid}
    return (kind, pid, event['key_nt']), {pid}


def delivered(event):
    kind, context = event['type'], event['context_pid']
    if kind == 'process_create':
        fields = (kind, event['pid'], event['parent_pid'], context, event['image_path'], event['command_line'])
        return fields, {event['pid'], context}
    if kind == 'process_exit':
        return (kind, event['pid'], context), {event['pid']}
    if kind == 'image_load':
        return (kind, event['pid'], context, event['path']), {context}
    if kind == 'thread_create':
        return (kind, event['pid'], event['tid'], context, int(event['start_address'], 16)), {context, event['pid']}
    if kind == 'registry_set_value':
        return (kind, context, event['key_path'], event['value_name'], event['value_type'], event['data'],
                event.get('data_size', len(event['data']) // 2)), {context}
    if kind == 'registry_delete_value':
        return (kind, context, event['key_path'], event['value_name']), {context}
    if kind == 'registry_rename_key':
        return (kind, context, event['key_path'], event['new_name']), {context}
    return (kind, context, event['key_path']), {context}


def sequences(items):
    by_process = collections.defaultdict(list)
    for index, (fields, processes) in enumerate(items):
        for process in processes:
            by_process[process].append((fields, index))
    return by_process


def check_complete(wanted, got):
    missing = collections.Counter(f for f, _ in wanted) - collections.Counter(f for f, _ in got)
    surplus = collections.Counter(f for f, _ in got) - collections.Counter(f for f, _ in wanted)
    for what, counter in (('missing', missing), ('never recorded', surplus)):
        for fields, count in counter.most_common(5):
            yield f'{what} {count} times: {fields}'
    if missing or surplus:
        return
    theirs = sequences(got)
    for process, sequence in sequences(wanted).items():
        order = [fields for fields, _ in sequence]
        came = [fields for fields, _ in theirs[process]]
        if order != came:
            at = next(i for i, (a, b) in enumerate(zip(order, came)) if a != b)
            yield f'process {process}: event {at} of {len(order)} should be {order[at]}, is {came[at]}'


def check_losses(wanted, got, lines, losses):
    """What is missing was announced: as many of each type, and while it was missing."""
    lost = collections.Counter(f[0] for f, _ in wanted) - collections.Counter(f[0] for f, _ in got)
    announced = collections.Counter()
    for loss in losses:
        for entry in loss['dropped']:
            announced[entry['type']] += entry['events']
    if +lost != +announced:
        yield f'missing {dict(lost)}, announced {dict(announced)}'
    if not lost:
        yield 'nothing was lost: the rings were not small enough for this check'
    theirs = sequences(got)
    for process, sequence in sequences(wanted).items():
        came = theirs[process]
        position = 0
        for fields, _ in sequence:
            position += position < len(came) and came[position][0] == fields
        if position != len(came):
            yield f'process {process}: {came[position][0]} is not in its place'
        # Where events repeat, nobody can say which of them is missing.
        often = collections.Counter(fields for fields, _ in sequence)
        times = {fields: lines[index]['time'] for fields, index in came if often[fields] == 1}
        before, absent = '', None
        for fields, _ in sequence:
            if often[fields] != 1:
                continue
            if fields not in times:
                absent = absent or fields
                continue
            after = times[fields]
            if absent and not any(l['first_time'] <= after and before <= l['last_time'] for l in losses):
                yield f'process {process}: {absent} is missing, and no loss was announced between {before} and {after}'
            before, absent = after, None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('tool')
    parser.add_argument('recording')
    parser.add_argument('--cpus', default='8')
    parser.add_argument('--ring-size', default='1MiB')
    parser.add_argument('--flood', action='store_true')
    parser.add_argument('--types', default='process,thread,image,registry')
    options = parser.parse_args()
    if not os.path.exists(options.recording):
        print(f'skipped: {options.recording} is not there')
        return 77

    command = [options.tool, 'watch', '--source', 'replay:' + options.recording, '--speed', 'max', '--format', 'jsonl',
               '--cpus', options.cpus, '--ring-size', options.ring_size, '--types', options.types]
    if options.flood:
        command.append('--no-back-pressure')
    run = subprocess.run(command, capture_output=True)
    said = run.stderr.decode()
    if run.returncode != 0 or 'R3 holds' not in said:
        print(said)
        print(f'the tool ended with {run.returncode}')
        return 1

    everything = [json.loads(line) for line in run.stdout.decode('utf-8').splitlines()]
    faults = []
    for a, b in zip(everything, everything[1:]):
        if not a.get('since_load') and not b.get('since_load') and (a['time'], a['cpu']) > (b['time'], b['cpu']):
            faults.append(f'out of order: {a} before {b}')
    lines = [e for e in everything if e['type'] not in ('anchor', 'loss')]
    losses = [e for e in everything if e['type'] == 'loss' and not e.get('since_load')]
    figures = [e for e in everything if e['type'] == 'loss' and e.get('since_load')]
    # The published figures of a CPU count since load: what its records have told already is part of them.
    told = collections.defaultdict(collections.Counter)
    for loss in losses:
        for entry in loss['dropped']:
            told[loss['cpu']][entry['type']] += entry['events']
    for loss in {f['cpu']: f for f in figures}.values():
        rest = {e['type']: e['events'] - told[loss['cpu']][e['type']] for e in loss['dropped']}
        losses.append(dict(loss, dropped=[{'type': t, 'events': n} for t, n in rest.items() if n > 0]))

    events = load(options.recording)
    hosts = list(dict.fromkeys(e.get('host', '') for e in events))
    wanted = [expected(e, hosts) for e in repaired(events)]
    if 'registry' not in options.types:
        wanted = [w for w in wanted if not w[0][0].startswith('registry')]
    got = [delivered(e) for e in lines]
    if options.flood:
        # Small rings have short records, which cut more of a value's data.
        wanted, got = ([((f[:5] + f[6:]) if f[0] == 'registry_set_value' else f, p) for f, p in side] for side in (wanted, got))
        faults += check_losses(wanted, got, lines, losses)
    else:
        faults += check_complete(wanted, got)
        if losses:
            faults.append(f'with back-pressure nothing is lost, but {len(losses)} losses were announced')
    for fault in faults[:20]:
        print(ascii(fault)[:400])
    cpus = len({e['cpu'] for e in lines})
    print(f'{len(wanted)} events, {len(got)} delivered on {cpus} CPUs, {len(losses)} losses announced, {len(faults)} faults')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
