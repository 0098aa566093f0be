#!/usr/bin/env python3
"""Breaks the pipeline by hand and sees whether its tests notice.

Each fault replaces one piece of text in one header of a copy of pipeline/; the tests named with it are built against the
copy and must fail. The same tests are first built against the headers as they are and must pass. A fault that survives, no
longer applies or no longer compiles is an error: exit status 1.

    mutate.py                  all faults
    mutate.py --quick          one for each of ring, ledger, reader, merge and wake
    mutate.py WORD ...         those whose names contain a WORD
    mutate.py --reference      each fault also under tests/reference: does it disagree, and how short is the shortest case
    mutate.py --known FILE     keeps results there, and does not repeat what was seen with exactly the same sources
    mutate.py --page FILE      all faults, with the reference, as a page of docs/ (`./run prove --long` makes it)
"""
import argparse
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE_CASES = 1000


@dataclasses.dataclass
class Fault:
    name: str
    header: str
    old: str
    new: str
    test: str  # the file whose tests must notice
    quick: bool = False


CLAMP = "      if (last_time_ - time <= step_back_) time = last_time_;  // otherwise: a new epoch\n"

# The first steps of a pass.
BOUND = "    const uint64_t bound = order_.take_bound(clock_);\n"
SET_KEY = "    idle_key_ = bound == 0 ? 0 : bound - 1;\n    follow_clock(bound);\n    take_new_rings(accept);\n"
TAKE_LATE = "    if (!take_late(accept, result)) return finish(result, pass_end::sink_full, 0);\n"

CLAIM_ENDS_RECORD = """ || stride > claimed - passed) [[unlikely]] {
        reclaimed_ = begin + passed;
        return violate();
      }
"""
STATE_ONLY = CLAIM_ENDS_RECORD.replace(" || stride > claimed - passed", "")

