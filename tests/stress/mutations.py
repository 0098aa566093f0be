#!/usr/bin/env python3
"""Breaks Sluice in one place at a time and shows which breaks the stress finds, and how fast.

usage: mutations.py [--only NAME,...] [--build DIR] [--tsan] [--check]

Works on a copy of the tree; the tree itself is not touched. A break that no longer applies to the code is an error: it
has to be adapted. Prints a table in Markdown. Exit code: 0 every break was found (and the unbroken copy gave no error), 1 one was
not, or does not build.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["pipeline", "producers", "consumers", "cmake", "kernel_port/sim", "kernel_port/driver", "kernel_port/nt", "kernel_port/snapshot", "stress"]

# Without the driver, most breaks need two files compiled and no more.
CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(mutated LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
add_library(sluice_warnings INTERFACE)
add_library(sluice_options INTERFACE)
target_include_directories(sluice_options INTERFACE ${PROJECT_SOURCE_DIR})
if(TSAN)
  target_compile_options(sluice_options INTERFACE -fsanitize=thread -Wno-tsan)
  target_link_options(sluice_options INTERFACE -fsanitize=thread)
endif()
include(cmake/compile_time.cmake)
add_subdirectory(pipeline)
add_subdirectory(kernel_port/sim)
add_subdirectory(kernel_port/driver EXCLUDE_FROM_ALL)
add_subdirectory(consumers EXCLUDE_FROM_ALL)
add_subdirectory(stress EXCLUDE_FROM_ALL)
file(GLOB sources stress/*.cpp)
list(FILTER sources EXCLUDE REGEX "driver|torture|busy_activity|/options.cpp")
file(GLOB producers producers/*.cpp pipeline/native_merge.cpp)
set_source_files_properties(${producers} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
add_executable(channel_stress ${sources} ${producers})
set_target_properties(channel_stress PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 100)
add_library(unchanged STATIC stress/options.cpp without_driver.cpp)
target_link_libraries(unchanged PUBLIC sluice_pipeline sluice_sim fmt::fmt)
target_link_libraries(channel_stress PRIVATE unchanged Threads::Threads)
target_compile_options(channel_stress PRIVATE -O0 ${BREAK})
"""
WITHOUT_DRIVER = """
#include "stress/driver_run.h"
#include "stress/torture_run.h"
namespace sluice::stress {
void run_on_driver(const stress_options&) {}
void run_torture(const stress_options&) {}
}
"""

LIMIT = 300  # seconds for one run
EXACT = "--no-perturb --events 200k"
PERTURBED = "--events 100k"
SMALL = "--no-perturb --events 200k --ring-size 8KiB --spare-size 8KiB"
STRICT = "--no-perturb --events 100k --set-aside 0"
DRIVER = "--target driver --no-perturb --events 200k"
ALL = [EXACT, SMALL, PERTURBED, STRICT]


class mutation:
    def __init__(self, name, *edits, runs=None, what=""):
        self.name, self.edits, self.runs, self.what = name, edits, runs or ALL, what


RINGS, RING, READER = "pipeline/cpu_rings.h", "pipeline/ring.h", "pipeline/ring_reader.h"
MERGE, LEDGER, CHANNEL = "pipeline/merge.h", "pipeline/ledger.h", "producers/channel.h"

