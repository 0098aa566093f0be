#!/usr/bin/env python3
"""Long work says how far it has come, on a terminal; where stderr is no terminal it says nothing of it.

progress_tool_test.py TOOL RECORDED_ACTIVITY
"""
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading

from waiting import limit

tool, activity = sys.argv[1:]
directory = tempfile.TemporaryDirectory()
recording = os.path.join(directory.name, 'recording')
erase = '\r\x1b[K'


def run(arguments, on_terminal):
    """What came to stderr, line ends as the terminal makes them left out."""
    if not on_terminal:
        done = subprocess.run([tool, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=limit, check=True)
        return done.stderr
    ours, theirs = pty.openpty()
    said = []

    def listen():
        try:
            while data := os.read(ours, 4096):
                said.append(data)
        except OSError:  # the other side has been closed
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        subprocess.run([tool, *arguments], stdout=subprocess.DEVNULL, stderr=theirs, timeout=limit, check=True)
    finally:
        os.close(theirs)
        listener.join()
        os.close(ours)
    return b''.join(said).decode()


def check(arguments, line):
    shown = run(arguments, True)
    assert re.search(re.escape(erase) + line, shown), f'{arguments}: no {line!r} in {shown!r}'
    # The last one is wiped before anything else is said, so the end of the output is as it is without a terminal.
    rest = shown[shown.rindex(erase) + len(erase):]
    assert not re.match(line, rest), f'{arguments}: the last line stays: {shown!r}'
    quiet = run(arguments, False)
    assert '\r' not in quiet and '\x1b' not in quiet, f'{arguments}: {quiet!r}'
    assert not re.search(line, quiet), f'{arguments}: {quiet!r}'


load = ['--source', 'synthetic', '--rate', '20000', '--duration', '1500ms']
check(['watch', *load], r'\d+ s: \d+ records, \d+ lost, \d+ late')
check(['record', *load, '--replace', recording], r'\d+ s: \d+ records, \d+ lost, \d+ late')
check(['watch', '--source', 'file:' + recording], r'\d+ s: \d+ records, \d+ lost, \d+ late; \d+ of \d+ MiB')
check(['stats', recording], r'\d+ of \d+ MiB read')
check(['watch', '--source', 'replay:' + activity, '--speed', 'max'], r'\d+ s: \d+ records, \d+ lost, \d+ late; \d+ % of the recording')
