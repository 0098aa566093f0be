#!/usr/bin/env python3
"""Makes the recordings beside it (docs/replay.md has the format): nobody's activity, invented here, always the same.

causality.jsonl.gz   three hosts, one of which restarts; processes with everything a log gets wrong
causality_short.jsonl   its first lines
hostile.jsonl        lines that are no events, among some that are
With an argument: writes a recording like the first, ten times as long, there.
"""
import gzip
import json
import pathlib
import random
import sys

here = pathlib.Path(__file__).parent
START = 133_000_000_000_000_000
TICK = 156_250  # 15.6 ms, as the clock behind Sysmon's times


def guid(host, boot, number):
    return f'{host:08x}-{number & 0xffff:04x}-0000-{number >> 16:04x}-0000{boot:08d}'


def causality(scale=1):
    rng = random.Random(7)
    events = []
    serial = 0

    def emit(kind, time, host, **fields):
        events.append({'t': START + time, 'host': f'HOST{host}', 'type': kind, **fields})

    for host, boot, start, count in ((1, 100, 0, 40), (2, 100, 500_000, 15), (1, 200, 90_000_000 * scale, 30), (3, 100, 1_000_000, 3)):
        count *= scale
        pids = [4 * n for n in range(100, 100 + 30 * scale)]
        alive = []
        time = start
        emit('driver_load', time, host, load=f'C:\\drivers\\boot{boot}.sys')
        for number in range(count):
            serial += 1
            time += rng.choice((0, 0, TICK, 5 * TICK))
            pid = rng.choice([p for p in pids if p not in [a['pid'] for a in alive]])
            own = {'pid': pid, 'guid': guid(host, boot, serial), 'image': f'C:\\bin\\p{serial}.exe'}
            parent = rng.choice(alive)['pid'] if alive and rng.random() < 0.8 else 4 * 7
            logged_late = rng.choice((0, 0, 2 * TICK))  # the creation carries a later time than what the process does first
            if rng.random() < 0.85:
                emit('process_create', time + logged_late, host, **own, ppid=parent, cmd=f'p{serial} \u00e4\u4e2d\U0001f600 "x"')
            for step in range(rng.randrange(4, 25)):
                at = time + step // 3 * TICK
                name = f'{serial}_{step}'
                roll = rng.random()
                if roll < 0.45:
                    emit('image_load', at, host, **own, load=f'C:\\dll\\m{name}\ud800.dll' if step == 5 else f'C:\\dll\\m{name}.dll')
                elif roll < 0.55:
                    emit('registry_create_key', at, host, **own, key_nt=f'\\REGISTRY\\MACHINE\\SOFTWARE\\k{name}')
                elif roll < 0.75:
                    data = rng.choice(({'dtype': 'dword', 'data': f'DWORD (0x{serial:08x})'},
                                       {'dtype': 'qword', 'data': f'QWORD (0x{serial:08x}-0x{step:08x})'},
                                       {'dtype': 'string', 'data': f'text {name} \u00fc' * rng.choice((1, 40))},
                                       {'dtype': 'binary'}, {'dtype': 'empty'}, {'dtype': 'unknown'}))
                    emit('registry_set_value', at, host, **own, key_nt='\\REGISTRY\\USER\\S-1-5', val=f'v{name}', **data)
                elif roll < 0.82:
                    emit('registry_delete_value', at, host, **own, key_nt='\\REGISTRY\\USER\\S-1-5', val=f'v{name}')
                elif roll < 0.86:
                    emit('registry_delete_key', at, host, **own, key_nt=f'\\REGISTRY\\MACHINE\\SOFTWARE\\k{name}')
                elif roll < 0.9:
                    key = f'\\REGISTRY\\MACHINE\\SOFTWARE\\k{name}'
                    emit('registry_rename', at, host, **own, key_nt=key, new_key_nt=key + 'x')
                elif alive:
                    target = rng.choice(alive)
                    emit('remote_thread', at, host, **own, tid=100_000 + 4 * len(events), tpid=target['pid'],
                         tguid=target['guid'], start=f'0x{0x7ff000000000 + len(events):016X}')
            if rng.random() < 0.7:
                end = time + 6 * TICK
                emit('process_exit', end, host, **own)
                if rng.random() < 0.4:
                    emit('image_load', end + 30 * TICK, host, **own, load=f'C:\\dll\\late{serial}.dll')  # stamped in a batch
                if rng.random() < 0.1:
                    emit('process_exit', end + TICK, host, **own)
            else:
                alive.append(own)
    events.sort(key=lambda e: e['t'])
    return events


