"""What weaken.py breaks: the sides of the barrier, and the protocol's structure.

A fault replaces text of one file, in a copy. Text that is not found, or found more than once, stops the script: then the code
has changed and the fault has to be written anew.
"""

# name, what it breaks, build switch, groups of scenarios
BARRIER_SIDES = [
    ("light side, as a fence", "the producer's store and its clock read or look at the announcement may pass each other",
     "SLUICE_MODEL_NO_LIGHT_FENCE", ["merge", "wake"]),
    ("heavy side, as a fence", "the consumer looks without a fence after T or its announcement",
     "SLUICE_MODEL_NO_HEAVY_FENCE", ["merge", "wake"]),
    ("interrupt", "the consumer looks without having interrupted anybody", "SLUICE_MODEL_NO_INTERRUPT", ["merge", "wake"]),
    ("interrupt, not awaited", "the consumer does not wait until every CPU has been interrupted",
     "SLUICE_MODEL_INTERRUPT_NOT_AWAITED", ["merge", "wake"]),
    ("interrupt, without a fence", "the interrupted CPU goes on without making its stores visible",
     "SLUICE_MODEL_INTERRUPT_WITHOUT_FENCE", ["merge", "wake"]),
]

# Orders that several paths come through: order, path, what is weakened there (file, old text, new text). The first edit makes
# the order a parameter of the function that all paths share; the second weakens one of them.
PUBLISH = ("pipeline/ring.h", [
    ("SLUICE_ALWAYS_INLINE void publish() {\n    producer_->published.store(write_, order::publish);",
     "template <memory_order by = order::publish>\n  SLUICE_ALWAYS_INLINE void publish() {\n"
     "    producer_->published.store(write_, by);")])
STAMP = ("pipeline/ring.h", [
    ("SLUICE_ALWAYS_INLINE void stamp(", "template <memory_order by = order::stamp>\n  SLUICE_ALWAYS_INLINE void stamp("),
    ("order::stamp);", "by);")])
CLOSE = ("pipeline/ring.h", [
    ("SLUICE_ALWAYS_INLINE void close(record_state state) const {",
     "template <memory_order by = order::close>\n  SLUICE_ALWAYS_INLINE void close(record_state state) const {"),
    ("order::close);", "by);")])
READ_HEAD = [
    ("void read_head(", "template <memory_order by = order::observe_state>\n  void read_head("),
    (".load(order::observe_state)", ".load(by)")]
RELAXED = "<memory_order::relaxed>"

PATHS = [
    ("publish", "write, into the main ring with nothing to announce", [PUBLISH, ("pipeline/cpu_rings.h", [
        ("main_.publish();\n    main_.put_time", f"main_.template publish{RELAXED}();\n    main_.put_time")])]),
    ("publish", "reserve, into the main ring with nothing to announce", [PUBLISH, ("pipeline/cpu_rings.h", [
        ("main_.publish();\n      main_.stamp", f"main_.template publish{RELAXED}();\n      main_.stamp")])]),
    ("publish", "behind a LOSS record, or in the spare ring", [PUBLISH, ("pipeline/cpu_rings.h", [
        ("    lane.publish();", f"    lane.template publish{RELAXED}();")])]),
    ("stamp", "reserve, into the main ring with nothing to announce", [STAMP, ("pipeline/cpu_rings.h", [
        ("main_.stamp(record, now());", f"main_.template stamp{RELAXED}(record, now());")])]),
    ("stamp", "behind a LOSS record, or in the spare ring", [STAMP, ("pipeline/cpu_rings.h", [
        ("lane->stamp(record,", f"lane->template stamp{RELAXED}(record,")])]),
    ("close", "write, into the main ring with nothing to announce", [CLOSE, ("pipeline/cpu_rings.h", [
        ("main_.put_time(record, now());\n    record.close(",
         f"main_.put_time(record, now());\n    record.template close{RELAXED}(")])]),
    ("close", "write, behind a LOSS record or in the spare ring", [CLOSE, ("pipeline/cpu_rings.h", [
        ("lane->put_time(record, publish(*lane, loss));\n    record.close(",
         f"lane->put_time(record, publish(*lane, loss));\n    record.template close{RELAXED}(")])]),
    ("close", "of the LOSS record", [CLOSE, ("pipeline/cpu_rings.h", [
        ("loss.close(record_state::committed);", f"loss.template close{RELAXED}(record_state::committed);")])]),
    ("close", "commit and discard of a reservation, by whoever holds it", [
        ("pipeline/ring.h", [(CLOSE[1][0][0], CLOSE[1][0][1].replace("= order::close", "= memory_order::relaxed")), CLOSE[1][1]]),
        ("pipeline/cpu_rings.h", [
            ("main_.put_time(record, now());\n    record.close(",
             "main_.put_time(record, now());\n    record.template close<order::close>("),
            ("lane->put_time(record, publish(*lane, loss));\n    record.close(",
             "lane->put_time(record, publish(*lane, loss));\n    record.template close<order::close>("),
            ("loss.close(record_state::committed);", "loss.template close<order::close>(record_state::committed);")])]),
    ("observe_state", "at the cursor", [("pipeline/ring_reader.h", READ_HEAD + [
        ("read_head(cursor_, published_, head);", f"read_head{RELAXED}(cursor_, published_, head);")])]),
    ("observe_state", "of a record that was set aside", [("pipeline/ring_reader.h", READ_HEAD + [
        ("read_head(which.position, published_, head);", f"read_head{RELAXED}(which.position, published_, head);")])]),
    ("observe_state", "walking over what is open, for the account", [("pipeline/ring_reader.h", READ_HEAD + [
        ("read_head(position, end, head);", f"read_head{RELAXED}(position, end, head);")])]),
]

