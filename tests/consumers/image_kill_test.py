"""A machine under load is killed with SIGKILL, at another moment each time; its memory file gives its last events.

image_kill_test.py TOOL DIRECTORY
"""
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

from waiting import limit, wait_for

tool, directory = sys.argv[1:]
rounds = 20
cpus = 4


def kill_under_load(memory, printed, moment, arguments):
    with open(printed, 'wb') as out:
        process = subprocess.Popen([tool, 'watch', '--source', 'synthetic', '--cpus', str(cpus), '--memory', memory,
                                    '--duration', 'forever', '--format', 'jsonl', *arguments],
                                   stdout=out, stderr=subprocess.PIPE)
        try:
            wait_for('the first event', lambda: os.path.getsize(printed) != 0 or process.poll() is not None)
            time.sleep(moment)
        finally:
            process.kill()
        said = process.communicate()[1].decode()
    assert process.returncode == -9, (process.returncode, said)


def read_image(memory):
    read = subprocess.run([tool, 'watch', '--source', 'image:' + memory, '--format', 'jsonl'], capture_output=True, text=True)
    assert read.returncode == 0, (read.returncode, read.stderr)
    stats = subprocess.run([tool, 'stats', memory, '--format', 'jsonl'], capture_output=True, text=True)
    assert stats.returncode == 0, (stats.returncode, stats.stderr)
    text = subprocess.run([tool, 'stats', memory], capture_output=True, text=True)
    assert text.returncode == 0 and re.search(r'^announced as lost: \d+; late: \d+$', text.stdout, re.M), (text.stdout, text.stderr)
    assert re.search(r'^0 +main +\d', text.stdout, re.M), text.stdout
    other = subprocess.run([tool, 'watch', '--source', 'image:' + memory, '--boot', '1'], capture_output=True, text=True)
    assert other.returncode == 1 and 'boot' in other.stderr and not other.stdout, (other.returncode, other.stderr)
    about, *rings = [json.loads(line) for line in stats.stdout.splitlines()]
    return [json.loads(line) for line in read.stdout.splitlines()], about, rings


def own_events(lines):
    """Sequence numbers of the load's own events, by producer: each producer counts its own from 0."""
    found = {}
    for event in lines:
        if event['type'] == 'synthetic':
            found.setdefault(event['fields']['producer'], []).append(event['fields']['sequence'])
    return found


def check(memory, kind='raw'):
    events, about, rings = read_image(memory)
    assert about['kind'] == kind and about['cpus'] == cpus and about['rings'] == about['rings_expected'] == 2 * cpus, about
    assert about['own_types'] == 1, about
    order = [(event['time'], event['cpu'], event['lane'], event['position']) for event in events if not event.get('since_load')]
    assert order == sorted(order), 'not in the order of time, CPU, lane, position'
    delivered = {}
    for _, cpu, lane, position in order:
        delivered.setdefault((cpu, lane), []).append(position)
    for ring in rings:
        positions = delivered.get((ring['cpu'], ring['lane']), [])
        assert len(positions) == ring['complete'], ring
        assert ring['damaged_bytes'] == 0 and not ring['faults'] and ring['out_of_order'] == 0, ring
        # Nothing of a ring is neither complete nor open: every place from its beginning to its end has its record.
        places = sorted(positions + [o['position'] for o in ring['open']])
        assert all(ring['begin'] <= place < ring['published'] for place in places), ring
        if not ring['discarded'] and places:
            assert places[0] == ring['begin'], ring
    return events, rings


def identity(event):
    return event['cpu'], event['lane'], event['position']


def check_nothing_is_missing(events, rings, printed, own_only):
    """What was printed before the death and what the image gives are, together, every event that was accepted."""
    with open(printed, 'rb') as file:
        text = file.read()
    lines = [json.loads(line) for line in text[:text.rfind(b'\n') + 1].splitlines()]
    # Where both tell of the same place, they tell the same.
    begins = {(ring['cpu'], ring['lane']): ring['begin'] for ring in rings}
    given = {identity(event): event for event in events}
    for line in lines:
        if not line.get('since_load') and line['position'] >= begins[line['cpu'], line['lane']]:
            assert given[identity(line)] == line, (line, given[identity(line)])

    # Where the load makes nothing but own events, each producer's are numbered without a gap.
    if not own_only:
        return 0
    dropped_on = {event['cpu'] for event in lines + events if event['type'] == 'loss'}
    before, after = own_events(lines), own_events(events)
    compared = 0
    for producer, sequences in after.items():
        if producer in dropped_on:  # one producer a CPU, with its number
            continue
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), f'producer {producer}: a gap in the image'
        known = set(before.get(producer, [])) | set(sequences)
        assert known == set(range(len(known))), f'producer {producer}: a gap between what was printed and the image'
        assert max(known) == sequences[-1], f'producer {producer}: what was printed last is not in the image'
        compared += 1
    return compared


def abort_under_load(place):
    """The core file that the kernel writes, or why there is none."""
    with open('/proc/sys/kernel/core_pattern') as file:
        pattern = file.read().strip()
    if pattern.startswith('|') or '/' in pattern:
        return None, f'core_pattern is {pattern!r}'
    os.mkdir(place)
    printed = os.path.join(place, 'printed')
    unlimited = lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    with open(printed, 'wb') as out:
        process = subprocess.Popen([os.path.abspath(tool), 'watch', '--source', 'synthetic', '--cpus', str(cpus), '--rate', '50000', '--mix', 'own=1',
                                    '--duration', 'forever', '--format', 'jsonl'],
                                   stdout=out, stderr=subprocess.DEVNULL, cwd=place, preexec_fn=unlimited)
        try:
            wait_for('the first event', lambda: os.path.getsize(printed) != 0 or process.poll() is not None)
            process.send_signal(signal.SIGABRT)
            process.wait(limit)
        finally:
            process.kill()
    cores = [name for name in os.listdir(place) if name.startswith('core')]
    if not cores:
        return None, 'none was written (its size is limited to 0, or a sanitizer forbids it)'
    return os.path.join(place, cores[0]), printed


def main():
    random.seed(4)
    memory, printed = os.path.join(directory, 'memory'), os.path.join(directory, 'printed')
    seen = {'events': 0, 'open': 0, 'compared': 0}
    for n in range(rounds):
        own_only = n % 2 == 0
        mix = ['--mix', 'own=1'] if own_only else []
        # Where nothing could be compared so far, the machine is too busy to read as fast as that: more slowly, then.
        rate = 50000 if n < rounds / 2 or seen['compared'] else 2000
        kill_under_load(memory, printed, random.uniform(0, 0.2), ['--rate', str(rate), *mix])
        events, rings = check(memory)
        seen['compared'] += check_nothing_is_missing(events, rings, printed, own_only)
        seen['events'] += len(events)
        seen['open'] += sum(len(ring['open']) for ring in rings)
        os.unlink(memory)
    assert seen['compared'] != 0, 'events were dropped on every CPU in every round'
    print(f"{rounds} machines killed: {seen['events']} events read from their memory, {seen['open']} were open; of "
          f"{seen['compared']} producers every event was there")

    core, printed = abort_under_load(os.path.join(directory, 'core'))
    if core is None:
        print(f'core files are not tried here: {printed}')
    else:
        events, rings = check(core, 'core')
        print(f"a core file: {len(events)} events, {check_nothing_is_missing(events, rings, printed, True)} producers complete")


main()
