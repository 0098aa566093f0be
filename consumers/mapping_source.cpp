#include "consumers/mapping_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

namespace sluice {
namespace {

constexpr auto look_for_rings = std::chrono::seconds(1);
constexpr uint64_t short_pauses_a_second = 200000;  // 5 us each, while a record waits for T
constexpr uint64_t ticks_100ns_to_1970 = 116444736000000000;

uint64_t utc_now() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return ticks_100ns_to_1970 +
         static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count()) / 100;
}

// Each a range of whole pages, none of which overlaps another.
void check_ranges(std::vector<std::pair<uint64_t, uint64_t>> ranges) {
  std::sort(ranges.begin(), ranges.end());
  uint64_t end = region_page;  // nothing lies at 0
  for (const auto& [begin, bytes] : ranges) {
    if (begin < end || begin % region_page != 0 || bytes > UINT64_MAX - begin) {
      throw source_error(fmt::format("the driver has mapped {} bytes at 0x{:x}, which cannot be", bytes, begin));
    }
    end = begin + bytes;
  }
}

}  // namespace

mapping_source::mapping_source(std::shared_ptr<nt_system> system, std::u16string_view name)
    : driver_source(std::move(system)), merge_(outer_clock(&read_counter, system_.get()), slack_order(0)) {
  const nt_status status = system_->open_device(name, device_);
  if (!succeeded(status)) fail("cannot open the driver's device", status);
  map();
  merge_.policy() = slack_order(map_.margin_ticks);
  merge_.attach(readers_.data(), heads_.data(), nodes_.data(), rings_, {map_.overdue_ticks, map_.step_back});
  merge_.start_in(map_.clock_epoch, map_.clock_offset);
}

// The handle's clean-up unmaps.
mapping_source::~mapping_source() = default;

void mapping_source::map() {
  const protocol::map_request request{protocol::version, 0};
  uint8_t in[sizeof request];
  std::memcpy(in, &request, sizeof request);
  constexpr size_t most = sizeof(protocol::map_answer) + 4096 * sizeof(protocol::mapped_ring);
  std::vector<uint8_t> answer(most);
  uint64_t bytes = 0;
  const nt_status status = device_->control(protocol::code_map, in, answer, bytes, {});
  if (status == nt::not_supported) {
    throw nt_error("the driver cannot map its rings: the kernel, or the rings' mode, does not allow it", status);
  }
  if (status == nt::sharing_violation) throw nt_error("the driver's rings cannot be mapped beside another client", status);
  if (!succeeded(status)) fail("mapping the driver's rings", status);
  protocol::map_answer header{};
  if (bytes < sizeof header) throw source_error(fmt::format("a mapping in {} bytes", bytes));
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.version != protocol::version || header.ring_count == 0 || header.clock_frequency == 0 ||
      header.ring_count > uint64_t{header.cpu_count} * lanes_per_cpu || header.cpu_count > 2048 ||
      bytes != sizeof header + header.ring_count * sizeof(protocol::mapped_ring)) {
    throw source_error(fmt::format("a mapping of version {}: {} rings of {} CPUs in {} bytes", header.version,
                                   header.ring_count, header.cpu_count, bytes));
  }
  std::vector<protocol::mapped_ring> mapped(header.ring_count);
  std::memcpy(mapped.data(), answer.data() + sizeof header, mapped.size() * sizeof mapped[0]);
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const protocol::mapped_ring& each : mapped) {
    ranges.emplace_back(each.region, each.region_bytes);
    ranges.emplace_back(each.consumer, region_page);
  }
  check_ranges(std::move(ranges));
  if (readers_.empty()) {
    const uint32_t room = header.cpu_count * lanes_per_cpu;
    readers_.resize(room);
    heads_.resize(room);
    nodes_.resize(tournament_nodes(room));
    announced_.resize(header.cpu_count);
    map_ = header;
  } else if (header.cpu_count != map_.cpu_count || header.boot != map_.boot || header.ring_count < mapped_rings_) {
    throw source_error("the driver's rings are not those that were mapped before");
  }
  for (uint32_t i = mapped_rings_; i < header.ring_count; ++i) attach_ring(i, mapped[i]);
  rings_ += header.ring_count - mapped_rings_;
  mapped_rings_ = header.ring_count;
}