# name, file, old text, new text, group of scenarios
FAULTS = [
    ("clock read before publication (write)", "pipeline/cpu_rings.h",
     "main_.publish();\n    main_.put_time(record, now());",
     "const uint64_t time = now();\n    main_.publish();\n    main_.put_time(record, time);", "merge"),
    ("clock read before publication (reserve)", "pipeline/cpu_rings.h",
     "main_.publish();\n      main_.stamp(record, now());",
     "const uint64_t time = now();\n      main_.publish();\n      main_.stamp(record, time);", "merge"),
    ("no light barrier between publication and clock", "pipeline/ring.h",
     "seam::light_barrier();", "", "merge"),
    ("no light barrier between close and announcement", "pipeline/wake.h",
     "seam::light_barrier();", "", "wake"),
    ("T taken after the barrier", "pipeline/barrier.h",
     "const uint64_t bound = source.now();\n    compiler_barrier();\n    barrier_();\n    return bound;",
     "barrier_();\n    return source.now();", "merge"),
    ("positions read before T and the barrier prove a ring empty", "pipeline/merge.h",
     [("const uint64_t bound = order_.take_bound(clock_);",
       "for (uint32_t i = 0; i < count_; ++i) heads_[i] = readers_[i].look();\n"
       "    const uint64_t bound = order_.take_bound(clock_);"),
      ("      heads_[i] = readers_[i].look();\n      tree_.set", "      tree_.set")], None, "merge"),
    ("a reserved head's bound is T", "pipeline/merge.h",
     "return head.state == head_state::empty ? idle_key_ : head.time;",
     "return head.state == head_state::empty || head.state == head_state::reserved ? idle_key_ : head.time;", "merge"),
    ("an idle ring's bound is T, not T - 1 tick", "pipeline/merge.h",
     "idle_key_ = bound == 0 ? 0 : bound - 1;", "idle_key_ = bound;", "merge"),
    ("a stamped head holds nobody back", "pipeline/merge.h",
     "return options_.set_aside_after != 0 && bound > since && bound - since > options_.set_aside_after;",
     "return bound >= since;", "merge"),
    ("equal times: the higher CPU first", "pipeline/tournament.h",
     [("(a.key == b.key && a.leaf < b.leaf)", "(a.key == b.key && a.leaf > b.leaf)"),
      ("(kept_leaf < leaf)", "(kept_leaf > leaf)")], None, "merge"),
    ("a run of one ring goes past the other rings", "pipeline/merge.h",
     " &&\n             tournament::before({head.time, i}, runner_up));", ");", "merge"),
    ("a late record is not marked", "pipeline/merge.h",
     "record.late = tournament::before(place, last_);", "record.late = false;", "merge"),
    ("a record set aside is forgotten while it is open", "pipeline/ring_reader.h",
     "if (!done) set_aside_[kept++] = each;", "if (done && head.state == head_state::empty) ++kept;", "merge"),
    ("times of a CPU are not clamped to its last one", "pipeline/cpu_rings.h",
     "if (last_time_ - time <= step_back_) time = last_time_;", "", "merge"),
    ("the other lane's time is not made strictly later", "pipeline/cpu_rings.h",
     "last_time_ = time + 1;", "last_time_ = time;", "merge"),
    ("position published before the header is written", "pipeline/ring.h",
     "    record.data = data_;\n    record.offset = write_ & mask_;",
     "    producer_->published.store(write_ + record_stride(shape.length), order::publish);\n"
     "    record.data = data_;\n    record.offset = write_ & mask_;", "ring"),
    ("stamped before the time is written", "pipeline/ring.h",
     [("    put_time(record, time);\n    record.data.state", "    record.data.state"),
      ("record_state::stamped, record.length), order::stamp);",
       "record_state::stamped, record.length), order::stamp);\n    put_time(record, time);")], None, "ring"),
    ("committed before the time is written", "pipeline/cpu_rings.h",
     "    main_.put_time(record, now());\n    record.close(record_state::committed);",
     "    const uint64_t time = now();\n    record.close(record_state::committed);\n    main_.put_time(record, time);", "ring"),
    ("committed before the payload is written", "pipeline/cpu_rings.h",
     [("    record.data.copy_in(record.offset + record_header_size, payload, payload_length);\n    main_.publish();",
       "    main_.publish();"),
      ("    main_.put_time(record, now());\n    record.close(record_state::committed);",
       "    main_.put_time(record, now());\n    record.close(record_state::committed);\n"
       "    record.data.copy_in(record.offset + record_header_size, payload, payload_length);")], None, "ring"),
    ("room is eight bytes more than there is (R1)", "pipeline/ring.h",
     "return write_ - reclaimed_ + need <= limit;", "return write_ - reclaimed_ + need <= limit + 8;", "ring"),
    ("an open record is given back (R5)", "pipeline/ring.h",
     "if (!is_closed(state_of(state_and_length)) || stride", "if (stride", "ring"),
    ("a claim inside a record is accepted (R5)", "pipeline/ring.h",
     "|| stride > claimed - passed) [[unlikely]] {\n        reclaimed_ = begin + passed;\n        return violate();\n      }",
     ") [[unlikely]] {\n        reclaimed_ = begin + passed;\n        return violate();\n      }\n"
     "      if (stride > claimed - passed) break;", "ring"),
    ("a claim past the write position is accepted (R5)", "pipeline/ring.h",
     "if (claim_untrusted - begin > used) return violate();", "", "ring"),
    ("the room of a record set aside is given back", "pipeline/ring_reader.h",
     "set_aside_count_ != 0 ? set_aside_[0].position : cursor_;", "cursor_;", "ring"),
    ("the tail is published after its room is written to (O2)", "pipeline/ring.h",
     [("    move.finish(begin + passed);\n    reclaimed_ = begin + passed;\n    return true;",
       "    data.store(begin & mask_, 0);\n    move.finish(begin + passed);\n    reclaimed_ = begin + passed;\n    return true;")],
     None, "overwrite"),
    ("the tail passes an open record (O1)", "pipeline/ring.h",
     "      if (!is_closed(state_of(state_and_length))) break;\n", "", "overwrite"),
    ("a copy is taken for a record without a look at the tail (O2)", "pipeline/ring_reader.h",
     "    return !tail_.is_past(record.position);", "    return true;", "overwrite"),
    ("a header is believed without a look at the tail (O2)", "pipeline/ring_reader.h",
     "    if (tail_.is_past(position)) return false;\n", "", "overwrite"),
    ("the tail is looked at before the copy (O2)", "pipeline/ring_reader.h",
     [("    data_.copy_out(record.offset, copy_, 0, record_stride(record.length));\n",
       "    const bool past = tail_.is_past(record.position);\n"
       "    data_.copy_out(record.offset, copy_, 0, record_stride(record.length));\n"),
      ("    return !tail_.is_past(record.position);", "    return !past;")], None, "overwrite"),
    ("the time is copied together with the state", "pipeline/ring_reader.h",
     "    seam::fence(order::fence_copy);\n", "", "overwrite"),
    ("the tail's low word first", "pipeline/tail.h",
     [("    figures_.tail[1].store(tail < before ? high + 1 : high, order::publish_tail);\n"
       "    figures_.tail[0].store(tail, order::publish_tail);\n",
       "    figures_.tail[0].store(tail, order::publish_tail);\n"
       "    figures_.tail[1].store(tail < before ? high + 1 : high, order::publish_tail);\n")], None, "overwrite"),
    ("a header is copied without a look at the tail (C1)", "pipeline/ring_copy.h",
     "      if (overwrites_ && tail_is_past(producer_->tail, at)) break;\n", "", "ring_copy"),
    ("the rest of a record is copied together with its state (C1)", "pipeline/ring_copy.h",
     "      seam::fence(order::fence_copy);\n      // Nothing", "      // Nothing", "ring_copy"),
    ("the tail is read before the copy is done (C1)", "pipeline/ring_copy.h",
     "      seam::fence(order::fence_copy);  // SYNC POINT fence_copy <- fence_tail\n", "", "ring_copy"),
    ("what was overwritten meanwhile is kept (C1)", "pipeline/ring_copy.h",
     "      if (tail <= from && (", "      if ((", "ring_copy"),
    ("figures of the tail: the reader does not look at the sequence again", "pipeline/tail.h",
     "return figures.sequence.load(memory_order::relaxed) == before;", "return true;", "overwrite"),
    ("a gap is not announced (R4)", "pipeline/ring.h",
     "    if (ledger.gap_is_open()) {", "    if (false) {", "loss"),
    ("a gap is not announced while there is room (R4)", "pipeline/cpu_rings.h", "    main_.announce_first();", "", "loss"),
    ("a ring is proved empty by a position of an earlier pass", "pipeline/ring_reader.h",
     "    position_is_of_this_pass_ = false;", "", "merge"),
    ("LOSS stands behind the event that found room (R4)", "pipeline/ring.h",
     [("    if (loss.length != 0) {\n      put_record", "    put_record(shape, record);\n    if (loss.length != 0) {\n      put_record"),
      ("    }\n    put_record(shape, record);\n    const uint32_t used", "    }\n    const uint32_t used")], None, "loss"),
    ("a drop is not published at once (R4)", "pipeline/ledger.h",
     "    publish_figures(type);", "    if (gap_events_ == 0) publish_figures(type);", "loss"),
    ("figures: the sequence is not odd meanwhile", "pipeline/ledger.h",
     "figures.sequence.store(++sequence_, memory_order::relaxed);", "++sequence_;", "loss"),
    ("figures: the reader does not look at the sequence again", "pipeline/ledger.h",
     "return figures.sequence.load(memory_order::relaxed) == before;", "return true;", "loss"),
    ("figures: the reader accepts an odd sequence", "pipeline/ledger.h", "if (before & 1) return false;", "", "loss"),
    ("sleeps on a reserved head", "pipeline/merge.h",
     "return end == pass_end::stamped ||", "return end == pass_end::stamped || end == pass_end::reserved ||", "wake"),
    ("sleeps while a closed record waits for T", "pipeline/merge.h",
     "(end == pass_end::idle_bound && !closed_pending)", "end == pass_end::idle_bound", "wake"),
    ("announces after the pass", "tests/model/wake_scenarios.cpp",
     "line.announce(announcement::any_close);\n      const pass_result result = pass();",
     "const pass_result result = pass();\n      line.announce(announcement::any_close);", "wake"),
    ("looks at positions again, not at states", "tests/model/wake_scenarios.cpp",
     "line.announce(announcement::any_close);\n      const pass_result result = pass();\n"
     "      if (got.count < records && result.may_sleep()) event.wait();",
     "const uint32_t before[] = {memory[0].producer.published.load(memory_order::acquire),\n"
     "                                 memory[1].producer.published.load(memory_order::acquire)};\n"
     "      (void)pass();\n"
     "      line.announce(announcement::any_close);\n"
     "      heavy_barrier()();\n"
     "      if (got.count < records && memory[0].producer.published.load(memory_order::acquire) == before[0] &&\n"
     "          memory[1].producer.published.load(memory_order::acquire) == before[1]) {\n"
     "        event.wait();\n"
     "      }", "wake"),
    ("the producer clears the announcement after its signal", "tests/model/wake_scenarios.cpp",
     "if (line.after_close() != announcement::running) event.set();",
     "if (line.after_close() != announcement::running) {\n      event.set();\n      step(RL_INFO);\n      line.announce(announcement::running);\n    }",
     "wake"),
    ("the announcement is looked at before the record is closed", "tests/model/wake_scenarios.cpp",
     "commit(reserve(0), 1);\n      after_close();",
     "const record open = reserve(0);\n      const bool asked = line.after_close() != announcement::running;\n"
     "      commit(open, 1);\n      if (asked) event.set();", "wake"),
    ("a discard signals nobody", "tests/model/wake_scenarios.cpp",
     "open.close(record_state::discarded);\n      after_close();", "open.close(record_state::discarded);", "wake"),
]
