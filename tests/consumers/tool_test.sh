#!/bin/sh
# Runs the tool as a process: exit codes, what goes to which stream. $1 is the tool; without permission to watch this
# machine, the runs that need it are skipped (exit 77).
. "$(dirname "$0")/tool_support.sh"

# until_shown PATTERN: a line of stdout matches; two minutes are more than it takes.
until_shown() {
  for i in $(seq 1200); do
    grep -q -- "$1" "$directory/out" && return
    sleep 0.1
  done
  fail "nothing that matches '$1' was shown: $(cat "$directory/err")"
}

expect 1 "subcommand is required"
expect 1 "'frob' is not a command" frob
expect 1 "'5' is not a duration" watch --duration 5
expect 1 "'-1s' is not a duration" watch --duration=-1s
expect 1 "not a power of two; 2097152 and 4194304 are" watch --ring-size 3MiB
expect 1 "out of range" watch --ring-size 4GiB
expect 1 "'' in 'process,' is not the name of an event type" watch --types process,
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

expect 1 "is not a moment" watch --source file:x --from yesterday
expect 1 "need --source file" watch --from +1s
expect 1 "needs --source replay" watch --source synthetic --speed max
expect 1 "needs --source synthetic" watch --source replay:x --rate 5
expect 1 "is not a speed" watch --source replay:x --speed fast
expect 1 "is not a part of a mix" watch --source synthetic --mix image
expect 1 "is not a rhythm" watch --source synthetic --rhythm bursts:1s
expect 1 "is not an order" watch --order loose
expect 1 "No such file" watch --source file:/nonexistent
expect 1 "No such file" watch --source replay:/nonexistent
expect 1 "not a recording of sluice" watch --source "file:$0"
expect 1 "No such file" record /nonexistent/file --source synthetic

# Filter files: what is wrong has file, line and column; what is right is said on stdout.
printf '%s\n' 'typs = ["image"]' '[keys]' "include = ['HKCU\\A', 'HKLM\\A', 'HKLM\\A']" >"$directory/wrong.toml"
expect 1 "wrong.toml:1:1: error: 'typs' is not known here, is 'types' meant?" filter check "$directory/wrong.toml"
expect 1 "wrong.toml:3:12: error: 'HKCU.A' cannot be used" filter check "$directory/wrong.toml"
expect 1 "wrong.toml:3:32: error: '.REGISTRY.MACHINE.A' is in this list already" filter check "$directory/wrong.toml"
expect 1 "wrong.toml: 3 errors" filter check "$directory/wrong.toml"
expect 1 "wrong.toml:1:1: error: " watch --source synthetic --filter "$directory/wrong.toml"
expect 1 "wrong.toml:1:1: error: " record "$directory/never" --source synthetic --filter "$directory/wrong.toml"
[ ! -e "$directory/never" ] || fail "a recording was begun with a filter that is none"
expect 1 "a recording has no driver behind it" watch --source file:x --filter "$directory/wrong.toml"
expect 1 "/nonexistent: error: cannot be read: No such file or directory" filter check /nonexistent
expect 1 "cannot be read: Is a directory" filter check "$directory"
head -c 4194305 /dev/zero | tr '\0' '#' >"$directory/large"
expect 1 "is too large: a filter file has 4194304 bytes at most" filter check "$directory/large"
head -c 4194304 "$directory/large" >"$directory/largest"
printf '# %s\n# \303\050' one >"$directory/latin"
expect 1 "latin:2:3: error: this is not UTF-8" filter check "$directory/latin"
expect 1 "subcommand is required" filter
expect 1 "FILE is required" filter check
for nothing in /dev/null "$directory/largest"; do
  [ "$("$tool" filter check "$nothing" 2>"$directory/err")" = "no filter: every event is let through" ] || fail "an empty filter: $(cat "$directory/err")"
done
printf "types = ['process', 'hertbeat']" | "$tool" filter check /dev/stdin >"$directory/out" 2>"$directory/err" || fail "filter check: $(cat "$directory/err")"
[ "$(cat "$directory/out")" = "types: only process, hertbeat" ] || fail "filter check: $(cat "$directory/out")"
grep -q "^/dev/stdin:1:21: warning: 'hertbeat' is no event" "$directory/err" || fail "filter check: $(cat "$directory/err")"
"$tool" filter check /dev/null >/dev/full 2>"$directory/err" && fail "filter check to a full disk"

# Types by name: those of the library, those of the driver that runs, and what is neither.
expect 1 "'files' is not an event type; there are: process, .* own types: synthetic" watch --source synthetic --types process,files
expect 1 "is 'synthetic' meant?" record "$directory/never" --source synthetic --types syntetic
[ ! -e "$directory/never" ] || fail "a recording was begun with types that there are not"
"$tool" watch --source synthetic --rate 5000 --cpus 2 --duration forever --types synthetic,registry_set_value --format jsonl \
  >"$directory/out" 2>"$directory/err" &