FAULTS = [
    # Region
    Fault("region without apron", "region.h", "round_up_to_page(geometry.capacity + geometry.max_record)",
          "round_up_to_page(geometry.capacity)", "region"),
    Fault("region longer than its memory accepted", "region.h",
          "  if (header.region_bytes > bytes) return region_status::wrong_size;\n", "", "region"),
    Fault("record longer than its length field accepted", "region.h",
          " || geometry.max_record > max_record_limit", "", "region"),

    # Ring
    Fault("R1: one byte short of full is full", "ring.h", "+ need <= limit; }", "+ need < limit; }", "ring"),
    Fault("R1: eight bytes more than the capacity", "ring.h", "+ need <= limit; }", "+ need <= limit + 8; }", "ring"),
    Fault("R6: critical part open to everybody", "ring.h", "return shape.critical ? capacity_ : ordinary_limit_;",
          "return capacity_;", "ring", quick=True),
    Fault("R6: critical part closed to everybody", "ring.h", "return shape.critical ? capacity_ : ordinary_limit_;",
          "return ordinary_limit_;", "ring"),
    Fault("R1: reclaim passes an open record", "ring.h", "!is_closed(state_of(state_and_length)) || ", "",
          "hostile_consumer"),
    Fault("R5: claim inside a record accepted", "ring.h", CLAIM_ENDS_RECORD,
          STATE_ONLY + "      if (stride > claimed - passed) { passed = claimed; continue; }\n", "hostile_consumer"),
    Fault("R5: the walk jumps to the claim", "ring.h", CLAIM_ENDS_RECORD,
          STATE_ONLY + "      if (stride > claimed - passed) { reclaimed_ = begin + claimed; return true; }\n",
          "hostile_consumer"),
    Fault("R5: claim ahead of what was written accepted", "ring.h",
          "if (claim_untrusted - begin > used) return violate();",
          "if (claim_untrusted - begin > capacity_) return violate();", "hostile_consumer"),
    Fault("R5: claim out of range ignored instead of counted", "ring.h",
          "if (claim_untrusted - begin > used) return violate();",
          "if (claim_untrusted - begin > used) return true;", "hostile_consumer"),
    Fault("R5: claim read twice", "ring.h", "claim_ = claim_untrusted;",
          "claim_ = consumer_->consumed.load(order::observe_consumed);",
          "hostile_consumer"),
    Fault("R5: reclaiming goes on after a violation", "ring.h", "if (violations_ != 0) return true;", "",
          "hostile_consumer"),
    Fault("M2: what is left of an earlier claim hides what was released since", "ring.h",
          "if (claim_ - begin < wanted) {", "if (claim_ == begin) {", "ring"),
    Fault("R3: settled at what is left of an earlier claim", "ring.h", "passed == claimed && !claim_is_old", "passed == claimed",
          "ring"),
    Fault("R4: LOSS forgotten", "ring.h", "if (ledger.gap_is_open()) {", "if (false) {", "loss"),
    Fault("R4: gap overlooked while there is room", "cpu_rings.h", "    main_.announce_first();\n", "", "loss"),
    Fault("R1: what was given out stays to be given out", "ring.h", "    room_ -= need;\n", "", "cpu_rings"),
    Fault("R6: the critical part is given out at once to everybody", "ring.h",
          "room_ = !overwrites_ && used < ordinary_limit_ ? ordinary_limit_ - used : 0;", "room_ = capacity_ - used;", "critical"),
    Fault("R4: room for LOSS not asked for", "ring.h", "need += record_stride(loss.length);", "", "loss"),
    Fault("R3: LOSS not counted as attempted", "ring.h", "ledger.attempt(record_type_loss);", "", "loss"),
    Fault("header published as none", "ring.h", "store(make_state_and_length(record_state::reserved, shape.length)",
          "store(make_state_and_length(record_state::none, shape.length)", "cpu_rings"),

    # What a CPU writes to
    Fault("M1: write reads the clock before it publishes", "cpu_rings.h",
          "    main_.publish();\n    main_.put_time(record, now());",
          "    const uint64_t early = now();\n    main_.publish();\n    main_.put_time(record, early);", "cpu_rings",
          quick=True),
    Fault("M1: reserve reads the clock before it publishes", "cpu_rings.h",
          "      main_.publish();\n      main_.stamp(record, now());",
          "      const uint64_t early = now();\n      main_.publish();\n      main_.stamp(record, early);", "cpu_rings"),
    Fault("M1: spare lane reads the clock before it publishes", "cpu_rings.h",
          "    lane.publish();\n    uint64_t time = now();",
          "    uint64_t time = now();\n    lane.publish();", "cpu_rings"),
    Fault("R2: time not clamped", "cpu_rings.h", CLAMP, "", "cpu_rings"),
    Fault("R2: spare lane's time equals the main lane's", "cpu_rings.h", "time = last_time_ + 1;", "time = last_time_;",
          "cpu_rings"),
    Fault("R2: main lane's time equals the spare lane's", "cpu_rings.h", "last_time_ = time + 1;", "last_time_ = time;",
          "cpu_rings"),
    Fault("R6: spare lane not used", "cpu_rings.h", "= shape.critical && shape.length <= spare_.max_record();",
          "= false;", "critical"),
    Fault("R6: spare lane open to everybody", "cpu_rings.h",
          "= shape.critical && shape.length <= spare_.max_record();", "= shape.length <= spare_.max_record();", "critical"),
    Fault("type 0 accepted", "cpu_rings.h", "static_cast<uint32_t>(type) - 1 < seam::types - 1", "type < seam::types",
          "cpu_rings"),
    Fault("R4: bytes of a refused length lack the header", "cpu_rings.h",
          "uint64_t{record_header_size} + payload_length", "payload_length", "cpu_rings"),
    Fault("R3: drop not counted", "ledger.h", "++rows_[type].dropped[static_cast<uint32_t>(reason)];", "(void)reason;",
          "account"),

    # Ledger
    Fault("R3: discarded counted as committed", "ledger.h", "if (state == record_state::committed) {", "if (true) {",
          "ring"),
    Fault("R4: figures not published", "ledger.h", "    publish_figures(type);\n", "", "loss"),
    Fault("R4: gap stays open after its announcement", "ledger.h", "    gap_entries_ = 0;\n    gap_bytes_ = 0;",
          "    gap_bytes_ = 0;", "loss", quick=True),
    Fault("R4: counts of an announced gap stay", "ledger.h", "      gap_[type] = 0;\n", "", "loss"),
    Fault("R4: sequence stays even during an update", "ledger.h",
          "figures.sequence.store(++sequence_, memory_order::relaxed);", "++sequence_;", "loss"),
    Fault("R4: reader does not check the sequence again", "ledger.h",
          "return figures.sequence.load(memory_order::relaxed) == before;", "return true;", "loss"),
    Fault("R4: reader takes an odd sequence", "ledger.h", "if (before & 1) return false;", "", "loss"),

    # Reader
    Fault("M3: position read again only after a release", "ring_reader.h",
          "if (!position_is_of_this_pass_) read_position();",
          "if (!position_is_of_this_pass_ && cursor_ == released_) read_position();",
          "ring_reader", quick=True),
    Fault("M1: an earlier pass's position proves a ring empty", "ring_reader.h", "    position_is_of_this_pass_ = false;\n", "",
          "merge"),
    Fault("M1: reserved head without a bound", "ring_reader.h", "from this ring.\n    head.time = last_time_;",
          "from this ring.\n    head.time = ~uint64_t{0} / 2;", "merge"),
    Fault("M3: reserved head bounded by the beginning of time", "ring_reader.h", "    last_time_ = head.time;\n", "",
          "merge_late"),
    Fault("R1: room of a record set aside given back", "ring_reader.h",
          "set_aside_count_ != 0 ? set_aside_[0].position : cursor_", "cursor_", "ring_reader"),
    Fault("length past the published position believed", "ring_reader.h", "record_stride(length) > room || ", "",
          "ring_reader"),
    Fault("length past the longest record believed", "ring_reader.h", "length > max_record_ || ", "", "ring_reader"),
    Fault("state never written believed", "ring_reader.h", "state == record_state::none || ", "", "ring_reader"),
    Fault("M2: refused late record forgotten", "ring_reader.h", "if (!done) set_aside_", "if (head.state == head_state::stamped) set_aside_",
          "ring_reader"),

    # Clock epochs
    Fault("R2: a step back is waited for, however long", "cpu_rings.h", CLAMP,
          "      time = last_time_;\n", "epoch"),
    Fault("R2: every step back begins an epoch", "ring_reader.h", "if (floor - head.time > step_back_) ", "", "epoch"),
    Fault("M1: a ring knows its epoch by its own records alone", "merge.h",
          "if (head.state == head_state::empty) readers_[i].prove_empty(bounds_.epoch(), idle_bound_);", "", "epoch"),
    Fault("M1: what is of a later epoch is emitted at once", "ring_reader.h",
          "    if (ahead_) [[unlikely]] head = hidden(head);\n    // With", "    // With", "epoch"),
    Fault("M1: T of a later epoch is no bound of the stream's, but its number is taken for one", "merge.h",
          "idle_key_ = bounds_.epoch() > epoch_ ? tournament::never : 0;", "idle_key_ = idle_bound_;", "epoch"),
    Fault("M1: T of an earlier epoch lets the stream go on", "merge.h",
          "idle_key_ = bounds_.epoch() > epoch_ ? tournament::never : 0;", "idle_key_ = tournament::never;", "epoch"),
    Fault("M3: T never learns of an epoch that the rings have shown", "epoch.h", "if (seen > epoch_) {", "if (false) {",
          "epoch"),
    Fault("M3: T is compared with T alone", "merge.h", "        bounds_.saw(head.time);", "        (void)head;", "epoch_open"),
    Fault("R2: the stream's time goes back with the counter", "merge.h", "    offset_ = next.offset();\n", "", "epoch"),
    Fault("R2: an epoch begins before the end of the one before", "merge.h",
          "(last_.key > end_of_epoch_ ? last_.key : end_of_epoch_) + offset_ + 1;", "end_of_epoch_ + offset_;", "epoch"),
    Fault("R2: a record set aside comes with the time of a later epoch", "ring_reader.h", "head.time + which.offset",
          "head.time", "epoch_open"),
    Fault("M2: an epoch that the sink refused is not told again", "merge.h", "      if (!accept.begin_epoch(next)) return false;\n",
          "      (void)accept.begin_epoch(next);\n", "epoch_open"),
    Fault("W1: sleeps over a record of a later epoch", "merge.h",
          "      if (head.state == head_state::later_epoch) {\n        result.closed_pending = true;",
          "      if (head.state == head_state::later_epoch) {", "epoch_open"),
    Fault("M3: what an ended epoch left open holds the stream back for as long as the clock went back", "merge.h",
          "bounds_.epoch() == epoch_ ? head.time : bounds_.first();", "head.time;", "epoch_open"),
    # Overwrite mode
    Fault("O1: the tail passes an open record", "ring.h", "      if (!is_closed(state_of(state_and_length))) break;\n", "",
          "overwrite", quick=True),
    Fault("O1: records given up although an open one stands in the way", "ring.h",
          "    if (passed < short_of) return false;\n", "", "overwrite"),
    Fault("O2: the tail is not published", "ring.h", "    move.finish(begin + passed);\n", "", "overwrite"),
    Fault("O2: the copy is not looked at again", "ring_reader.h", "    return !tail_.is_past(record.position);", "    return true;",
          "overwrite_reader", quick=True),
    Fault("O2: a header that was overtaken is believed", "ring_reader.h", "    if (tail_.is_past(position)) return false;\n", "",
          "overwrite"),
    Fault("O2: records are delivered where they stand", "ring_reader.h",
          "    record.data = copy_;\n    record.offset = 0;\n    return !", "    return !", "overwrite_reader"),
    Fault("O2: the tail's high word forgotten", "tail.h", "tail < before ? high + 1 : high", "high", "overwrite"),
    Fault("O2: a copy at the tail is thrown away", "tail.h", "(high << 32 | low) > position", "(high << 32 | low) >= position",
          "overwrite"),
    Fault("O3: discarded records are missed", "ring.h",
          "      if (state_of(state_and_length) == record_state::committed) {\n        move.count(type);",
          "      if (true) {\n        move.count(type);", "overwrite"),
    Fault("O3: what was delivered is missed as well", "ring_reader.h",
          "      if (head.state == head_state::committed) tail_.take(head.type);\n", "", "overwrite"),
    Fault("O3: what was delivered late is missed as well", "ring_reader.h",
          "        if (done && overwrites_) tail_.take(head.type);\n", "", "overwrite_reader"),
    Fault("O3: what was set aside and overwritten is forgotten", "ring_reader.h",
          "        tail_.miss_one(each.position, each.type, record_stride(each.length));\n", "", "overwrite_reader"),
    Fault("O3: what was announced is missed again", "tail.h",
          "    for (uint32_t type = 0; type < seam::types; ++type) accounted_[type] += missed(type);\n", "", "overwrite_reader"),
    Fault("O3: a count above 2^32 starts again", "tail.h", "if (low == 0) committed[1]", "if (false) committed[1]", "overwrite"),
    Fault("R4: what was overwritten is not announced", "ring_reader.h", " && tail_.has_gap()) {", " && false) {", "overwrite"),
    Fault("R4: announced although only discarded records were passed", "tail.h", "    if (missed_events() != 0) return true;\n",
          "    return true;\n", "overwrite"),
    Fault("R3: what was passed is not in the account", "ring.h", "      ledger.pass(type, state_of(state_and_length));\n      if",
          "      if", "overwrite"),
    Fault("R3: everything that was passed counts as unread", "ring.h", "if (at >= seen) ledger.overwrite(type);",
          "ledger.overwrite(type);", "overwrite"),
    Fault("R5: a claim of more than there is counts as read", "ring.h", "seen_untrusted <= used ? seen_untrusted : 0", "seen_untrusted",
          "overwrite"),
    Fault("R6: critical events go to the main ring first", "cpu_rings.h", "spare_first_ = spare.mode == ring_mode::overwrite;",
          "spare_first_ = false;", "overwrite"),
    Fault("figures of the tail: sequence stays even meanwhile", "tail.h",
          "    figures_.sequence.store(sequence_ + 1, memory_order::relaxed);\n", "", "overwrite"),
    Fault("mode not looked at", "region.h",
          "  if (header.mode >= ring_mode_count) return region_status::wrong_mode;\n", "", "region"),

    # Merge
    Fault("M1: barrier before T", "barrier.h",
          "    const uint64_t bound = source.now();\n    compiler_barrier();\n    barrier_();",
          "    barrier_();\n    compiler_barrier();\n    const uint64_t bound = source.now();", "barrier"),
    Fault("M1: no margin", "barrier.h", "now > margin_ ? now - margin_ : 0", "now", "barrier"),
    Fault("M1: rings looked at before the barrier", "merge.h",
          BOUND + SET_KEY + TAKE_LATE + "    for (uint32_t i = 0; i < count_; ++i) {\n      heads_[i] = readers_[i].look();\n",
          "    for (uint32_t i = 0; i < count_; ++i) heads_[i] = readers_[i].look();\n" +
          BOUND + SET_KEY + TAKE_LATE + "    for (uint32_t i = 0; i < count_; ++i) {\n", "merge"),
    Fault("M1: an idle ring's bound is T", "merge.h", "idle_key_ = bound == 0 ? 0 : bound - 1;", "idle_key_ = bound;",
          "merge", quick=True),
    Fault("M1: rings that were added are not looked at", "merge.h", "    take_new_rings(accept);\n", "", "merge_rings"),
    Fault("M1: a ring that was added is of the first epoch", "merge.h", "        readers_[count_].join(epoch_);\n", "", "merge_rings"),
    Fault("M1: rings are counted before T", "merge.h", BOUND + SET_KEY,
          "    take_new_rings(accept);\n" + BOUND + SET_KEY.replace("    take_new_rings(accept);\n", ""), "merge_rings"),
    Fault("M1: time <= frontier", "merge.h", "tournament::before({head.time, i}, runner_up)",
          "head.time <= runner_up.key", "merge"),
    Fault("M1: a batch ignores the other rings", "merge.h", "tournament::before({head.time, i}, runner_up)", "true",
          "merge"),
    Fault("M3: time < frontier", "merge.h",
          "        case head_state::committed:\n        case head_state::discarded:\n",
          "        case head_state::committed:\n        case head_state::discarded:\n"
          "          if (heads_[i].time == tree_.runner_up().key) return finish(result, pass_end::idle_bound, i);\n",
          "merge"),
    Fault("M1: an empty ring bounds nothing", "merge.h", "head.state == head_state::empty ? idle_key_ : head.time",
          "head.state == head_state::empty ? tournament::never - 1 : head.time", "merge"),
    Fault("M1: ring not looked at again", "merge.h", "    from.take(head);\n    head = from.look_again();",
          "    from.take(head);\n    head = ring_head{};", "merge"),
    Fault("M1: late record not marked", "merge.h", "record.late = tournament::before(place, last_);",
          "record.late = false;", "merge_late"),
    Fault("M2: refused record lost", "merge.h", "if (!accept(record)) return false;\n      if (record.late)",
          "const bool full = !accept(record);\n      if (full) from.take(head);\n      if (full) return false;\n"
          "      if (record.late)", "merge"),
    Fault("M2: discarded record emitted", "merge.h", "    if (head.state != head_state::discarded) {\n      record_view",
          "    if (true) {\n      record_view", "merge"),
    Fault("M2: record discarded after it was set aside not counted", "merge.h",
          "      discarded_ += found.discarded;\n", "", "merge_late"),
    Fault("M1: set aside at the limit, not past it", "merge.h", "bound - since > options_.set_aside_after",
          "bound - since >= options_.set_aside_after", "merge_late"),
    Fault("M1: strict order sets aside", "merge.h", "options_.set_aside_after != 0 && ", "", "merge"),
    Fault("lower leaf loses a tie on its way up", "tournament.h",
          "(kept_key < key) | ((kept_key == key) & (kept_leaf < leaf))", "kept_key < key", "tournament"),
    Fault("higher leaf wins a tie", "tournament.h", "(a.key == b.key && a.leaf < b.leaf)",
          "(a.key == b.key && a.leaf > b.leaf)", "tournament"),
    Fault("runner-up sought in half of the tree", "tournament.h",
          "if (before(nodes_[node], best)) best = nodes_[node];",
          "if (node > 1 && before(nodes_[node], best)) best = nodes_[node];", "tournament"),

    # Waking
    Fault("W1: sleeps over a closed record", "merge.h", "(end == pass_end::idle_bound && !closed_pending)",
          "(end == pass_end::idle_bound)", "wake", quick=True),
    Fault("W1: sleeps over a reserved head", "merge.h", "return end == pass_end::stamped ||",
          "return end == pass_end::stamped || end == pass_end::reserved ||", "wake"),
    Fault("W1: sleeps over a discarded head", "merge.h", "|= is_final(head.state);", "|= head.state == head_state::committed;", "wake"),
    Fault("W1: never sleeps over a stamped head", "merge.h", "return end == pass_end::stamped ||", "return", "wake"),
    Fault("W1: records set aside looked at before the barrier", "merge.h", BOUND + SET_KEY + TAKE_LATE,
          TAKE_LATE + BOUND + SET_KEY, "wake"),
    Fault("W1: closer sees no announcement", "wake.h",
          "return static_cast<announcement>(word_.load(memory_order::relaxed));", "return announcement::running;", "wake"),
    Fault("W2: youngest open record told instead of the oldest", "merge.h", "head.time < result.open_time",
          "head.time > result.open_time", "merge_late"),
    Fault("W2: open record told only if it ended the pass", "merge.h",
          "if (head.state == head_state::stamped && (",
          "if (end == pass_end::stamped && head.state == head_state::stamped && (", "wake"),
]