MUTATIONS = [
    mutation("the clock is read before the record is published",
             (RINGS, """    main_.publish();
    main_.put_time(record, now());""", """    const uint64_t time = now();
    main_.publish();
    main_.put_time(record, time);"""),
             (RINGS, """      main_.publish();
      main_.stamp(record, now());""", """      const uint64_t time = now();
      main_.publish();
      main_.stamp(record, time);""")),
    mutation("a discarded reservation is committed",
             (CHANNEL, "  void discard() { end(record_state::discarded); }", "  void discard() { end(record_state::committed); }")),
    mutation("no LOSS record is written",
             (LEDGER, "bool gap_is_open() const { return gap_entries_ != 0; }", "bool gap_is_open() const { return false; }")),
    mutation("a LOSS record forgets one event",
             (LEDGER, "    put64(data, entry + 8, gap_[type]);".replace("    put64", "      put64"),
              "      put64(data, entry + 8, gap_[type] > 2 ? gap_[type] - 1 : gap_[type]);")),
    mutation("a LOSS record has an earlier time than its event",
             (RINGS, "      lane.put_time(loss, time);", "      lane.put_time(loss, time - 1);")),
    mutation("a gap is announced behind the next event instead of in front of it",
             (RING, """    if (loss.length != 0) {
      put_record({loss.length, record_type_loss, 1, true}, loss);
      ledger.write_loss(data_, loss.offset + record_header_size);
      ledger.attempt(record_type_loss);
    }
    put_record(shape, record);
""", """    put_record(shape, record);
    if (loss.length != 0) {
      put_record({loss.length, record_type_loss, 1, true}, loss);
      ledger.write_loss(data_, loss.offset + record_header_size);
      ledger.attempt(record_type_loss);
    }
""")),
    mutation("an open record's room is given back (the reader releases past what it set aside)",
             (READER, "const uint64_t position = set_aside_count_ != 0 ? set_aside_[0].position : cursor_;",
              "const uint64_t position = cursor_;")),
    mutation("an open record's room is given back and taken (neither side looks)",
             (READER, "const uint64_t position = set_aside_count_ != 0 ? set_aside_[0].position : cursor_;",
              "const uint64_t position = cursor_;"),
             (RING, "if (!is_closed(state_of(state_and_length)) || stride", "if (stride")),
    mutation("ordinary events may fill the critical part",
             (RING, "return shape.critical ? capacity_ : ordinary_limit_;", "return shape.critical ? capacity_ : capacity_;")),
    mutation("critical events never use the spare ring",
             (RINGS, "= shape.critical && shape.length <= spare_.max_record();", "= false;")),
    mutation("the look at the announcement comes before the close",
             (CHANNEL, "  record_.close(state);\n  channel_->after_close(cpu_, type_);",
              "  channel_->after_close(cpu_, type_);\n  record_.close(state);"),
             (CHANNEL, "    record.close(state);\n    after_close(cpu, type);", "    after_close(cpu, type);\n    record.close(state);")),
    mutation("write looks at the announcement behind its section (the thread can be suspended in between)",
             (CHANNEL, """    const dispatch_section section;
    return write_in(section.cpu(), type, version, payload, length);
""", """    uint32_t cpu;
    reserve_status status;
    {
      const dispatch_section section;
      cpu = section.cpu();
      status = rings_[cpu].write(type, version, payload, length);
    }
    if (status == reserve_status::ok) after_close(cpu, type);
    return status;
""")),
    mutation("a discard does not signal",
             (CHANNEL, "    record.close(state);\n    after_close(cpu, type);",
              "    record.close(state);\n    if (state == record_state::committed) after_close(cpu, type);")),
    mutation("the producer clears the announcement after its signal",
             ("producers/channel.cpp", "  KeSetEvent(signal_, IO_NO_INCREMENT, FALSE);  //",
              "  KeSetEvent(signal_, IO_NO_INCREMENT, FALSE);\n  wake_.announce(announcement::running);  //")),
    mutation("at level threshold, critical events do not signal",
             ("producers/channel.cpp", "if (level == announcement::threshold && (options_.critical_types >> type & 1) == 0) {",
              "if (level == announcement::threshold) {")),
    mutation("the consumer may sleep though a closed record is pending",
             (MERGE, "(end == pass_end::idle_bound && !closed_pending)", "end == pass_end::idle_bound || end == pass_end::reserved"),
             runs=[EXACT, PERTURBED]),
    mutation("an idle ring's bound is T + 1 tick",
             (MERGE, "idle_key_ = bound == 0 ? 0 : bound - 1;", "idle_key_ = bound + 1;")),
    mutation("an idle ring's bound is T, not T - 1 tick",
             (MERGE, "idle_key_ = bound == 0 ? 0 : bound - 1;", "idle_key_ = bound;")),
    mutation("the rings are looked at before T is taken",
             (MERGE, """    const uint64_t bound = order_.take_bound(clock_);
""", """    for (uint32_t i = 0; i < count_; ++i) heads_[i] = readers_[i].look();
    const uint64_t bound = order_.take_bound(clock_);
"""),
             (MERGE, """      heads_[i] = readers_[i].look();
      tree_.set(i, key_of(i));""", """      tree_.set(i, key_of(i));""")),
    mutation("a reserved head's bound is T",
             (MERGE, "return head.state == head_state::empty ? idle_key_ : head.time;\n",
              "return head.state == head_state::empty || head.state == head_state::reserved ? idle_key_ : head.time;\n")),
    mutation("a stamped head does not stop the merge (time <= frontier is emitted)",
             (MERGE, "return head.state == head_state::empty ? idle_key_ : head.time;\n",
              "return head.state == head_state::empty ? idle_key_ : head.state == head_state::stamped ? idle_key_ : head.time;\n")),
    mutation("no barrier between T and the look (exact order)",
             ("stress/membarrier.cpp", "  if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {",
              "  if (false) {")),
    mutation("a late record is not marked",
             (READER, "which.offset, cpu_, lane_, true};", "which.offset, cpu_, lane_, false};")),
    mutation("a record that was set aside is forgotten",
             (READER, "bool done = head.state == head_state::discarded;", "bool done = head.state >= head_state::committed;"),
             (READER, "        done = accept(record);\n        if (done) ++found.accepted;", "        (void)record;\n        (void)accept;")),
    mutation("attempts are not counted when the record is dropped",
             (LEDGER, "    ++rows_[type].dropped[static_cast<uint32_t>(reason)];",
              "    ++rows_[type].dropped[static_cast<uint32_t>(reason)];\n    --rows_[type].attempted;")),
    mutation("discarded records are counted as committed",
             (LEDGER, "      ++rows_[type].discarded;", "      ++rows_[type].committed;")),
    mutation("the spare ring's times do not rise strictly",
             (RINGS, "      time = last_time_ + 1;\n      last_time_ = time + 1;", "      time = last_time_;")),
    mutation("the consumer's word is compared without wrapping",
             (RING, "if (claim_untrusted - begin > used) return violate();", "if (claim_untrusted > write_) return violate();")),
    mutation("a claim inside a record is accepted",
             (RING, "|| stride > claimed - passed) [[unlikely]]", "|| false) [[unlikely]]")),
    mutation("reserve_event enters no critical region",
             ("producers/channel.cpp", "const bool enter = KeGetCurrentIrql() < DISPATCH_LEVEL;", "const bool enter = false;")),
    mutation("a record may be longer than the longest",
             (RINGS, "longest_payload_ = main_.max_record() - record_header_size;", "longest_payload_ = max_record_limit;")),
    mutation("the driver's worker announces its sleep after its last look",
             ("kernel_port/driver/worker.cpp", "  channel_->wake().announce(announcement::any_close);\n  pass_result result{};", "  pass_result result{};"),
             ("kernel_port/driver/worker.cpp", "  if (result.may_sleep() && result.emitted == 0 &&", "  channel_->wake().announce(announcement::any_close);\n  if (result.may_sleep() && result.emitted == 0 &&"),
             runs=[DRIVER, DRIVER.replace("--no-perturb", "")]),
    mutation("the driver's batches lose a record when they are full",
             ("kernel_port/driver/worker.cpp", "if (!(direct_ ? open_batch() && batch_.add(record) : share_out(record))) return false;",
              "if (direct_ ? !open_batch() : !share_out(record)) return false;\n  if (direct_ && !batch_.add(record)) return true;"),
             runs=[DRIVER]),
    # Believed to be out of the stress's reach: docs/stress.md says why.
    mutation("times are not clamped (the simulated clock never goes back)",
             (RINGS, "      if (last_time_ - time <= step_back_) time = last_time_;", "")),
]

