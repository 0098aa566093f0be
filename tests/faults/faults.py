"""What run.py breaks outside of the core, and the tests that must notice.

A fault replaces text of one source file. Text that is not found, or found more than once, is an error: then the code has changed and
the fault has to follow it (`run.py --check`, a test of every build). `program` and `tests`: a test program, and which of its tests are
run (a filter of googletest's).
"""
import dataclasses


@dataclasses.dataclass
class Fault:
    name: str
    file: str
    old: str
    new: str
    program: str
    tests: str


CONSUMERS, IMAGE, DEVICE, SOCKET = "consumers_test", "image_test", "device_source_test", "socket_test"
DRIVER, FILTER = "driver_test", "filter_test"

FAULTS = [
    # Batches and their records
    Fault("an entry of an unknown lane is taken", "consumers/batch_reader.cpp",
          "  if (entry.lane >= lanes_per_cpu) return fail(batch_status::wrong_entry, offset_ + offsetof(batch_entry, lane));\n", "",
          CONSUMERS, "*batch*"),
    Fault("records behind the last that was promised are taken", "consumers/batch_reader.cpp",
          "  if (records_read_ == header_.record_count) return fail(batch_status::wrong_length, offset_);\n", "", CONSUMERS, "*batch*"),
    Fault("an entry may end behind its batch", "consumers/batch_reader.cpp", "entry.entry_bytes > left || ", "", CONSUMERS, "*batch*"),
    Fault("a record that is not committed is taken", "consumers/batch_reader.cpp",
          "state_of(header.state_and_length) != record_state::committed || ", "", CONSUMERS, "*batch*"),
    Fault("late records are not marked", "consumers/batch_reader.cpp", "record.late = (entry.flags & batch_flag_late) != 0;",
          "record.late = false;", CONSUMERS, "*batch*:*accounting*"),
    Fault("a record that is longer than a gap fills it", "consumers/identity_tracker.cpp",
          " && end <= std::prev(after)->second", "", CONSUMERS, "*accounting*:*identity*"),
    Fault("what is left before a late record is forgotten", "consumers/identity_tracker.cpp",
          "      if (gap_start < start) from.gaps.emplace(gap_start, start);\n", "", CONSUMERS, "*accounting*:*identity*"),
    Fault("a gap that was filled still counts", "consumers/identity_tracker.cpp",
          "    if (start >= from.first) from.gap_bytes -= std::min(from.gap_bytes, end - start);\n", "", CONSUMERS, "*accounting*:*identity*"),
    Fault("every gap after an interruption is its own", "consumers/identity_tracker.cpp", "  from.interrupted = false;\n", "",
          CONSUMERS, "*accounting*:*identity*"),
    Fault("a late record from before the first one is thrown away", "consumers/identity_tracker.cpp",
          "    if (start != 0) add_gap(from, 0, start);  // nobody misses what is there, but late records can come from it\n", "", CONSUMERS,
          "*accounting*:*identity*"),
    Fault("a late record from before the first one fills a gap", "consumers/identity_tracker.cpp", "if (start >= from.first) from.gap_bytes",
          "from.gap_bytes", CONSUMERS, "*accounting*:*identity*"),
    Fault("a late record whose place was given up is thrown away", "consumers/identity_tracker.cpp",
          "!late || end > from.forgotten_end", "true", CONSUMERS, "*accounting*:*identity*"),
    Fault("a loss whose sum is wrong is believed", "consumers/decoder.cpp",
          '  if (sum != event.events) in.damage("events", fmt::format("{} events, but {} by type", event.events, sum));\n', "",
          CONSUMERS, "*decoder*"),
    Fault("a loss may name a type twice", "consumers/decoder.cpp", "entry.type <= event.entries[i - 1].type",
          "entry.type < event.entries[i - 1].type", CONSUMERS, "*decoder*"),
    Fault("negative numbers of own types are large ones", "consumers/decoder.cpp",
          "  return static_cast<int64_t>(value << unused) >> unused;", "  return static_cast<int64_t>(value << unused >> unused);",
          CONSUMERS, "*decoder*"),
    Fault("more than the driver overwrote may be announced", "consumers/accounting.cpp", "    if (missed > account.overwritten) {",
          "    if (false) {", CONSUMERS, "*accounting*:*identity*"),

    # Recordings
    Fault("a block's last time is that of its last record", "consumers/recording/recording_writer.cpp",
          "  open_.last_time = std::max(open_.last_time, record.time);", "  open_.last_time = record.time;", CONSUMERS, "*recording*"),
    Fault("an end block that is too short for its accounts says nothing", "consumers/recording/recording_reader.cpp",
          '    fault(place.offset, fmt::format("the end block has {} bytes, too few for its accounts", bytes.size()));\n', "", CONSUMERS,
          "*recording*"),
    Fault("blocks do not say that the clock changes in them", "consumers/recording/recording_writer.cpp",
          "  if (open_.clock_changes) header.flags |= block_flag_clock_changes;\n", "", CONSUMERS, "*recording*"),
    Fault("records that a full disk refused are not counted", "consumers/recording/recording_writer.cpp",
          "    records_not_stored_ += reader.record_count();\n", "", CONSUMERS, "*recording*"),
    Fault("blocks do not say how many records came before", "consumers/recording/recording_writer.cpp",
          "    records_stored_ += open_.records;\n", "", CONSUMERS, "*recording*"),
    Fault("records of a block that was cut are not missing", "consumers/recording/recording_reader.cpp",
          "    missing_records_ += header.record_count;\n    ended_ = true;", "    ended_ = true;", CONSUMERS, "*recording*"),
    Fault("another file's end is this one's", "consumers/recording/recording_reader.cpp", "last.file_id != header_.file_id ||", "",
          CONSUMERS, "*recording*"),
    Fault("a chain of indexes may go in a circle", "consumers/recording/recording_reader.cpp",
          "  if (layout.previous_index >= offset) return false;\n", "", CONSUMERS, "*recording*"),

    # Images
    Fault("segments over others are read", "consumers/image/image_memory.cpp", "    if (piece.address < end) {", "    if (false) {", IMAGE, "*"),
    Fault("a ring whose end is not there ends anywhere", "consumers/image/frozen_ring.cpp",
          "  if (copy_.lacks(published_at, published_at + word)) {", "  if (false) {", IMAGE, "*"),
    Fault("records from after the end of time are records", "consumers/image/frozen_ring.cpp",
          "state != record_state::reserved && time_of(header) > latest_time", "false", IMAGE, "*"),
    Fault("of two copies of a ring the older is read", "consumers/image/region_finder.cpp",
          "written(region) > written(place->second)", "written(region) < written(place->second)", IMAGE, "*"),
    Fault("a region inside another one is read, too", "consumers/image/region_finder.cpp",
          "      taken_until = region.address + region.header.region_bytes;\n", "      taken_until = region.address + region_page;\n",
          IMAGE, "*"),
    Fault("records out of order are not counted", "consumers/image/frozen_ring.cpp",
          "  if (time < last_time_) ++report_.out_of_order;\n", "", IMAGE, "*"),
    Fault("a record may be longer than the longest", "consumers/image/frozen_ring.cpp", " || length > view_.geometry.max_record) {",
          ") {", IMAGE, "*"),

    # Filter files
    Fault("rules of a process that contradict each other are taken", "consumers/filter/check.cpp",
          "      const auto [before, added] = rules.try_emplace(rule.pid, &rule);\n      if (!added) {",
          "      const auto [before, added] = rules.try_emplace(rule.pid, &rule);\n      if (false) {", CONSUMERS, "*filter*"),
    Fault("all types that are known is not all that there can be", "consumers/filter/check.cpp",
          "result_.types = all ? ~uint64_t{0} : asked | ~all_events;", "result_.types = asked | ~all_events;", CONSUMERS, "*filter*"),
    Fault("excluded paths are included", "consumers/filter/message.cpp",
          "const uint16_t flags = rules[i].exclude ? filter_rule_exclude : 0;", "const uint16_t flags = 0;", CONSUMERS, "*filter*"),
    Fault("descendants are forgotten on the way to the driver", "consumers/filter/message.cpp",
          " | (rule.descendants ? filter_rule_descendants : 0);", ";", CONSUMERS, "*filter*"),

    # Sources
    Fault("a cancelled read says that its time is over", "consumers/port_source.cpp",
          "  if (status == nt::cancelled) return {read_status::cancelled, 0};\n",
          "  if (status == nt::cancelled) return {read_status::timeout, 0};\n", DEVICE, "*"),
    Fault("a name that is too long is sent", "consumers/port_source.cpp", "  if (what.name.size() > sizeof context.name) {",
          "  if (false) {", DEVICE, "*"),
    Fault("an answer that is too long is written out", "consumers/nt/socket_link.cpp", "  if (bytes > whose.out.size()) return false;\n",
          "", SOCKET, "*"),
    Fault("a request that timed out was cancelled", "consumers/nt/socket_link.cpp",
          "  return timed_out && mine.status == nt::cancelled ? nt::timeout : mine.status;", "  return mine.status;", SOCKET, "*"),

    # Filters in the driver
    Fault("children of a process that has ended have no ancestors", "producers/process_tree.cpp",
          "    if (parent != nobody) adopt(child, parent);\n", "", FILTER, "*"),
    Fault("a process id that comes again is the old process", "producers/process_tree.cpp",
          "  if (const uint32_t old = find(pid); old != nobody) remove(old);\n", "", FILTER, "*"),
    Fault("a rule of a nearer ancestor is overruled", "producers/process_tree.cpp",
          "before.inherited != process_verdict::none;", "false;", FILTER, "*"),
    Fault("two rules for one process", "producers/process_tree.cpp",
          "    if (verdicts.find(rules[i].pid).own != process_verdict::none) return i;\n", "", FILTER, "*"),
    Fault("a table may end behind its message", "producers/filter_validation.cpp",
          " ||\n        where.count * entry_bytes > bytes_ - where.offset) {", ") {", FILTER, "*"),
    Fault("two rates for one type", "producers/filter_validation.cpp",
          "      if ((seen >> entry.type & 1) != 0) return fail(filter_error::rate_twice, where);\n", "", FILTER, "*"),
    Fault("repeats are not remembered", "producers/compiled_filter.cpp",
          "  if (remembered != nullptr) *remembered = {hash, now};\n", "", DRIVER, "*filter*"),
    Fault("a process's bucket never empties", "producers/compiled_filter.cpp", "    bucket.take(process_limits_);\n", "", DRIVER,
          "*filter*"),
    Fault("the registry's captures end with their slots", "producers/registry_capture.cpp",
          "  if (claimed == nullptr) claimed = claim_pool(bytes);\n", "", DRIVER, "*registry*"),
    Fault("a capture of the pool is not known as such", "producers/registry_capture.cpp", "  made->in_pool = true;\n", "", DRIVER,
          "registry_producer*"),

    # Requests and clients in the driver
    Fault("a request that was cancelled before it came waits", "kernel_port/driver/request_queue.cpp",
          "    cancelled = irp->Cancel != FALSE;\n", "", DRIVER, "waiting_requests*"),
    Fault("a request that is being cancelled is served", "kernel_port/driver/request_queue.cpp",
          "    if (IoSetCancelRoutine(irp, nullptr) == nullptr) continue;  // being cancelled: on_cancel waits for the lock\n", "",
          DRIVER, "waiting_requests*"),
    Fault("another handle's requests are taken", "kernel_port/driver/request_queue.cpp",
          "    if (file != nullptr && IoGetCurrentIrpStackLocation(irp)->FileObject != file) continue;\n", "", DRIVER,
          "waiting_requests*:driver_device*"),
    Fault("everyone can open the device", "kernel_port/driver/device_security.cpp",
          "  status = ZwSetSecurityObject(handle, DACL_SECURITY_INFORMATION, &descriptor);\n", "", DRIVER, "*load*:*device*"),
    Fault("a short read buffer is taken", "kernel_port/driver/device.cpp",
          "  if (stack.Parameters.Read.Length < protocol::min_read_bytes) return complete(irp, STATUS_BUFFER_TOO_SMALL);\n", "", DRIVER,
          "*device*"),
    Fault("a read that is put back while its handle is closed stays", "kernel_port/driver/device.cpp",
          "  worker_.cancel(file);  // once more: the worker may have had a read in hand, and have put it back\n", "", DRIVER,
          "driver_leaving_reader*"),
    Fault("a first thread that was forgotten is certainly remote", "producers/thread_producer.cpp",
          "!processes_seen_ || threads_->overflowed()", "!processes_seen_", DRIVER, "driver_events*"),
    Fault("ends of processes have no rate", "producers/process_producer.cpp",
          """        same.add(process_id_of(pid));
        same.add(key);
      })) {
    return;
  }
  NTSTATUS exit_status""", """        same.add(process_id_of(pid));
        same.add(key);
      })) {
  }
  NTSTATUS exit_status""", DRIVER, "driver_filter*"),
    Fault("statistics are written behind their buffer", "kernel_port/driver/statistics.cpp",
          "      if (size - end < sizeof(protocol::statistics_row)) continue;", "      if (false) continue;", DRIVER, "*device*:*stream*"),
    Fault("a port message of another version is served", "kernel_port/driver/port_callbacks.cpp",
          "  if (header.version != protocol::version) return STATUS_REVISION_MISMATCH;\n", "", DRIVER, "*port*"),
    Fault("an answer that could not be written was", "kernel_port/driver/port_callbacks.cpp",
          "  if (!copy_to_user_memory(out_untrusted, buffer, answer)) return STATUS_ACCESS_VIOLATION;",
          "  (void)copy_to_user_memory(out_untrusted, buffer, answer);", DRIVER, "*port*"),
    Fault("a client's losses leave with it", "kernel_port/driver/distribution.cpp", "    gone_.gone_lost += row.lost;\n", "", DRIVER,
          "*port*"),
    Fault("a client's own process is not left out", "kernel_port/driver/client_stream.cpp",
          "  return context.pid != wishes_.without_pid;", "  return true;", DRIVER, "*port*"),
    Fault("rings are mapped beside another client's handle", "kernel_port/driver/mapping.cpp",
          "  } else if (file_ != file || mapped_by() != PsGetCurrentProcessId()) {",
          "  } else if (mapped_by() != PsGetCurrentProcessId()) {", DRIVER, "driver_mapping.*"),
]