class Workshop:
    """Builds one test file against some headers, and runs it."""

    def __init__(self, compiler, scratch):
        self.compiler = compiler
        self.scratch = scratch
        self.flags = ["-std=c++20", "-O0", "-w", "-pthread"]
        prelude = scratch / "prelude.h"
        prelude.write_text("#include <gtest/gtest.h>\n#include <functional>\n#include <map>\n#include <memory>\n"
                           "#include <random>\n#include <string>\n#include <thread>\n#include <tuple>\n"
                           "#include <vector>\n")
        self.run([compiler, *self.flags, "-x", "c++-header", prelude, "-o", scratch / "prelude.h.gch"])
        self.flags += ["-include", prelude]

    @staticmethod
    def run(command):
        subprocess.run(command, check=True, capture_output=True, text=True)

    def prepare_reference(self):
        """What of the reference test does not depend on pipeline/."""
        self.reference_objects = []
        for name in ("reference_test", "operations", "model"):
            target = self.scratch / f"{name}.o"
            self.run([self.compiler, "-std=c++20", "-O1", "-w", "-I", ROOT, "-c", ROOT / f"tests/reference/{name}.cpp", "-o", target])
            self.reference_objects.append(target)

    def refer(self, directory):
        """(True, where the pipeline disagrees with the model) or (False, "agrees")."""
        program = directory / "reference_test"
        self.run([self.compiler, *self.flags, "-I", directory, "-I", ROOT, ROOT / "tests/reference/side_by_side.cpp",
                  *self.reference_objects, "-o", program, "-lrapidcheck"])
        try:
            done = subprocess.run([program, "--cases", str(REFERENCE_CASES)], capture_output=True, text=True,
                                  errors="replace", timeout=120)
        except subprocess.TimeoutExpired:
            return True, "does not end"
        if done.returncode == 0:
            return False, "agrees"
        found = re.search(r"^DISAGREEMENT in case (\d+) .*shrunk to (\d+) operations", done.stderr, re.M)
        if found:
            operations = "1 operation" if found.group(2) == "1" else f"{found.group(2)} operations"
            return True, f"case {found.group(1)}, shrunk to {operations}"
        return True, f"stopped by signal {-done.returncode}" if done.returncode < 0 else "fails"

    def test(self, directory, name):
        """Which test failed first; None if all passed. Raises CalledProcessError if it does not compile."""
        program = directory / name
        self.run([self.compiler, *self.flags, "-I", directory, "-I", ROOT, ROOT / f"tests/pipeline/{name}_test.cpp",
                  "-o", program, "-lgtest", "-lgtest_main"])
        try:
            done = subprocess.run([program, "--gtest_brief=0", "--gtest_color=no", "--gtest_catch_exceptions=0"],
                                  capture_output=True, text=True, errors="replace", timeout=120)
        except subprocess.TimeoutExpired:
            return "(ran into the time limit)"
        if done.returncode == 0:
            return None
        failed = re.search(r"^\[  FAILED  \] (\S+\.\S+)", done.stdout, re.M)
        if failed:
            return failed.group(1).rstrip(",")
        started = re.findall(r"^\[ RUN      \] (\S+)", done.stdout, re.M)
        return f"{started[-1] if started else '?'} (stopped by signal {-done.returncode})"