watching=$!
for type in synthetic registry_set_value; do until_shown "^{\"type\":\"$type\""; done
kill -TERM $watching
wait $watching || fail "types by name: $(cat "$directory/err")"
grep -v '^{"type":"\(synthetic\|registry_set_value\|anchor\|type_declaration\|loss\)"' "$directory/out" && fail "types that were not asked for by name"

# Overwrite mode: accounts that agree, and a machine killed with -9 whose last events are read. Two modes of waiting contradict.
expect 1 "waits for its reader" watch --source replay:x --speed max --mode overwrite
expect 1 "has no driver behind it" watch --source file:x --mode overwrite
expect 1 "not in {discard,overwrite}" watch --mode both
expect 1 "nothing else waits for its reader" watch --source replay:x --speed 2 --no-back-pressure
expect 1 "--snapshot is taken by watch and record" simulate "$directory/served" --source synthetic --snapshot "$directory/never"
"$tool" watch --source synthetic --mode overwrite --rate 200000 --cpus 2 --ring-size 64KiB --duration 500ms --format jsonl \
  2>"$directory/err" | { sleep 0.3; cat; } >"$directory/out"
grep -q "^R3 holds" "$directory/err" || fail "overwrite mode: $(cat "$directory/err")"
"$tool" watch --source synthetic --mode overwrite --memory "$directory/memory" --rate 50000 --cpus 2 --ring-size 64KiB \
  --duration forever --format jsonl >"$directory/out" 2>"$directory/err" &
watching=$!
for i in $(seq 1200); do [ "$(wc -l <"$directory/out")" -gt 20000 ] && break; sleep 0.1; done
kill -KILL $watching
wait $watching 2>/dev/null
"$tool" watch --source "image:$directory/memory" --format jsonl >"$directory/a" 2>"$directory/err" || fail "image: $(cat "$directory/err")"
grep -q "^overwritten before the oldest that is there: [1-9a]" "$directory/err" || fail "overwritten: $(cat "$directory/err")"
[ "$(grep -c '"type":"synthetic"' "$directory/a")" -gt 20 ] || fail "of a dead machine: $(cat "$directory/err")"

# A filter that keeps all, and a bound for records that are still being written.
: >"$directory/empty.toml"
"$tool" watch --source synthetic --rate 2000 --order bounded:5ms --filter "$directory/empty.toml" --duration 200ms >"$directory/out" \
  2>"$directory/err" || fail "--order bounded: $(cat "$directory/err")"
grep -q "empty.toml lets everything through" "$directory/err" || fail "an empty filter: $(cat "$directory/err")"
grep -q "^R3 holds" "$directory/err" || fail "--order bounded: $(cat "$directory/err")"

# What is recorded is what is read again, and again from a recording of the recording.
recording="$directory/recording"
for duration in 700ms 5s 30s; do  # a busy machine takes longer for as many
  rm -f "$recording"
  "$tool" record "$recording" --source synthetic --rate 20000 --cpus 4 --duration $duration 2>"$directory/err" || fail "record: $(cat "$directory/err")"
  count=$(sed -n 's/^recorded: \([0-9]*\) records.*/\1/p' "$directory/err")
  [ "$count" -gt 1000 ] && break
done
[ "$count" -gt 1000 ] || fail "recorded '$count' records: $(cat "$directory/err")"
expect 1 "File exists" record "$recording" --source synthetic
expect 1 "are for images; this is a recording" stats "$recording" --format jsonl
"$tool" watch --source "file:$recording" --format jsonl >"$directory/first" 2>"$directory/err" || fail "watch file: $(cat "$directory/err")"
grep -q "^R3 holds" "$directory/err" || fail "the accounts of a recording: $(cat "$directory/err")"
[ "$(wc -l <"$directory/first")" = "$count" ] || fail "$count records, $(wc -l <"$directory/first") lines"
"$tool" record "$directory/second" --source "file:$recording" 2>"$directory/err" || fail "record a recording: $(cat "$directory/err")"
"$tool" watch --source "file:$directory/second" --format jsonl 2>"$directory/err" | cmp - "$directory/first" || fail "the second recording differs"
"$tool" stats "$recording" >"$directory/out" 2>"$directory/err" || fail "stats: $(cat "$directory/err")"
grep -q "$count records stored, 0 not" "$directory/out" || fail "stats: $(cat "$directory/out")"
# A window of time: what is left of it, in it and right of it is everything.
"$tool" watch --source "file:$recording" --format jsonl --to +200ms >"$directory/a" 2>/dev/null || fail "--to"
"$tool" watch --source "file:$recording" --format jsonl --from +200ms --to +400ms >"$directory/b" 2>/dev/null || fail "--from --to"
"$tool" watch --source "file:$recording" --format jsonl --from +400ms >"$directory/c" 2>/dev/null || fail "--from"
# Anchors come with every part that needs them.
grep -v '^{"type":"anchor"' "$directory/first" >"$directory/whole"
cat "$directory/a" "$directory/b" "$directory/c" | grep -v '^{"type":"anchor"' | cmp - "$directory/whole" || fail "the parts are not the whole"
# From one record's time on and up to another's: what lies between is there.
time_of() { sed -n "$1s/.*\"time\":\"\([^\"]*\)\".*/\1/p" "$directory/whole"; }
"$tool" watch --source "file:$recording" --format jsonl --from "$(time_of $((count / 3)))" --to "$(time_of $((count / 3 * 2)))" \
  >"$directory/b" 2>"$directory/err" || fail "--from --to: $(cat "$directory/err")"
