#!/usr/bin/env python3
"""filter_check.py TOOL DOCUMENT

Replays a recording without a filter and with several, and compares: what comes with a filter is exactly what the rules of
docs/filter-format.md, written down once more below, keep of what comes without; and the summary's account of what was filtered,
by type and reason, is exactly the rest. Rates depend on the clock: there, what came is compared with the least and the most that
the time which passed allows.

The examples of DOCUMENT (docs/filter-format.md) must be filters.
"""
import collections
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

STREAM = {'loss', 'anchor', 'type_declaration', 'overdue'}
GROUPS = {'process': ['process_create', 'process_exit'], 'thread': ['thread_create', 'thread_exit'], 'image': ['image_load'],
          'registry': ['registry_' + name for name in ('create_key', 'open_key', 'set_value', 'delete_key', 'delete_value', 'rename_key')]}
VOLUME = '\\Device\\HarddiskVolume3'
MACHINE = '\\REGISTRY\\MACHINE'
failures = 0


def fail(text):
    global failures
    failures += 1
    print('FAILED:', text)


def write_recording(path):
    """Processes in three generations, that load images and touch keys, by names that differ in case, in their ends only, or not."""
    chance = random.Random(7)
    images = [VOLUME + name for name in ('\\Windows\\System32\\a.dll', '\\WINDOWS\\system32\\A.DLL', '\\Windows\\b.dll', '\\WindowsOld\\c.dll',
                                         '\\Windows', '\\Users\\\u00e4\u00fc\\d.dll', '\\Users\\\u00c4\u00dc\\E.dll', '\\Users\\x\\f.dll', '\\Users')]
    keys = [MACHINE + name for name in ('\\SOFTWARE\\A', '\\Software\\a\\B', '\\SOFTWARE\\A\\B\\C', '\\SOFTWARE\\AB', '\\SOFT', '\\SOFTWARE',
                                        '\\SYSTEM\\ControlSet001\\Services\\\u00e4', '\\SYSTEM\\ControlSet001\\Services\\\u00c4\\x',
                                        '\\SYSTEM\\ControlSet002', '')] + ['\\REGISTRY\\USER\\S-1-5-18', '\\REGISTRY\\A\\{1}\\k', '\\REGISTRY']
    lines, now, running = [], 133000000000000000, []

    def add(kind, pid, **fields):
        nonlocal now
        now += 10000
        lines.append({'t': now, 'host': 'H', 'type': kind, 'pid': pid, 'guid': '%08x-0001-0000-0000-000000000100' % pid, **fields})

    def start(pid, parent):
        add('process_create', pid, ppid=parent, image=chance.choice(images), cmd='c %d' % pid)
        running.append(pid)

    running += [100, 200, 300]  # they run when it begins
    for n in range(40):
        start(1000 + 4 * n, chance.choice(running))
    for n in range(1500):
        pid = chance.choice(running)
        kind = chance.choice(['image_load', 'registry_create_key', 'registry_set_value', 'registry_delete_value', 'registry_rename', 'remote_thread', 'driver_load'])
        if kind == 'image_load':
            add(kind, pid, load=chance.choice(images))
        elif kind == 'driver_load':
            add(kind, pid, load=chance.choice(images))
            del lines[-1]['pid'], lines[-1]['guid']
        elif kind == 'remote_thread':
            add(kind, pid, tpid=chance.choice(running), tid=100001 + 4 * n, start='0x7ff%05x' % n)
        elif kind == 'registry_set_value':
            add(kind, pid, key_nt=chance.choice(keys), val='v%d' % (n % 3), dtype='dword', data='DWORD (0x%08x)' % (n % 2))
        elif kind == 'registry_delete_value':
            add(kind, pid, key_nt=chance.choice(keys), val='v')
        elif kind == 'registry_rename':
            add(kind, pid, key_nt=MACHINE + '\\SOFTWARE\\gone%d' % n, new_key_nt=MACHINE + '\\SOFTWARE\\new%d' % n)
        else:
            add(kind, pid, key_nt=chance.choice(keys))
        if n % 40 == 39 and len(running) > 10:  # one that has children, perhaps; never one of the first three
            gone = running.pop(chance.randrange(3, len(running)))
            add('process_exit', gone)
            start(2000 + 4 * n, chance.choice(running))
    with open(path, 'w') as file:
        for line in lines:
            print(json.dumps(line), file=file)