def text_of(fault):
    return (ROOT / "pipeline" / fault.header).read_text()


def check(workshop, number, fault, reference):
    """(killed, by which test, what the reference says)"""
    directory = workshop.scratch / str(number)
    shutil.copytree(ROOT / "pipeline", directory / "pipeline")
    (directory / "pipeline" / fault.header).write_text(text_of(fault).replace(fault.old, fault.new))
    try:
        killer = workshop.test(directory, fault.test)
        seen = workshop.refer(directory)[1] if reference else ""
    except subprocess.CalledProcessError as error:
        return False, f"DOES NOT COMPILE\n{error.stderr}", ""
    shutil.rmtree(directory)
    return (True, killer, seen) if killer else (False, f"SURVIVED {fault.test}_test.cpp", seen)


class Memory:
    """Results of earlier runs over exactly the same sources."""

    def __init__(self, path, compiler):
        self.path = path
        digest = hashlib.sha256(compiler.encode())
        for folder in ("pipeline", "tests/pipeline", "tests/reference"):
            for source in sorted((ROOT / folder).iterdir()):
                if source.suffix in (".h", ".cpp"):
                    digest.update(source.name.encode() + b"\0" + source.read_bytes())
        self.key = digest.hexdigest()
        try:
            stored = json.loads(path.read_text()) if path else {}
        except (FileNotFoundError, json.JSONDecodeError):
            stored = {}
        self.results = stored.get("results", {}) if stored.get("key") == self.key else {}

    @staticmethod
    def name_of(fault):
        return hashlib.sha256(repr(fault).encode()).hexdigest()

    def find(self, fault, reference):
        known = self.results.get(self.name_of(fault))
        return known if known and (known[2] or not reference) else None

    def store(self, fault, done):
        self.results[self.name_of(fault)] = done
        if self.path:
            self.path.write_text(json.dumps({"key": self.key, "results": self.results}))