void mapping_source::attach_ring(uint32_t ring, const protocol::mapped_ring& mapped) {
  region_view<native_seam> view;
  const region_status status = check_region(reinterpret_cast<void*>(mapped.region), mapped.region_bytes, view,
                                            reinterpret_cast<void*>(mapped.consumer));
  if (status != region_status::ok) throw source_error(fmt::format("mapped ring {}: {}", ring, name_of(status)));
  const region_header& header = view.producer->header;
  if (view.cpu != mapped.cpu || view.lane != mapped.lane || ring != mapped.cpu * lanes_per_cpu + mapped.lane ||
      header.boot != map_.boot || header.clock_frequency != map_.clock_frequency || view.mode != ring_mode::discard ||
      mapped.position % record_alignment != 0 || view.geometry.max_record > protocol::min_read_bytes / 2) {
    throw source_error(fmt::format("mapped ring {} contradicts the driver's answer", ring));
  }
  ring_reader<native_seam>& reader = readers_[rings_ + ring - mapped_rings_];
  reader.attach(view);
  reader.resume(mapped.position);
  if (view.lane == lane_main) announced_[view.cpu] = mapped.announced;
}

// The merge is compiled without exceptions: none may pass through it.
bool mapping_source::accept(const record_view<native_seam>& record) {
  try {
    return add(record);
  } catch (...) {
    failure_ = std::current_exception();
    return false;
  }
}

bool mapping_source::add(const record_view<native_seam>& record) {
  const uint64_t ahead = merge_.offset() - map_.clock_offset;
  if (!(record.type() == record_type_anchor && ahead != 0 ? add_anchor(record, ahead) : batch_.add(record))) return false;
  if (record.type() == record_type_loss && record.payload_length() >= sizeof(loss_payload)) {
    loss_payload loss;
    std::memcpy(&loss, record.payload(), sizeof loss);
    announced_[record.cpu] += loss.events;
  }
  return true;
}

// The worker has written it in the stream's time as it was when the rings were mapped; here epochs have begun since.
bool mapping_source::add_anchor(const record_view<native_seam>& record, uint64_t ahead) {
  if (record.payload_length() < sizeof(anchor_payload)) return batch_.add(record);
  std::vector<uint64_t> moved(record_stride(record.length) / sizeof(uint64_t));
  std::memcpy(moved.data(), record.bytes(), record.length);
  uint8_t* const payload = reinterpret_cast<uint8_t*>(moved.data()) + record_header_size;
  anchor_payload anchor;
  std::memcpy(&anchor, payload, sizeof anchor);
  anchor.counter += ahead;
  std::memcpy(payload, &anchor, sizeof anchor);
  record_view<native_seam> told = record;
  told.data = native_seam::memory(reinterpret_cast<uint8_t*>(moved.data()));
  told.offset = 0;
  return batch_.add(told);
}

