#!/usr/bin/env python3
"""Every file includes what it names of the standard library, itself or through a header of the project.

Most builds compile sources together or with precompiled headers (cmake/compile_time.cmake), which hides a missing #include;
here the text is read, no compiler. What std::NAME needs is in HEADERS; a name that is not there is not looked at.

    includes_gate.py [--root DIRECTORY]
"""
import argparse
import pathlib
import re
import sys

FOLDERS = ["pipeline", "producers", "kernel_port", "consumers", "stress", "bench", "tests"]

HEADERS = {
    "algorithm": "adjacent_find all_of any_of binary_search clamp copy copy_if copy_n count count_if equal equal_range fill fill_n find "
                 "find_if find_if_not for_each generate includes is_sorted lower_bound max max_element min min_element minmax mismatch "
                 "move_backward next_permutation none_of nth_element partition remove remove_if replace reverse rotate search set_difference "
                 "shuffle sort stable_partition stable_sort transform unique upper_bound",
    "array": "array to_array",
    "atomic": "atomic atomic_bool atomic_flag atomic_ref atomic_signal_fence atomic_thread_fence",
    "bit": "bit_cast bit_ceil bit_floor bit_width countl_zero countr_zero endian has_single_bit popcount rotl rotr",
    "charconv": "from_chars from_chars_result to_chars to_chars_result",
    "condition_variable": "condition_variable condition_variable_any cv_status",
    "deque": "deque",
    "filesystem": "filesystem",
    "fstream": "fstream ifstream ofstream",
    "functional": "bind function hash invoke mem_fn not_fn ref cref reference_wrapper",
    "future": "async future packaged_task promise shared_future",
    "iostream": "cerr cin clog cout",
    "latch": "latch",
    "limits": "numeric_limits",
    "list": "list",
    "map": "map multimap",
    "memory": "allocator allocator_traits enable_shared_from_this make_shared make_unique shared_ptr unique_ptr weak_ptr",
    "mutex": "call_once lock_guard mutex once_flag recursive_mutex scoped_lock timed_mutex unique_lock",
    "numeric": "accumulate gcd inner_product iota lcm midpoint partial_sum reduce",
    "optional": "nullopt optional",
    "queue": "priority_queue queue",
    "random": "bernoulli_distribution discrete_distribution mt19937 mt19937_64 random_device uniform_int_distribution "
              "uniform_real_distribution",
    "semaphore": "binary_semaphore counting_semaphore",
    "set": "multiset set",
    "shared_mutex": "shared_lock shared_mutex",
    "span": "as_bytes as_writable_bytes dynamic_extent span",
    "sstream": "istringstream ostringstream stringstream",
    "stop_token": "stop_callback stop_source stop_token",
    "string": "stoi stol stoul stoull string to_string u16string u8string wstring",
    "system_error": "error_category error_code generic_category system_category system_error",
    "thread": "jthread this_thread thread",
    "tuple": "forward_as_tuple make_tuple tie tuple",
    "unordered_map": "unordered_map unordered_multimap",
    "unordered_set": "unordered_multiset unordered_set",
    "variant": "get_if holds_alternative monostate variant visit",
    "vector": "vector",
    "chrono": "chrono",
}
# Who has the one has the other, by the standard or because nobody has written a library where it is not so.
BRINGS = {"condition_variable": ["mutex"], "thread": ["stop_token"], "iostream": ["string"], "sstream": ["string"], "fstream": ["string"],
          "filesystem": ["string"], "future": ["thread", "mutex"], "system_error": ["string"]}
NEEDS = {name: header for header, names in HEADERS.items() for name in names.split()}

COMMENT_OR_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|R\"([^(]*)\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.S)
INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", re.M)
USE = re.compile(r"(?<![\w:])(?:::)?std::(\w+)")


def without_comments(text):
    return COMMENT_OR_TEXT.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


class Sources:
    def __init__(self, root):
        self.root = root
        self.known = {}

    def find(self, name, beside):
        for place in (self.root, beside.parent, self.root / "kernel_port/sim/include"):
            if (place / name).is_file():
                return place / name
        return None

    def brought_by(self, path):
        """The standard headers that including `path` brings."""
        if path in self.known:
            return self.known[path]
        brought = self.known[path] = set()  # what includes itself in a circle ends here
        for _, name in INCLUDE.findall(path.read_text(errors="replace")):
            inside = self.find(name, path)
            brought |= self.brought_by(inside) if inside else {name, *BRINGS.get(name, [])}
        return brought


def missing(sources, path):
    """(line, what is named, what it needs)"""
    brought = sources.brought_by(path)
    text = without_comments(path.read_text(errors="replace"))
    reported = set()
    for use in USE.finditer(text):
        header = NEEDS.get(use.group(1))
        if header and header not in brought and header not in reported:
            reported.add(header)
            yield text.count("\n", 0, use.start()) + 1, use.group(1), header


def check(root):
    """What is missing, as lines to print; and how many files there are."""
    sources = Sources(root)
    files = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*") if path.suffix in (".h", ".cpp"))
    if not files:
        raise SystemExit(f"includes_gate.py: no source in {root}")
    return [f"{path.relative_to(root)}:{line}: std::{name} without #include <{header}>"
            for path in files for line, name, header in missing(sources, path)], len(files)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    found, count = check(parser.parse_args().root)
    print("\n".join([*found, f"{count} files, {len(found)} missing"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
