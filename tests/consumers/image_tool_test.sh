#!/bin/sh
# The tool and images: a machine that is killed with -9 leaves its last events. $1 is the tool.
. "$(dirname "$0")/tool_support.sh"

expect 1 "No such file" watch --source image:/nonexistent
expect 1 "directory" watch --source "image:$directory"
expect 1 "no rings of sluice in" watch --source "image:$0"
expect 1 "no rings of sluice in" stats "$0"
expect 1 "but not a core file" watch --source "image:$tool"
expect 1 "names no file" watch --source image:
expect 1 "need --source image" watch --source synthetic --unread
expect 1 "their events have their CPUs already" watch --source image:x --cpus 2
expect 1 "recording or an image needs none" watch --source image:x --memory y
expect 1 "File exists" watch --source synthetic --memory "$0"
expect 1 "No such file" watch --source synthetic --memory /nonexistent/file

# A machine that is switched off leaves no file.
"$tool" watch --source synthetic --rate 2000 --cpus 2 --memory "$directory/memory" --duration 100ms >"$directory/out" 2>"$directory/err" \
  || fail "--memory: $(cat "$directory/err")"
[ ! -e "$directory/memory" ] || fail "the memory of a machine that was switched off is still there"

python3 "$(dirname "$0")/image_kill_test.py" "$tool" "$directory" || failures=$((failures + 1))

[ $failures = 0 ] || exit 1
echo "all as expected"