void mapping_source::note_set_aside(const record_view<native_seam>& record) {
  overdue_note note{record.time, {record.position, record.time, 0, record.type(), record.cpu, record.lane, 0, 0, 0}};
  if (note.payload.type >= first_event_type && note.payload.type < first_own_type &&
      record.payload_length() >= sizeof(event_context)) {
    // The context was written before the record was stamped and is not written again.
    note.payload.pid = record.data.load(record.offset + record_header_size);
    note.payload.tid = record.data.load(record.offset + record_header_size + 4);
  }
  try {
    overdue_.push_back(note);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

bool mapping_source::begin_epoch(const epoch_start& start) {
  const uint64_t utc = utc_now();
  const anchor_payload anchor{system_->counter() + start.offset(), map_.clock_frequency, utc};
  return epoch_news{start.time, {start.epoch, 0, start.offset(), start.first}, anchor}.add_to(batch_);
}

pass_result mapping_source::pass() {
  const pass_result result = merge_.pass(outer_sink(*this));
  if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  if (!overdue_.empty()) add_overdue();
  return result;
}

// What finds no room comes with the next batch.
void mapping_source::add_overdue() {
  const uint64_t now = system_->counter() + merge_.offset();
  while (!overdue_.empty()) {
    overdue_note& note = overdue_.front();
    note.payload.age = now > note.time ? now - note.time : 0;
    if (!batch_.add_of_stream(record_type_overdue, now, &note.payload, sizeof note.payload)) return;
    overdue_.erase(overdue_.begin());
  }
}

// R4 for gaps that no record follows yet: from the published figures.
void mapping_source::add_unannounced() {
  for (uint32_t i = 0; i < rings_; ++i) {
    if (readers_[i].lane() != lane_main) continue;
    loss_summary figures;
    const uint64_t now = system_->counter() + merge_.offset();
    if (!read_loss_figures(readers_[i].loss(), merge_.offset(), now, figures)) return;
    const uint16_t cpu = readers_[i].cpu();
    if (figures.events != announced_[cpu] && !batch_.add_figures(cpu, figures)) return;
  }
}

read_result mapping_source::finish() { return {read_status::batch, batch_.finish()}; }

read_result mapping_source::read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) {
  if (buffer.size() < least_buffer()) throw source_error("a buffer shorter than the longest record");
  merge_.release();  // the caller is done with what the last batch held
  const size_t room = std::min<size_t>(buffer.size(), 1u << 30);
  batch_.begin(buffer.data(), static_cast<uint32_t>(room), map_.boot, map_.clock_frequency);
  const clock::time_point begun = clock::now();
  const bool endless = timeout > std::chrono::hours(24 * 365);
  const clock::time_point deadline = endless ? clock::time_point::max() : begun + timeout;
  look_after_rings(begun);
  add_overdue();
  pass_result result = pass();
  for (;;) {
    if (batch_.record_count() != 0) return finish();
    merge_.release();  // what was discarded, which nobody was given
    if (result.end == pass_end::damaged && !gone_) {
      const ring_reader<native_seam>& ring = merge_.ring(result.ring);
      throw source_error(fmt::format("the ring of CPU {}, lane {} contradicts itself at position {}", ring.cpu(),
                                     ring.lane(), ring.cursor()));
    }
    if (cancelled_.exchange(false)) return {read_status::cancelled, 0};
    if (flush_requested_) {
      serve_flush();
      return finish();
    }
    if (gone_) {
      if (!read_what_is_left(result)) fail("reading the mapped rings", gone_status_);
      result = pass();
    } else if (clock::now() >= deadline) {
      return {read_status::timeout, 0};
    } else {
      result = sleep(result, deadline);
    }
  }
}

// What was final when the flush was asked for, and what no record follows yet; with more than a batch of it, the rest comes with the
// next reads.
void mapping_source::serve_flush() {
  for (uint32_t attempt = 0; attempt < 16 && flush_requested_.exchange(false); ++attempt) {
    pause(map_.margin_ticks + 1);
    if (pass().end == pass_end::sink_full) {
      flush_requested_ = true;
      return;
    }
  }
  add_unannounced();
}

// The checked order of pipeline/wake.h: announce, the margin, T and one pass, sleep.
pass_result mapping_source::sleep(const pass_result& last, clock::time_point deadline) {
  // What only waits for T, or for its time, is there within the margin: no sleep is worth that.
  if (last.end == pass_end::reserved || (last.end == pass_end::idle_bound && last.closed_pending)) {
    pause(map_.clock_frequency / short_pauses_a_second + 1);
    return pass();
  }
  if (!announce()) return last;
  pass_result result{};
  do {
    pause(map_.margin_ticks + 1);
    result = pass();
    if (batch_.record_count() != 0 || interrupted() || clock::now() >= deadline || result.end == pass_end::damaged) {
      return result;
    }
  } while (!result.may_sleep());
  merge_.release();
  wait(result, deadline);
  return gone_ ? result : pass();
}

void mapping_source::wait(const pass_result& last, clock::time_point deadline) {
  nt_timeout limit;
  if (deadline != clock::time_point::max()) limit = std::max<clock::duration>(deadline - clock::now(), clock::duration(0));
  if (last.open_time != 0 && map_.overdue_ticks != 0) {
    const uint64_t now = system_->counter();
    const uint64_t due = last.open_time + map_.overdue_ticks + map_.margin_ticks + 1;
    const uint64_t ticks = std::clamp<uint64_t>(due > now ? due - now : 0, map_.clock_frequency / 1000 + 1,
                                                map_.overdue_ticks + map_.margin_ticks + map_.clock_frequency / 1000 + 1);
    limit = limit ? std::min(*limit, duration_of(ticks)) : duration_of(ticks);
  }
  protocol::wait_answer answer{};
  uint8_t out[sizeof answer] = {};
  uint64_t bytes = 0;
  const nt_status status = device_->control(protocol::code_wait, {}, out, bytes, limit);
  // Taken back, or cancelled with everything of this handle: the next pass looks at the rings in any case.
  if (status == nt::timeout || status == nt::cancelled) return;
  if (!succeeded(status)) lose_driver(status);
}

bool mapping_source::announce() {
  protocol::wait_answer answer{};
  uint8_t out[sizeof answer] = {};
  uint64_t bytes = 0;
  const nt_status status = device_->control(protocol::code_announce, {}, out, bytes, {});
  if (!succeeded(status)) {
    lose_driver(status);
    return false;
  }
  std::memcpy(&answer, out, sizeof answer);
  looked_after_rings_ = clock::now();
  if (bytes == sizeof answer && answer.ring_count > mapped_rings_) map();
  return true;
}

// A client that never sleeps learns here of CPUs that were added. What they wrote before may come late, and is marked so.
void mapping_source::look_after_rings(clock::time_point now) {
  if (gone_ || now - looked_after_rings_ < look_for_rings) return;
  (void)announce();
}

void mapping_source::lose_driver(nt_status status) {
  gone_ = true;
  gone_status_ = status;
  // Nobody will close what is open.
  merge_.attach(readers_.data(), heads_.data(), nodes_.data(), rings_, {1, map_.step_back});
}

// True: there may be more. What stands behind a head without a time was published with it, and never finished.
bool mapping_source::read_what_is_left(const pass_result& last) {
  switch (last.end) {
    case pass_end::sink_full: return true;
    case pass_end::idle_bound:
      if (!last.closed_pending) return false;
      pause(map_.margin_ticks + 1);
      return true;
    case pass_end::stamped:
    case pass_end::reserved:
    case pass_end::damaged: break;
  }
  leave_out(last.ring);
  return rings_ != 0;
}

void mapping_source::leave_out(uint32_t ring) {
  readers_.erase(readers_.begin() + ring);
  --rings_;
  merge_.attach(readers_.data(), heads_.data(), nodes_.data(), rings_, {1, map_.step_back});
}

void mapping_source::flush() {
  flush_requested_ = true;
  uint64_t bytes = 0;
  (void)device_->control(protocol::code_wake, {}, {}, bytes, {});  // without a driver nobody sleeps
}

void mapping_source::cancel() {
  cancelled_ = true;
  uint64_t bytes = 0;
  (void)device_->control(protocol::code_wake, {}, {}, bytes, {});
}

std::chrono::nanoseconds mapping_source::duration_of(uint64_t ticks) const {
  return std::chrono::nanoseconds(ticks / map_.clock_frequency * 1000000000 + ticks % map_.clock_frequency * 1000000000 / map_.clock_frequency);
}

// A margin is far shorter than what a sleep of the system takes: by looking at the clock.
void mapping_source::pause(uint64_t ticks) {
  if (ticks == 0) return;
  const auto length = duration_of(ticks);
  if (length > std::chrono::milliseconds(1)) {
    std::this_thread::sleep_for(length);
    return;
  }
  const clock::time_point until = clock::now() + length;
  while (clock::now() < until) std::this_thread::yield();
}

}  // namespace sluice