def run(tool, recording, filter_path=None, cpus=4):
    command = [tool, 'watch', '--source', 'replay:' + recording, '--speed', 'max', '--format', 'jsonl', '--cpus', str(cpus)]
    began = time.monotonic()
    done = subprocess.run(command + (['--filter', filter_path] if filter_path else []), capture_output=True)
    seconds = time.monotonic() - began
    said = done.stderr.decode()
    if done.returncode != 0 or '\nR3 holds' not in said:
        fail('%s ends with %d: %s' % (' '.join(command), done.returncode, said))
    events = [json.loads(line) for line in done.stdout.decode().splitlines()]
    if any(event['type'] == 'loss' for event in events):
        fail('something was lost')
    return [event for event in events if event['type'] not in STREAM], account(said), said, seconds


def account(said):
    """The summary's table: type -> (attempted, delivered, filtered, {reason: events})."""
    rows, columns = {}, None
    for line in said.splitlines():
        words = line.split()
        if words[:2] == ['type', 'attempted']:
            columns = words
        elif columns and len(words) >= len(columns) and all(word.isdigit() for word in words[1:len(columns)]):
            row = dict(zip(columns[1:], map(int, words[1:len(columns)])))
            reasons = {name: int(n) for name, n in re.findall(r'(\w+) (\d+)', ' '.join(words[len(columns):]))}
            rows[words[0]] = (row['attempted'], row['delivered'], row['filtered'], reasons)
    return rows


def plain(event):
    """What an event says, without when and where it came, and who of unrelated processes was first to create a key."""
    return json.dumps({name: value for name, value in event.items() if name not in ('cpu', 'time', 'time_ticks', 'lane', 'position', 'start_key', 'late', 'disposition')},
                      sort_keys=True)


class rules:
    """docs/filter-format.md, once more."""

    def __init__(self, types=None, processes=(), process_types=None, images=(), keys=()):
        self.types, self.process_types = self.expand(types), self.expand(process_types)
        self.images, self.keys = self.prepare(images), self.prepare(keys)
        self.default = not any(not excluded for _, excluded, _ in processes)
        self.own = {pid: not excluded for pid, excluded, _ in processes}
        self.heirs = {pid: not excluded for pid, excluded, descendants in processes if descendants}
        self.any_process = bool(processes)

    @staticmethod
    def expand(names):
        return None if names is None else {single for name in names for single in GROUPS.get(name, [name])}

    @staticmethod
    def components(path):
        folded = ''.join(c.upper() if ord(c) < 0x80 or (0xe0 <= ord(c) <= 0xfe and ord(c) != 0xf7) else c for c in path)
        return tuple(re.split(r'[\\/]+', folded))

    def prepare(self, paths):
        return {self.components(path): excluded for path, excluded in paths}

    def path_is_wanted(self, table, path):
        if not table or path is None:
            return True
        components = self.components(path)
        for end in range(len(components), 0, -1):
            if components[:end] in table:
                return not table[components[:end]]
        return all(table.values())

    def reason(self, event):
        """Why it is filtered; none: it is kept. To be asked in the order of the stream."""
        kind = event['type']
        if kind == 'process_create':
            pid, parent = event['pid'], event['parent_pid']
            self.own.pop(pid, None)
            self.heirs.pop(pid, None)
            if parent in self.heirs:
                self.own[pid] = self.heirs[pid] = self.heirs[parent]
        result = self.decide(event)
        if kind == 'process_exit':
            self.own.pop(event['pid'], None)
            self.heirs.pop(event['pid'], None)
        return result

    def decide(self, event):
        kind = event['type']
        if self.types is not None and kind not in self.types:
            return 'type'
        if self.any_process and (self.process_types is None or kind in self.process_types):
            about = {event['context_pid']} | ({event['pid']} if 'pid' in event else set())
            if not any(self.own.get(pid, self.default) for pid in about):
                return 'process'
        if kind in ('image_load', 'process_create') and not self.path_is_wanted(self.images, event.get('path', event.get('image_path'))):
            return 'image'
        if kind.startswith('registry') and not self.path_is_wanted(self.keys, event['key_path']):
            return 'key'
        return None


