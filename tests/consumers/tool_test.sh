#!/bin/sh
# Runs the tool as a process: exit codes, what goes to which stream. $1 is the tool; without permission to watch this
# machine, the runs that need it are skipped (exit 77).
tool=$1
directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
failures=0

fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# expect CODE PATTERN arguments...: the exit code, and a line of stderr that matches; stdout stays empty.
expect() {
  code=$1; pattern=$2; shift 2
  "$tool" "$@" >"$directory/out" 2>"$directory/err"
  got=$?
  [ $got = "$code" ] || fail "'$*' ended with $got, not $code: $(cat "$directory/err")"
  grep -q -- "$pattern" "$directory/err" || fail "'$*' did not say '$pattern': $(cat "$directory/err")"
  [ ! -s "$directory/out" ] || fail "'$*' wrote to stdout"
}

expect 1 "subcommand is required"
expect 1 "'frob' is not a command" frob
expect 1 "'5' is not a duration" watch --duration 5
expect 1 "'-1s' is not a duration" watch --duration=-1s
expect 1 "not a power of two; 2097152 and 4194304 are" watch --ring-size 3MiB
expect 1 "out of range" watch --ring-size 4GiB
expect 1 "'files' in 'process,files' is not an event type" watch --types process,files
expect 1 "'xml' is not a format" watch --format xml
expect 1 "replay" watch --source replay
expect 1 "not in range" watch --cpus 0
expect 1 "not in range" watch --cpus 257
expect 1 "nonsense" watch --nonsense
expect 1 "twice" watch extra twice

"$tool" --version >"$directory/out" 2>"$directory/err" || fail "--version"
grep -q '^sluice [0-9]' "$directory/out" || fail "--version says $(cat "$directory/out")"
"$tool" watch --help >"$directory/out" 2>"$directory/err" || fail "--help"
grep -q "Exit codes: 0" "$directory/out" || fail "--help does not tell the exit codes"

"$tool" watch --duration 200ms >"$directory/out" 2>"$directory/err"
if [ $? = 1 ] && grep -q "permission\|perf_event_open" "$directory/err"; then
  [ "$(wc -l <"$directory/err")" = 1 ] || fail "without permission there is one line: $(cat "$directory/err")"
  [ $failures = 0 ] || exit 1
  echo "no permission to watch this machine: the rest is skipped"
  exit 77
fi

# What happens while it watches is on stdout, and adds up.
"$tool" watch --duration forever --format jsonl >"$directory/out" 2>"$directory/err" &
watching=$!
# It has begun when it shows something that runs.
for i in $(seq 300); do /bin/false; grep -q '/false"' "$directory/out" && break; sleep 0.1; done
for i in $(seq 20); do /bin/true; done
# A shell without job control starts background jobs with SIGINT ignored, and ignored it stays: this one does nothing.
kill -INT $watching
kill -TERM $watching
wait $watching
got=$?
[ $got = 0 ] || fail "ended with $got after SIGTERM: $(cat "$directory/err")"
grep -q "^R3 holds" "$directory/err" || fail "R3: $(cat "$directory/err")"
grep -q "no registry" "$directory/err" || fail "the summary does not speak of the registry"
# A lost record would be announced; then, and only then, fewer may be there.
if grep -q "lost by the Linux kernel: 0" "$directory/err" && ! grep -q '"type":"loss"' "$directory/out"; then
  count=$(grep '"type":"process_create"' "$directory/out" | grep -c '/true"')
  [ "$count" = 20 ] || fail "20 processes ran, $count were shown"
fi
grep -v '^{"type":"[a-z_]*","cpu":[0-9]*,"time":"20[0-9-]*T[0-9:]*\.[0-9]\{7\}Z","context_pid":.*}$' "$directory/out" \
  && fail "a line of another form"

# SIGINT, where it is not ignored, ends the run in the same way; a second signal ends the process at once.
python3 - "$tool" "$directory" <<'PYTHON' || fail "SIGINT"
import fcntl, signal, subprocess, sys, time
tool, directory = sys.argv[1:]
def start(out):
    process = subprocess.Popen([tool, 'watch', '--duration', 'forever', '--format', 'jsonl'], stdout=out,
                               stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    process.stderr.readline()  # the title: it watches now
    return process
process = start(subprocess.DEVNULL)
process.send_signal(signal.SIGINT)
said = process.communicate()[1].decode()
assert process.returncode == 0 and 'R3 holds' in said, (process.returncode, said)

# Nobody reads this pipe: once it is full the tool cannot end by itself.
process = start(subprocess.PIPE)
fcntl.fcntl(process.stdout, 1031, 4096)  # F_SETPIPE_SZ
for _ in range(50):
    subprocess.run(['/bin/true'])  # more than 1 KB of lines each
time.sleep(0.5)
process.send_signal(signal.SIGINT)
time.sleep(0.5)
assert process.poll() is None, process.returncode
process.send_signal(signal.SIGINT)
assert process.wait(30) == -signal.SIGINT, process.returncode
PYTHON

# Events of a type that was not asked for do not appear, and are no loss.
"$tool" watch --duration 1s --types process --format jsonl >"$directory/out" 2>"$directory/err" || fail "--types process: $(cat "$directory/err")"
grep -q '"type":"\(thread\|image\)' "$directory/out" && fail "types that were not asked for"

# A reader that goes away ends the run well.
{ "$tool" watch --duration forever 2>"$directory/err"; echo $? >"$directory/code"; } | head -n 1 >"$directory/out" &
reader=$!
for i in $(seq 300); do [ -s "$directory/code" ] && break; /bin/true; sleep 0.1; done
wait $reader
[ "$(cat "$directory/code")" = 0 ] || fail "head: ended with $(cat "$directory/code"): $(cat "$directory/err")"

# An output that takes nothing is an error.
"$tool" watch --duration forever >/dev/full 2>"$directory/err"
[ $? = 1 ] || fail "a full disk"
grep -q "No space left on device" "$directory/err" || fail "a full disk: $(cat "$directory/err")"
"$tool" watch --duration forever >&- 2>"$directory/err"
[ $? = 1 ] || fail "stdout closed from the start"

[ $failures = 0 ] || exit 1
echo "all as expected"
