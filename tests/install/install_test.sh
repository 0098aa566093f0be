#!/bin/sh
# Installs the client library into a prefix of its own, and builds somebody else's project against it: by find_package, and by
# pkg-config with nothing but a compiler. $1: the build tree, $2: the source tree.
set -eu
build=$1
source=$2
directory=$(mktemp -d)
simulated=
trap '[ -z "$simulated" ] || kill $simulated 2>/dev/null || :; rm -rf "$directory"' EXIT
prefix=$directory/prefix
outside=$directory/outside

fail() {
  echo "install: $*" >&2
  exit 1
}
quietly() {
  "$@" >"$directory/log" 2>&1 || { cat "$directory/log" >&2; fail "failed: $*"; }
}
# Programs of the outside: without a kernel of that name they say so, and end with 3.
knows_nobody() {
  status=0
  "$1" there-is-no-kernel-of-this-name 1 >"$directory/out" 2>"$directory/err" || status=$?
  [ "$status" = 3 ] || fail "$1 ended with $status: $(cat "$directory/err")"
  grep -q there-is-no-kernel-of-this-name "$directory/err" || fail "$1 does not say whom it looked for: $(cat "$directory/err")"
}

quietly cmake --install "$build" --prefix "$prefix" --component client
cp -r "$source/tests/install/outside" "$outside"  # away from the source tree
if grep -rlF -e "$source" -e "$build" "$prefix" --include='*.cmake' --include='*.pc' --include='*.h'; then
  fail "these name the tree that they were built from"
fi
[ ! -e "$prefix/include/sluice/kernel_port/sim" ] || fail "headers of the simulated kernel are installed"

# Every header that is there finds all that it includes.
(cd "$prefix/include/sluice" && find . -name '*.h' | sort | sed 's|^./\(.*\)$|#include "\1"|') >"$directory/all.cpp"
quietly c++ -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I"$prefix/include/sluice" "$directory/all.cpp"

quietly cmake -S "$outside" -B "$outside/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
quietly cmake --build "$outside/build"
knows_nobody "$outside/build/outside_cpp"
knows_nobody "$outside/build/outside_c"

# And with a kernel of that name: the tool is installed, too.
quietly cmake --install "$build" --prefix "$prefix" --component tool
export SLUICE_RUNTIME_DIR="$directory/runtime"
mkfifo "$directory/serving"
"$prefix/bin/sluice" simulate outside --source synthetic --rate 2000 --cpus 2 >"$directory/serving" 2>"$directory/simulated" &
simulated=$!
read -r line <"$directory/serving" || fail "nobody serves: $(cat "$directory/simulated")"
case $line in serving*) ;; *) fail "simulate says '$line'" ;; esac
quietly "$outside/build/outside_cpp" outside 100
quietly "$outside/build/outside_c" outside 100
kill -TERM $simulated  # a shell has its background ignore SIGINT
wait $simulated || fail "simulate ended badly: $(cat "$directory/simulated")"

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name sluice.pc)")
export PKG_CONFIG_PATH
# Words of flags, as they are meant to be.
# shellcheck disable=SC2046
quietly c++ -std=c++20 -Wall -Wextra -Werror -o "$directory/by_pkg_config" "$outside/outside.cpp" $(pkg-config --cflags --libs sluice)
knows_nobody "$directory/by_pkg_config"
# shellcheck disable=SC2046
quietly cc -std=c99 -pedantic -Wall -Wextra -Werror -o "$directory/by_pkg_config_c" "$outside/outside.c" $(pkg-config --cflags --libs sluice)
knows_nobody "$directory/by_pkg_config_c"