CASES = {
    'types': ("types = ['image', 'registry_set_value', 'process_create']", dict(types=['image', 'registry_set_value', 'process_create'])),
    'keys excluded': ("[keys]\nexclude = ['HKLM\\software\\A', 'HKLM\\SYSTEM\\ControlSet001\\Services\\\u00c4']",
                      dict(keys=[(MACHINE + '\\SOFTWARE\\A', True), (MACHINE + '\\SYSTEM\\ControlSet001\\Services\\\u00e4', True)])),
    'keys within keys': ("[keys]\ninclude = ['\\Registry\\Machine\\SOFTWARE', 'HKLM\\SOFTWARE\\A\\B\\C', 'HKU']\nexclude = ['HKLM\\SOFTWARE\\A']",
                         dict(keys=[(MACHINE + '\\SOFTWARE', False), (MACHINE + '\\SOFTWARE\\A\\B\\C', False), ('\\REGISTRY\\USER', False), (MACHINE + '\\SOFTWARE\\A', True)])),
    'images': ("[images]\ninclude = ['%s\\Windows', '%s\\Users\\\u00c4\u00dc']\nexclude = ['%s\\windows\\system32\\']" % (VOLUME, VOLUME, VOLUME),
               dict(images=[(VOLUME + '\\Windows', False), (VOLUME + '\\Users\\\u00e4\u00fc', False), (VOLUME + '\\Windows\\System32', True)])),
    'everything at once': ("types = ['process', 'image', 'registry']\n[processes]\ntypes = ['registry', 'process']\nexclude = [100]\n"
                           "[images]\nexclude = ['%s\\Windows']\n[keys]\nexclude = ['HKLM\\SOFTWARE']" % VOLUME,
                           dict(types=['process', 'image', 'registry'], processes=[(100, True, True)], process_types=['registry', 'process'],
                                images=[(VOLUME + '\\Windows', True)], keys=[(MACHINE + '\\SOFTWARE', True)])),
    'a process that is not there yet': ('[processes]\nexclude = [1000]', dict(processes=[(1000, True, True)])),
    'descendants excluded': ('[processes]\nexclude = [100, {pid = 200, descendants = false}]', dict(processes=[(100, True, True), (200, True, False)])),
    'descendants included': ('[processes]\ninclude = [100, {pid = 300, descendants = false}]\ntypes = ["process", "registry", "thread"]',
                             dict(processes=[(100, False, True), (300, False, False)], process_types=['process', 'registry', 'thread'])),
    'drivers': ('[processes]\ninclude = [{pid = 0, descendants = false}]', dict(processes=[(0, False, False)])),
}


def compare(tool, recording, base, name, text, said_by_hand, directory):
    path = os.path.join(directory, 'filter.toml')
    with open(path, 'w') as file:
        file.write(text)
    wanted = rules(**said_by_hand)
    kept, removed = collections.Counter(), collections.defaultdict(collections.Counter)
    for event in base:
        reason = wanted.reason(event)
        if reason is None:
            kept[plain(event)] += 1
        else:
            removed[event['type']][reason] += 1
    events, rows, said, _ = run(tool, recording, path)
    came = collections.Counter(map(plain, events))
    for what, which in (('should not have come', came - kept), ('are missing', kept - came)):
        if which:
            fail('%s: %d events %s, such as %s' % (name, sum(which.values()), what, next(iter(which))))
    before = collections.Counter(event['type'] for event in base)
    for kind, count in before.items():
        attempted, delivered, filtered, reasons = rows.get(kind, (0, 0, 0, {}))
        if (attempted, filtered, reasons) != (count, sum(removed[kind].values()), dict(removed[kind])):
            fail('%s: %s: attempted %d of %d, filtered %d as %s, not %s' % (name, kind, attempted, count, filtered, reasons, dict(removed[kind])))
    if 'filter: ' not in said:
        fail('%s: it does not say what it filters' % name)
    total = sum(sum(of.values()) for of in removed.values())
    print('%s: %d of %d events, %d filtered' % (name, len(events), len(base), total))
    if total == 0 and 'not there yet' not in name:
        fail('%s: nothing was filtered: it shows nothing' % name)


