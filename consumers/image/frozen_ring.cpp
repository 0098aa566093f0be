#include "consumers/image/frozen_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "producers/events.h"

namespace sluice::image {
namespace {

// A place from which fewer records follow one another is not taken for the ring's own, unless they end where it ends.
constexpr uint8_t enough_records = 8;
constexpr uint8_t to_the_end = 255;  // from here the records follow one another to where the ring ends
// The merge waits for what may still come before a time; nothing comes any more, but no time may be later than that.
constexpr uint64_t latest_time = ~uint64_t{0} - 2;

}  // namespace

frozen_ring::frozen_ring(const image_memory& memory, const found_region& found, const ring_choice& choice)
    : copy_(memory, found.address, found.header.region_bytes) {
  const region_header& header = found.header;
  report_.cpu = header.cpu;
  report_.lane = header.lane;
  report_.address = found.address;
  report_.capacity = header.capacity;
  report_.mode = static_cast<ring_mode>(header.mode);
  view_.producer = reinterpret_cast<producer_page<native_seam>*>(copy_.bytes());
  view_.consumer = reinterpret_cast<consumer_page<native_seam>*>(copy_.bytes() + header.consumer_offset);
  view_.data = native_seam::memory(copy_.bytes() + header.data_offset);
  view_.geometry = {header.capacity, header.max_record, header.critical_bytes};
  view_.start_position = header.start_position;
  view_.cpu = header.cpu;
  view_.lane = header.lane;
  copy_.take(0, header.data_offset);
  copy_.take(header.consumer_offset, header.region_bytes);
  choose_begin(choice);
  copy_data();
  if (!choice.unread_only && report_.mode == ring_mode::discard) find_taken();
  walk();
  runs_ = nullptr;
}

region_view<native_seam> frozen_ring::view() const {
  region_view<native_seam> view = view_;
  view.start_position = static_cast<uint32_t>(report_.begin);
  view.geometry.max_record = max_record_limit;  // what replaces damage may be longer than any record
  return view;
}

// What the walk looks at, and no more: a ring that was hardly used costs little, however large it is.
void frozen_ring::copy_data() {
  const uint64_t data = region_data_offset();
  const uint64_t capacity = view_.geometry.capacity, all = capacity + view_.geometry.max_record;
  const uint64_t begin = offset_of(report_.begin), used = report_.published - report_.begin;
  if (used == 0) return;
  if (begin + used <= capacity) {
    copy_.take(data + begin, data + begin + used);
    return;
  }
  // A record that begins before the capacity's end runs into the apron; the next one begins where the ring begins.
  const uint64_t wrapped = std::min(begin, begin + used - capacity);
  copy_.take(data, data + wrapped);
  copy_.take(data + begin, data + all);
}

// Positions are 32 bits, and bounded by the capacity; what contradicts that is not followed. Before find_taken(), `begin` is how far
// back anything can be.
void frozen_ring::choose_begin(const ring_choice& choice) {
  const uint32_t capacity = view_.geometry.capacity;
  uint32_t published = view_.producer->published.load(memory_order::relaxed);
  const uint32_t consumed_untrusted = view_.consumer->consumed.load(memory_order::relaxed);
  constexpr uint64_t word = sizeof(uint32_t);
  constexpr uint64_t published_at = offsetof(producer_page<native_seam>, published);
  if (copy_.lacks(published_at, published_at + word)) {
    report_.faults.push_back("the page that says where the ring ends is not in the image");
    report_.begin = report_.consumed = report_.published = view_.start_position;
    return;
  }
  if (published % record_alignment != 0) {
    report_.faults.push_back(fmt::format("published position {} is not one of a record", published));
    published -= published % record_alignment;
  }
  if (report_.mode == ring_mode::overwrite) return choose_tail(published, choice);
  const uint64_t consumer_at = region_consumer_offset(view_.geometry);
  const bool consumer_is_here = !copy_.lacks(consumer_at, consumer_at + word);
  const uint32_t begin = consumed_untrusted;
  if (!consumer_is_here || published - begin > capacity || begin % record_alignment != 0) {
    report_.faults.push_back(
        consumer_is_here
            ? fmt::format("consumed position {} contradicts the published one, {}", consumed_untrusted, published)
            : std::string("the page that says what was consumed is not in the image"));
    return take_everything(published);
  }
  const uint32_t unread = published - begin;
  const uint32_t back = choice.unread_only ? 0 : bytes_behind(published, begin);
  report_.begin = begin - back;
  report_.consumed = report_.begin + back;
  report_.published = report_.consumed + unread;
}

// The tail is exact: it was published before a byte before it was written again. The consumer's word is a figure only.
void frozen_ring::choose_tail(uint32_t published, const ring_choice& choice) {
  const tail_figures<native_seam>& figures = view_.producer->tail;
  const uint32_t tail = figures.tail[0].load(memory_order::relaxed);
  const uint32_t used = published - tail;
  if (used > view_.geometry.capacity || tail % record_alignment != 0) {
    report_.faults.push_back(fmt::format("tail position {} contradicts the published one, {}", tail, published));
    return take_everything(published);
  }
  for (const auto& committed : figures.committed) {
    report_.overwritten += uint64_t{committed[1].load(memory_order::relaxed)} << 32 | committed[0].load(memory_order::relaxed);
  }
  report_.overwritten_at_most = (figures.sequence.load(memory_order::relaxed) & 1) != 0;  // the tail comes after the counts
  report_.begin = uint64_t{figures.tail[1].load(memory_order::relaxed)} << 32 | tail;
  report_.published = report_.begin + used;
  const uint32_t read = view_.consumer->consumed.load(memory_order::relaxed) - tail;
  report_.consumed = report_.begin + (read <= used && read % record_alignment == 0 ? read : 0);
  if (choice.unread_only) report_.begin = report_.consumed;
}

// Without a beginning that can be true: everything that can be found. A ring that was never full begins where its life began.
void frozen_ring::take_everything(uint32_t published) {
  const uint32_t capacity = view_.geometry.capacity;
  const uint32_t begin = published - view_.start_position <= capacity ? view_.start_position : published - capacity;
  report_.begin = report_.consumed = begin;
  report_.published = report_.begin + static_cast<uint32_t>(published - begin);
}

// How far behind `consumed` there can be whole records: to the beginning of the ring's life, or to where the producer may have
// written the next records, not published yet, over the oldest ones.
uint32_t frozen_ring::bytes_behind(uint32_t published, uint32_t consumed) const {
  const uint32_t used = published - consumed;
  if (published - view_.start_position <= view_.geometry.capacity) return published - view_.start_position - used;
  const uint32_t touched = view_.geometry.max_record + max_loss_record;
  const uint32_t left = view_.geometry.capacity - used;
  return left > touched ? left - touched : 0;
}

// What a reader has taken is closed, and stays until it is written over: the longest run of such records, with rising times, that
// ends exactly where the reader stood.
void frozen_ring::find_taken() {
  const uint64_t places = (report_.consumed - report_.begin) / record_alignment;
  std::vector<bool> leads_there(places + 1);
  leads_there[places] = true;
  uint64_t first = places;
  for (uint64_t place = places; place-- != 0;) {
    const uint64_t position = report_.begin + place * record_alignment;
    if (past_missing(position) != position) break;  // no run goes over what is not there
    const header_check at = check_at(position);
    if (at.reason != nullptr || !is_closed(state_of(at.header.state_and_length))) continue;
    const uint64_t next = place + record_stride(length_of(at.header.state_and_length)) / record_alignment;
    if (next > places || !leads_there[next]) continue;
    if (next != places && time_of(at.header) > time_of(header_at(report_.begin + next * record_alignment))) continue;
    leads_there[place] = true;
    first = place;
  }
  report_.begin += first * record_alignment;
}

record_header frozen_ring::header_at(uint64_t position) const {
  record_header header;
  std::memcpy(&header, view_.data.bytes(offset_of(position)), sizeof header);
  return header;
}

// The next place, this one or a later one, of which the image has something.
uint64_t frozen_ring::past_missing(uint64_t position) const {
  const byte_range* const range = copy_.missing_at(region_data_offset() + offset_of(position));
  if (range == nullptr) return position;
  const uint64_t offset = offset_of(position);
  const uint64_t end = std::min<uint64_t>(range->end - region_data_offset(), view_.geometry.capacity);
  return position + record_stride(static_cast<uint32_t>(end - offset));
}

// How many bytes before this place, which is missing, are missing too, without a break and without going round the ring.
uint64_t frozen_ring::missing_behind(uint64_t position) const {
  const byte_range* const range = copy_.missing_at(region_data_offset() + offset_of(position));
  if (range == nullptr) return 0;
  const uint64_t at = region_data_offset() + offset_of(position);
  return at - std::max<uint64_t>(range->begin, region_data_offset());
}

frozen_ring::header_check frozen_ring::check_at(uint64_t position) const {
  header_check result;
  const record_header& header = result.header = header_at(position);
  const uint64_t in_region = region_data_offset() + offset_of(position);
  const uint32_t length = length_of(header.state_and_length);
  const record_state state = state_of(header.state_and_length);
  if (copy_.lacks(in_region, in_region + sizeof header)) {
    result.reason = "the image lacks these bytes";
  } else if (state == record_state::none || state > record_state::discarded) {
    result.reason = "no record begins here";
  } else if (length < record_header_size || length > view_.geometry.max_record) {
    result.reason = "a record of an impossible length";
  } else if (record_stride(length) > report_.published - position) {
    result.reason = "a record that goes past the end of the ring";
  } else if (header.type == record_type_invalid || header.type >= max_record_types) {
    result.reason = "a record of no type";
  } else if (state != record_state::reserved && time_of(header) > latest_time) {
    result.reason = "a record from after the end of time";
  } else if (copy_.lacks(in_region, in_region + length)) {
    result.reason = "the image lacks a part of this record";
  }
  return result;
}

void frozen_ring::walk() {
  uint64_t position = report_.begin;
  while (position != report_.published) {
    const header_check at = check_at(position);
    if (at.reason == nullptr) {
      note(position, at.header);
      position += record_stride(length_of(at.header.state_and_length));
      continue;
    }
    const uint64_t next = find_next(position);
    report_.damage.push_back({position, next - position, at.reason});
    if (next == report_.published) break;
    fill(position, next);
    position = next;
  }
  view_.producer->published.store(static_cast<uint32_t>(position), memory_order::relaxed);  // of the copy
}

void frozen_ring::note(uint64_t position, const record_header& header) {
  const record_state state = state_of(header.state_and_length);
  const uint32_t length = length_of(header.state_and_length);
  if (state == record_state::reserved || state == record_state::stamped) {
    open_reservation open{position, state, state == record_state::stamped ? time_of(header) : 0, header.type, length, {}, {}};
    // The context was written before the record was published, and is not written again (channel::reserve_event).
    if (header.type >= first_event_type && header.type < first_own_type &&
        length >= record_header_size + sizeof(event_context)) {
      event_context context;
      std::memcpy(&context, view_.data.bytes(offset_of(position) + record_header_size), sizeof context);
      open.pid = context.pid;
      open.tid = context.tid;
    }
    if (state == record_state::stamped) last_time_ = std::max(last_time_, open.time);
    report_.open.push_back(open);
    close(position, length);
    return;
  }
  const uint64_t time = time_of(header);
  if (state == record_state::discarded) {
    ++report_.discarded;
    last_time_ = std::max(last_time_, time);
    return;
  }
  if (report_.complete++ == 0) report_.first_time = time;
  if (time < last_time_) ++report_.out_of_order;
  last_time_ = std::max(last_time_, time);
  report_.last_time = last_time_;
  report_.complete_bytes += record_stride(length);
  report_.longest = std::max(report_.longest, length);
  if (position - report_.begin < report_.consumed - report_.begin) ++report_.taken;
}

// In the copy: passed over by the ring reader.
void frozen_ring::close(uint64_t position, uint32_t length) {
  const record_header closed{make_state_and_length(record_state::discarded, length), record_type_overdue, 0, 0,
                             static_cast<uint32_t>(last_time_), static_cast<uint32_t>(last_time_ >> 32)};
  std::memcpy(view_.data.bytes(offset_of(position)), &closed, sizeof closed);
}

void frozen_ring::fill(uint64_t position, uint64_t end) {
  while (position != end) {
    uint64_t piece = std::min<uint64_t>(end - position, max_record_limit);
    if (end - position - piece == record_alignment) piece -= record_alignment;  // the last one needs a header, too
    close(position, static_cast<uint32_t>(piece));
    position += piece;
  }
}

// The next place from which the ring's records follow one another, at least a header behind `position`.
uint64_t frozen_ring::find_next(uint64_t position) {
  if (runs_ == nullptr) look_ahead();
  for (uint64_t at = position + record_header_size; at < report_.published; at += record_alignment) {
    if (const uint64_t there = past_missing(at); there != at) {
      at = there - record_alignment;
      continue;
    }
    if (runs_[(at - report_.begin) / record_alignment] < enough_records) continue;
    const header_check found = check_at(at);
    if (state_of(found.header.state_and_length) == record_state::reserved || time_of(found.header) >= last_time_) return at;
  }
  return report_.published;
}

// From the end to the beginning, once: how many records follow one another from each place.
void frozen_ring::look_ahead() {
  const uint64_t places = (report_.published - report_.begin) / record_alignment;
  // Zeroed memory that costs nothing where nothing is.
  runs_.reset(static_cast<uint8_t*>(std::calloc(places + 1, 1)));
  if (runs_ == nullptr) throw std::bad_alloc();
  runs_[places] = to_the_end;
  for (uint64_t place = places; place-- != 0;) {
    const uint64_t position = report_.begin + place * record_alignment;
    if (const uint64_t missing = missing_behind(position); missing != 0) {
      place -= std::min(place, missing / record_alignment);
      continue;
    }
    const header_check at = check_at(position);
    if (at.reason != nullptr) continue;
    const uint64_t next = position + record_stride(length_of(at.header.state_and_length));
    const uint8_t following = runs_[(next - report_.begin) / record_alignment];
    if (next != report_.published && following != 0 && state_of(at.header.state_and_length) != record_state::reserved) {
      const record_header behind = header_at(next);
      if (state_of(behind.state_and_length) != record_state::reserved && time_of(behind) < time_of(at.header)) continue;
    }
    runs_[place] = following == to_the_end ? to_the_end : std::min<uint8_t>(static_cast<uint8_t>(following + 1), to_the_end - 1);
  }
}

}  // namespace sluice::image
