"""A machine under load is killed with SIGKILL, at another moment each time; its memory file gives its last events.

image_kill_test.py TOOL DIRECTORY
"""
import json
import os
import random
import subprocess
import sys
import time

tool, directory = sys.argv[1:]
rounds = 20
cpus = 4
limit = 60  # seconds, for what takes a fraction of one


def wait_for(what, condition):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f'{what} did not come within {limit} s'
        time.sleep(0.005)


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
    about, *rings = [json.loads(line) for line in stats.stdout.splitlines()]
    return [json.loads(line) for line in read.stdout.splitlines()], about, rings


def own_events(lines):
    """Sequence numbers of the load's own events, by producer: each producer counts its own from 0."""
    found = {}
    for event in lines:
        if event['type'] == 'synthetic':
            found.setdefault(event['fields']['producer'], []).append(event['fields']['sequence'])
    return found


def check(memory, printed):
    events, about, rings = read_image(memory)
    assert about['kind'] == 'raw' and about['cpus'] == cpus and about['rings'] == about['rings_expected'] == 2 * cpus, about
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


def main():
    random.seed(4)
    memory, printed = os.path.join(directory, 'memory'), os.path.join(directory, 'printed')
    seen = {'events': 0, 'open': 0}
    for n in range(rounds):
        kill_under_load(memory, printed, random.uniform(0, 0.2), ['--rate', '50000'])
        events, rings = check(memory, printed)
        seen['events'] += len(events)
        seen['open'] += sum(len(ring['open']) for ring in rings)
        os.unlink(memory)
    print(f"{rounds} machines killed: {seen['events']} events read from their memory, {seen['open']} were open")


main()