def compare_limits(tool, recording, base, directory):
    """On one CPU: a bucket of each type, a bucket of each process, and repeats."""
    path = os.path.join(directory, 'filter.toml')

    def filtered_run(text):
        with open(path, 'w') as file:
            file.write(text)
        return run(tool, recording, path, cpus=1)

    burst = 5
    events, rows, _, seconds = filtered_run("[[type_rate]]\ntypes = ['registry_set_value']\nper_second = 1\nburst = %d" % burst)
    came = sum(event['type'] == 'registry_set_value' for event in events)
    before = sum(event['type'] == 'registry_set_value' for event in base)
    if not min(before, burst) <= came <= burst + seconds + 1:
        fail('a rate of 1 and a burst of %d: %d events in %.1f s' % (burst, came, seconds))
    if rows['registry_set_value'][2:] != (before - came, {'type_rate': before - came}):
        fail('a rate: %d of %d events came, but the summary says %s' % (came, before, rows['registry_set_value']))
    if len(events) - came != len(base) - before:
        fail('a rate of one type touches others')

    events, rows, _, seconds = filtered_run("[process_rate]\ntypes = ['image']\nper_second = 1\nburst = 3")
    of_process = collections.Counter(event['context_pid'] for event in base if event['type'] == 'image_load')
    came = collections.Counter(event['context_pid'] for event in events if event['type'] == 'image_load')
    for pid, count in of_process.items():
        if not min(count, 3) <= came[pid] <= min(count, 3 + seconds + 1):
            fail('a rate of each process: %d of %d events of %d in %.1f s' % (came[pid], count, pid, seconds))
    if rows['image_load'][3] != {'process_rate': sum(of_process.values()) - sum(came.values())}:
        fail('a rate of each process: %s' % (rows['image_load'],))
    print('rates: as many as the time allows')


def compare_repeats(tool, directory):
    """Few enough to be remembered: the first of each comes, and no other."""
    recording, path = os.path.join(directory, 'repeats.jsonl'), os.path.join(directory, 'filter.toml')
    with open(recording, 'w') as file:
        for n in range(90):
            print(json.dumps({'t': 133000000000000000 + n * 10000, 'host': 'H', 'type': 'image_load', 'pid': 400 + 4 * (n % 2),
                              'load': VOLUME + '\\%d.dll' % (n % 3)}), file=file)
    with open(path, 'w') as file:
        file.write("[repeats]\ntypes = ['image']\nwindow = '1h'")
    events, rows, _, _ = run(tool, recording, path, cpus=1)
    came = collections.Counter((event['context_pid'], event['path']) for event in events if event['type'] == 'image_load')
    if len(came) != 6 or set(came.values()) != {1}:
        fail('repeats: %s' % came)
    if rows['image_load'][2:] != (84, {'repeat': 84}):
        fail('repeats: the summary says %s' % (rows['image_load'],))
    print('repeats: the first of each')


def check_examples(tool, document, directory):
    with open(document) as file:
        examples = re.findall(r'```toml\n(.*?)```', file.read(), re.S)
    if not examples:
        fail('%s has no example' % document)
    for n, text in enumerate(examples):
        path = os.path.join(directory, 'example.toml')
        with open(path, 'w') as file:
            file.write(text)
        done = subprocess.run([tool, 'filter', 'check', path], capture_output=True)
        if done.returncode != 0 or not done.stdout:
            fail('example %d of %s is no filter: %s' % (n + 1, document, done.stderr.decode()))


def main():
    tool, document = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        check_examples(tool, document, directory)
        recording = os.path.join(directory, 'recording.jsonl')
        write_recording(recording)
        base, rows, _, _ = run(tool, recording)
        if any(filtered for _, _, filtered, _ in rows.values()):
            fail('something was filtered without a filter')
        for name, (text, said_by_hand) in CASES.items():
            compare(tool, recording, base, name, text, said_by_hand, directory)
        compare_limits(tool, recording, base, directory)
        compare_repeats(tool, directory)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