def write(name, lines):
    data = '\n'.join(lines).encode('utf-8') + b'\n'
    if name.endswith('.gz'):
        data = gzip.compress(data, mtime=0)
    (here / name).write_bytes(data)


def hostile():
    good = '{"t":133000000000000000,"host":"H","type":"image_load","pid":8,"load":"good%d"}'
    lines = [good % 1]
    lines += ['', '{', '[]', 'null', '"x"', '{"t":1}', '{"type":"image_load","pid":8}', '{"t":1,"type":"image_load"}',
              '{"t":-1,"type":"image_load","pid":8}', '{"t":1.5,"type":"image_load","pid":8}',
              '{"t":18446744073709551616,"type":"image_load","pid":8}', '{"t":1e3,"type":"image_load","pid":8}',
              '{"t":1,"type":"image_load","pid":4294967296}', '{"t":1,"type":"image_load","pid":"8"}',
              '{"t":1,"type":"image_loaf","pid":8}', '{"t":1,"type":7,"pid":8}',
              '{"t":1,"type":"remote_thread","pid":8,"tpid":8}',
              '{"t":1,"type":"remote_thread","pid":8,"tpid":8,"tid":12,"start":"0xFFFFFFFFFFFFFFFFF"}',
              '{"t":1,"type":"registry_set_value","pid":8,"key_nt":"k","dtype":"dword","data":"DWORD (0x123456789)"}',
              '{"t":1,"type":"registry_set_value","pid":8,"key_nt":"k","dtype":"qword","data":"QWORD (0x1)"}',
              '{"t":1,"type":"registry_set_value","pid":8,"key_nt":"k","dtype":"float","data":""}',
              '{"t":1,"type":"image_load","pid":8,"load":"' + 'x' * 40000 + '"}',
              '{"t":1,"type":"image_load","pid":8,"load":"\\x"}', '{"t":1,"type":"image_load","pid":8,"load":"\\ud8"}',
              '{"t":1,"type":"image_load","pid":8,"load":"a' + '\t' + 'b"}',
              '{"t":1,"type":"image_load","pid":8} {}', '{"t":1,"type":"image_load","pid":8', '{"t":1,"t"',
              '{"a":' * 2000 + '1' + '}' * 2000]
    raw = [line.encode() for line in lines]
    raw += [b'{"t":1,"type":"image_load","pid":8,"load":"\xc0\xaf"}', b'{"t":1,"type":"image_load","pid":8,"load":"\xed\xa0\x80"}',
            b'{"t":1,"type":"image_load","pid":8,"load":"\xff"}', b'\x00' * 50, b'\xef\xbb\xbf{"t":1,"type":"image_load","pid":8}']
    raw += [(good % 2).encode()]
    (here / 'hostile.jsonl').write_bytes(b'\n'.join(raw) + b'\n')


if len(sys.argv) == 2:
    with open(sys.argv[1], 'w', encoding='utf-8') as large:
        large.writelines(json.dumps(e) + '\n' for e in causality(10))
else:
    write('causality.jsonl.gz', [json.dumps(e) for e in causality()])
    write('causality_short.jsonl', [json.dumps(e) for e in causality()[:60]])
    hostile()