def page(results):
    """The table as a page of docs/."""
    killed = sum(done[0] for _, done in results)
    disagreed = sum(done[2] != "agrees" for _, done in results)
    lines = ["# Faults made by hand, and the tests that notice them", "",
             "Made by `./run prove --long` (`tests/pipeline/mutate.py`); not edited by hand. Each line is one change to one header of `pipeline/`;",
             "*noticed by* is the first test that fails in a build with it. *Reference* is the same build under",
             f"`tests/reference` ({REFERENCE_CASES} random cases, seed 1): in which case it first disagrees with the model of plain queues, and",
             "how short the case becomes by shrinking. The reference runs in one thread: what takes a second one, a hostile client or",
             "a damaged region is not for it to see (*agrees*).", "",
             f"{killed} of {len(results)} faults were noticed by the test named; {disagreed} of them by the reference as well.", "",
             "| breaks | fault | header | noticed by | reference |", "|---|---|---|---|---|"]
    for fault, (_, how, seen) in results:
        breaks, colon, what = fault.name.partition(": ")
        if not colon:
            breaks, what = "M1" if fault.header == "tournament.h" else "format", fault.name
        lines.append(f"| {breaks} | {what} | {fault.header} | {how.splitlines()[0]} | {seen} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--known", type=pathlib.Path)
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    if options.page and (options.quick or options.words):
        parser.error("the page shows all faults")
    reference = options.reference or options.page
    faults = [fault for fault in FAULTS if (fault.quick or not options.quick) and
              (not options.words or any(word in fault.name for word in options.words))]
    if not faults:
        parser.error("no fault has such a name")

    # All of them, also where only a few are made: a change to the headers shows at once which faults must follow it.
    stale = [fault for fault in FAULTS if text_of(fault).count(fault.old) != 1]
    for fault in stale:
        print(f"{fault.header:14} {fault.name}: DOES NOT APPLY: its text stands {text_of(fault).count(fault.old)} times there")
    if stale:
        return 1

    known = Memory(options.known, options.compiler)
    results = []
    with tempfile.TemporaryDirectory() as directory, \
         concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        workshop = Workshop(options.compiler, pathlib.Path(directory))
        whole = pathlib.Path(directory) / "whole"
        whole.mkdir()
        new = [fault for fault in faults if not known.find(fault, reference)]
        tests = sorted({fault.test for fault in new})
        for test, failed in zip(tests, pool.map(lambda test: workshop.test(whole, test), tests)):
            if failed:
                print(f"{test}_test.cpp fails without any fault: {failed}")
                return 1
        if reference and new:
            workshop.prepare_reference()
            if workshop.refer(whole)[0]:
                print("the reference disagrees without any fault")
                return 1
        width = max(len(fault.name) for fault in faults)
        outcomes = pool.map(lambda each: known.find(each[1], reference) or check(workshop, *each, reference), enumerate(faults))
        for fault, done in zip(faults, outcomes):
            print(f"{fault.header:14} {fault.name:{width}}  {done[1]}" + (f"; reference: {done[2]}" if done[2] else ""), flush=True)
            results.append((fault, done))
            known.store(fault, done)
            if sys.stderr.isatty() and not sys.stdout.isatty():
                print(f"\r\033[K[{len(results)}/{len(faults)}] {fault.name}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty() and not sys.stdout.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    killed = sum(done[0] for _, done in results)
    print(f"{killed} of {len(results)} faults were noticed")
    if options.page:
        options.page.write_text(page(results))
    return 0 if killed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