[ "$(grep -vc '^{"type":"anchor"' "$directory/b")" -gt $((count / 4)) ] || fail "a window of a third: $(wc -l <"$directory/b") of $count lines"
# Cut: everything before the cut, and the reason.
head -c $(($(wc -c <"$recording") / 2)) "$recording" >"$directory/cut"
"$tool" watch --source "file:$directory/cut" --format jsonl >"$directory/out" 2>"$directory/err"
[ $? = 1 ] || fail "a cut recording ends with 1: $(cat "$directory/err")"
grep -q "at offset" "$directory/err" || fail "a cut recording: $(cat "$directory/err")"
head -n "$(wc -l <"$directory/out")" "$directory/first" | cmp - "$directory/out" || fail "a cut recording gives something else"
"$tool" stats "$directory/cut" >"$directory/out" 2>"$directory/err"
[ $? = 1 ] || fail "stats of a cut recording end with 1: $(cat "$directory/err")"
grep -q "^sluice: .*/cut: at offset" "$directory/err" || fail "stats do not say where it is cut: $(cat "$directory/err")"
grep -q "^the recording has no end, and so no accounts$" "$directory/out" || fail "stats of a cut recording: $(cat "$directory/out")"
grep -q "^ended: \|holds" "$directory/out" && fail "stats take a cut recording for whole: $(cat "$directory/out")"
# Damaged in the middle: what is missing is counted, and what is there.
cp "$recording" "$directory/damaged"
printf 'sixteen bytes...' | dd of="$directory/damaged" bs=1 seek=$(($(wc -c <"$recording") / 2)) conv=notrunc 2>"$directory/err" || fail "dd: $(cat "$directory/err")"
"$tool" stats "$directory/damaged" >"$directory/out" 2>"$directory/err"
[ $? = 1 ] || fail "stats of a damaged recording end with 1: $(cat "$directory/err")"
[ "$(grep -c "^sluice: .*/damaged: at offset" "$directory/err")" = 1 ] || fail "stats do not say once where it is damaged: $(cat "$directory/err")"
there=$(sed -n 's/^file: .* bytes; \([0-9]*\) records$/\1/p' "$directory/out")
missing=$(sed -n 's/^missing from the file: \([0-9]*\) records that were stored$/\1/p' "$directory/out")
[ "${missing:-0}" -gt 0 ] && [ $((there + missing)) = "$count" ] || fail "of $count records '$there' are there, '$missing' missing: $(cat "$directory/out")"
grep -q "^ended: closed; $count records stored, 0 not$" "$directory/out" || fail "stats of a damaged recording: $(cat "$directory/out")"

# A full disk, where a file system of our own can be mounted: what was accepted is there, and the end says why it ends.
cat >"$directory/full" <<'SCRIPT'
mount -t tmpfs -o size=300k none "$2" || exit 77
"$1" record "$2/r" --source synthetic --rate 200000 --cpus 2 --record-bytes 500 --mix registry=1,image=1 --duration 120s 2>"$2/../said"
[ $? = 1 ] || exit 1
grep -q "No space left on device" "$2/../said" || exit 2
"$1" stats "$2/r" >"$2/../stats" 2>&1 || exit 3
grep -q "ended: the disk was full; [1-9][0-9]* records stored" "$2/../stats" || exit 4
SCRIPT
mkdir "$directory/disk"
unshare -rm sh "$directory/full" "$tool" "$directory/disk" 2>"$directory/err"
case $? in
  0) ;;
  1 | 2 | 3 | 4) fail "a full disk: $(cat "$directory/said" "$directory/stats")" ;;
  *) echo "no file system can be mounted here: a full disk is not tried" ;;
esac