ORDERS = ["publish", "observe_published", "stamp", "close", "observe_state", "release_consumed", "observe_consumed",
          "observe_closed", "publish_loss", "observe_loss"]


def copy_tree(to):
    for part in PARTS:
        shutil.copytree(ROOT / part, to / part, dirs_exist_ok=True)
    (to / "CMakeLists.txt").write_text(CMAKE)
    (to / "without_driver.cpp").write_text(WITHOUT_DRIVER)


def write(path, text):
    """Only if it differs: what did not change is not compiled again."""
    if path.read_text() != text:
        path.write_text(text)


def edited(edits):
    """The files that the edits change, as they are with them."""
    changed = {}
    for name, old, new in edits:
        text = changed.get(name, (ROOT / name).read_text())
        if text.count(old) < 1:
            sys.exit(f"mutations.py: {name} no longer holds:\n{old}")
        changed[name] = text.replace(old, new)
    return changed


def apply(to, edits):
    """All files of the copy as in the tree, but for the edits."""
    changed = edited(edits)
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            if path.is_file():
                name = str(path.relative_to(ROOT))
                target = to / name
                if path.suffix in (".h", ".cpp"):
                    write(target, changed.get(name, path.read_text()))


def run(command, limit):
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=limit)
        return process.returncode, output, time.monotonic() - start
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return None, output, time.monotonic() - start


