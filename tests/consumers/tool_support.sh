# What the tests of the tool as a process share; to be sourced. $1 is the tool.
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