# Damaged lines of a replay are named, the rest is replayed.
printf '%s\n' '{"t":1,"type":"image_load","pid":8,"load":"a"}' 'nonsense' '{"t":2,"type":"image_load","pid":8,"load":"b"}' >"$directory/lines"
"$tool" watch --source "replay:$directory/lines" --speed max --format jsonl >"$directory/out" 2>"$directory/err"
[ $? = 1 ] || fail "a damaged line: $(cat "$directory/err")"
grep -q "lines: line 2: " "$directory/err" || fail "which line: $(cat "$directory/err")"
[ "$(grep -c image_load "$directory/out")" = 2 ] || fail "the lines around a damaged one: $(cat "$directory/out")"

"$tool" watch --duration 200ms >"$directory/out" 2>"$directory/err"
if [ $? = 1 ] && grep -q "permission\|perf_event_open" "$directory/err"; then
  [ "$(wc -l <"$directory/err")" = 1 ] || fail "without permission there is one line: $(cat "$directory/err")"
  [ $failures = 0 ] || exit 1
  echo "no permission to watch this machine: the rest is skipped"
  exit 77
fi

# What happens while it watches is on stdout, and adds up. Programs of this test alone are counted: others run as well.
begin="$directory/begin" counted="$directory/counted"
cp "$(readlink -f /bin/true)" "$begin" && cp "$begin" "$counted" || exit 1
"$tool" watch --duration forever --format jsonl >"$directory/out" 2>"$directory/err" &
watching=$!
# It has begun when it shows something that runs.
for i in $(seq 1200); do "$begin"; grep -q "$begin\"" "$directory/out" && break; sleep 0.1; done
for i in $(seq 20); do "$counted"; done
# A shell without job control starts background jobs with SIGINT ignored, and ignored it stays: this one does nothing.
kill -INT $watching
kill -TERM $watching
wait $watching
got=$?
[ $got = 0 ] || fail "ended with $got after SIGTERM: $(cat "$directory/err")"
grep -q "^R3 holds" "$directory/err" || fail "R3: $(cat "$directory/err")"
grep -q "no registry" "$directory/err" || fail "the summary does not speak of the registry"
# A lost record would be announced; then, and only then, fewer may be there. And on a busy machine a process may wait for its exec for
# so long that it is shown as what it was before: the summary counts those.
if grep -q "lost by the Linux kernel: 0" "$directory/err" && ! grep -q '"type":"loss"' "$directory/out"; then
  count=$(grep '"type":"process_create"' "$directory/out" | grep -c "$counted\"")
  waited=$(sed -n 's/.* forks without exec (\([0-9]*\) after waiting).*/\1/p' "$directory/err")
  [ "$count" -le 20 ] && [ $((count + waited)) -ge 20 ] || fail "20 processes ran, $count were shown, $waited waited for exec"
fi
grep -v '^{"type":"[a-z_]*","cpu":[0-9]*,"time":"20[0-9-]*T[0-9:]*\.[0-9]\{7\}Z","context_pid":.*}$' "$directory/out" \
  && fail "a line of another form"

# SIGINT, where it is not ignored, ends the run in the same way; a second signal ends the process at once.
python3 - "$tool" "$directory" <<'PYTHON' || fail "SIGINT"
import array, fcntl, os, signal, subprocess, sys, termios, time
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
read_end, write_end = os.pipe()
fcntl.fcntl(write_end, 1031, 4096)  # F_SETPIPE_SZ
process = start(write_end)
os.close(write_end)
def filled():
    count = array.array('i', [0])
    fcntl.ioctl(read_end, termios.FIONREAD, count)
    return count[0]
until = time.monotonic() + 120
while filled() == 0 and time.monotonic() < until:
    subprocess.run(['/bin/true'])
for _ in range(50):
    subprocess.run(['/bin/true'])  # more than 1 KB of lines each
assert filled() > 0
process.send_signal(signal.SIGINT)
time.sleep(0.5)
assert process.poll() is None, process.returncode
# Two signals that come before the first is taken are one: on a busy machine it takes more.
until = time.monotonic() + 120
while process.poll() is None and time.monotonic() < until:
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
assert process.poll() == -signal.SIGINT, process.returncode
PYTHON

# Events of a type that was not asked for do not appear, and are no loss.
"$tool" watch --duration 1s --types process --format jsonl >"$directory/out" 2>"$directory/err" || fail "--types process: $(cat "$directory/err")"
grep -q '"type":"\(thread\|image\)' "$directory/out" && fail "types that were not asked for"

# A reader that goes away ends the run well.
{ "$tool" watch --duration forever 2>"$directory/err"; echo $? >"$directory/code"; } | head -n 1 >"$directory/out" &
reader=$!
for i in $(seq 1200); do [ -s "$directory/code" ] && break; /bin/true; sleep 0.1; done
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