def verdict(code, output):
    match = re.search(r"BROKEN (\S+): (.*)", output)
    if match:
        return f"{match.group(1).rstrip(':')}: {match.group(2)[:110]}"
    match = re.search(r"(WARNING: ThreadSanitizer: [a-z ]+|BUGCODE|\*\*\* .*|bug check.*)", output)
    return match.group(1) if match else f"exit code {code}"


def configure(to, directory, options=()):
    return ["cmake", "-S", str(to), "-B", str(directory), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
            "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -w", *options]


def build(to, directory, target, options):
    for command in (configure(to, directory, options), ["ninja", "-C", str(directory), target]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(done.stdout[-3000:], file=sys.stderr)
            return False
    return True


def try_one(binary, runs, prefix=()):
    total, slow = 0.0, ""
    for arguments in runs:
        code, output, seconds = run([*prefix, str(binary), *arguments.split()], LIMIT)
        total += seconds
        if code is None:
            slow = " (one run was stopped after %d s)" % LIMIT
        elif code != 0:
            return verdict(code, output), arguments, total
    return None, slow, total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    parser.add_argument("--build", default="/tmp/sluice-mutations", help="where to copy and build")
    parser.add_argument("--tsan", action="store_true", help="weaken one memory order at a time, under ThreadSanitizer")
    parser.add_argument("--check", action="store_true", help="only whether each break still applies to the code, and the copy can be configured")
    arguments = parser.parse_args()
    if arguments.check:
        for each in MUTATIONS:
            edited(each.edits)
        with tempfile.TemporaryDirectory() as directory:
            to = Path(directory) / "tree"
            to.mkdir()
            copy_tree(to)
            done = subprocess.run(configure(to, Path(directory) / "build"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                sys.exit(f"{done.stdout}\nmutations.py: the copy cannot be configured")
        print(f"{len(MUTATIONS)} breaks apply, and the copy can be configured")
        return
    to = Path(arguments.build) / "tree"
    to.mkdir(parents=True, exist_ok=True)
    copy_tree(to)
    chosen = [word for word in arguments.only.split(",") if word]
    wanted = lambda name: not chosen or any(word in name for word in chosen)
    print("| break | found | by | after |\n|---|---|---|---|", flush=True)

    if arguments.tsan:
        apply(to, [])
        for order in ["none", *ORDERS]:
            if not wanted(order):
                continue
            directory = Path(arguments.build) / "tsan"
            options = ["-DTSAN=ON", "-DBREAK=" + ("" if order == "none" else f"-DSLUICE_ORDER_{order}=relaxed")]
            if not build(to, directory, "channel_stress", options):
                sys.exit(f"{order}: does not build")
            os.environ["TSAN_OPTIONS"] = "halt_on_error=1"
            found, by, seconds = try_one(directory / "bin/channel_stress",
                                         ["--events 20k", "--events 20k --no-perturb --ring-size 8KiB --spare-size 8KiB"],
                                         ["setarch", "-R"])
            print(f"| order `{order}` relaxed | {found or 'no'} | {by} | {seconds:.1f} s |", flush=True)
        return

    good = True
    for each in [mutation("nothing"), *MUTATIONS]:
        if not wanted(each.name):
            continue
        apply(to, each.edits)
        directory = Path(arguments.build) / "build"
        target = "sluice_stress" if any("driver" in run for run in each.runs) else "channel_stress"
        if not build(to, directory, target, []):
            print(f"| {each.name} | does not build | | |", flush=True)
            good = False
            continue
        found, by, seconds = try_one(directory / "bin" / target, each.runs)
        print(f"| {each.name} | {found or 'no'} | {'`' + by + '`' if by else ''} | {seconds:.1f} s |", flush=True)
        good &= (found is None) == (not each.edits)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
