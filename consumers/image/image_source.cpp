#include "consumers/image/image_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::image {

image_source::image_source(const std::string& path, const image_options& options) {
  const image_memory memory(path);
  findings found = find_regions(memory, options.watch);
  if (found.boots.empty()) {
    std::string what = fmt::format("{}: no rings of sluice in {} bytes of {}", path, found.bytes_looked_through,
                                   memory.kind() == image_kind::core ? "a core file's memory" : "it");
    if (const std::string guess = memory.guess(); !guess.empty()) what += "; " + guess;
    for (const std::string& fault : memory.faults()) what += "\n" + fault;
    for (const std::string& fault : found.faults) what += "\n" + fault;
    throw image_error(what);
  }
  const found_boot* chosen = &found.boots.front();
  if (options.boot) {
    const auto it = std::find_if(found.boots.begin(), found.boots.end(),
                                 [&](const found_boot& boot) { return boot.boot == *options.boot; });
    if (it == found.boots.end()) {
      std::string what = fmt::format("{}: no rings of boot {}; there are:", path, *options.boot);
      for (const found_boot& boot : found.boots) what += fmt::format(" {}", boot.boot);
      throw image_error(what);
    }
    chosen = &*it;
  }
  report_.path = path;
  report_.kind = memory.kind();
  report_.file_bytes = memory.file_bytes();
  for (const found_boot& boot : found.boots) {
    if (&boot != chosen) report_.other_boots.push_back(boot.boot);
  }
  faults_ = memory.faults();
  faults_.insert(faults_.end(), found.faults.begin(), found.faults.end());
  take_boot(memory, *chosen, options.choice);
  start_merge();
}

void image_source::take_boot(const image_memory& memory, const found_boot& boot, const ring_choice& choice) {
  const region_header& first = boot.regions.front().header;
  report_.boot = boot.boot;
  report_.clock_frequency = first.clock_frequency;
  report_.cpu_count = first.cpu_count;
  capabilities_.version = protocol::version;
  capabilities_.boot = boot.boot;
  capabilities_.clock_frequency = first.clock_frequency;
  capabilities_.types = ~uint64_t{0};
  capabilities_.ring_bytes = first.capacity;
  capabilities_.critical_bytes = first.critical_bytes;
  capabilities_.max_record_bytes = first.max_record;
  if (first.anchor_utc != 0) {
    capabilities_.anchor_counter = first.anchor_counter;
    capabilities_.anchor_utc = first.anchor_utc;
  }
  uint32_t longest = 0;
  rings_.reserve(boot.regions.size());
  for (const found_region& region : boot.regions) {
    const region_header& header = region.header;
    if (header.clock_frequency != first.clock_frequency || header.cpu_count != first.cpu_count) {
      faults_.push_back(fmt::format("at 0x{:x}: the ring of cpu {}, lane {} contradicts the others of its boot; it is not read",
                                    region.address, header.cpu, header.lane));
      continue;
    }
    rings_.emplace_back(memory, region, choice);
    const ring_report& ring = rings_.back().report();
    capabilities_.cpu_count = std::max<uint32_t>(capabilities_.cpu_count, ring.cpu + 1u);
    longest = std::max(longest, ring.longest);
    for (std::string& fault : describe_damage(ring)) faults_.push_back(std::move(fault));
    report_.rings.push_back(ring);
  }
  capabilities_.cpu_count = std::max(capabilities_.cpu_count, report_.cpu_count);
  least_buffer_ = std::max<size_t>(least_buffer_, sizeof(batch_header) + batch_overhead(longest));
  if (boot.catalog) take_catalog(memory, *boot.catalog);
}

// As protocol::code_types gives them; whoever reads them checks them (consumers/type_registry.h).
void image_source::take_catalog(const image_memory& memory, const found_catalog& catalog) {
  for (uint32_t i = 0; i < catalog.header.count; ++i) {
    type_entry entry{};
    std::vector<byte_range> missing;
    memory.read(catalog.address + offsetof(type_catalog, entries) + i * sizeof entry,
                {reinterpret_cast<uint8_t*>(&entry), sizeof entry}, missing);
    if (!missing.empty() || entry.head.field_count > max_fields) {
      faults_.push_back(fmt::format("at 0x{:x}: own type {} of {} is damaged; its events have no names", catalog.address, i + 1,
                                    catalog.header.count));
      continue;
    }
    const size_t bytes = sizeof entry.head + entry.head.field_count * sizeof(field_declaration);
    const auto* const from = reinterpret_cast<const uint8_t*>(&entry);
    types_.insert(types_.end(), from, from + bytes);
    types_.resize(record_stride(static_cast<uint32_t>(types_.size())));
    ++report_.own_types;
  }
}

void image_source::start_merge() {
  const uint32_t count = static_cast<uint32_t>(rings_.size());
  readers_.resize(count);
  heads_.resize(count);
  nodes_.resize(tournament_nodes(count));
  // Not by the count that a header claims.
  const size_t cpus = rings_.empty() ? 0 : size_t{rings_.back().report().cpu} + 1;
  announced_until_.assign(cpus, 0);
  laps_.assign(cpus * lanes_per_cpu, 0);
  for (uint32_t i = 0; i < count; ++i) {  // by (cpu, lane)
    const ring_report& ring = rings_[i].report();
    readers_[i].attach(rings_[i].view());
    laps_[size_t{ring.cpu} * lanes_per_cpu + ring.lane] = ring.begin - static_cast<uint32_t>(ring.begin);
  }
  // Whatever goes back within a ring is a step of the clock: its producer takes care of that (pipeline/epoch.h).
  merge_.attach(readers_.data(), heads_.data(), nodes_.data(), count, {.step_back = 1});
}

bool image_source::accept(const record_view<native_seam>& record) {
  const uint16_t type = record.type();
  if (type == record_type_loss && record.payload_length() >= sizeof(loss_payload)) {
    loss_payload loss;
    std::memcpy(&loss, record.payload(), sizeof loss);
    announced_until_[record.cpu] = std::max(announced_until_[record.cpu], loss.last_time);
  }
  if (type >= first_event_type && (selected_types_ >> type & 1) == 0) return true;
  record_view<native_seam> placed = record;
  placed.position += laps_[size_t{record.cpu} * lanes_per_cpu + record.lane];
  return batch_.add(placed);
}

// The machine's clock had stepped back. UTC goes by the anchor of the boot for the first epoch; of later ones it is not known.
bool image_source::begin_epoch(const epoch_start& start) {
  const epoch_payload epoch{start.epoch, 0, start.offset(), start.first};
  return batch_.add_of_stream(record_type_epoch, start.time, &epoch, sizeof epoch);
}

// R4 for what no record tells of: the figures that each CPU published. False: the batch is full.
bool image_source::add_losses() {
  for (; losses_added_ < rings_.size(); ++losses_added_) {
    const frozen_ring& ring = rings_[losses_added_];
    if (ring.report().lane != lane_main || !ring.loss_figures_are_here()) continue;
    loss_summary figures;
    if (!read_loss_figures(ring.loss(), figures)) {
      faults_.push_back(fmt::format("cpu {}: its loss figures were being written; what it dropped last is not known",
                                    ring.report().cpu));
      continue;
    }
    if (figures.events == 0 || figures.last_time <= announced_until_[ring.report().cpu]) continue;
    if (!batch_.add_figures(ring.report().cpu, figures)) return false;
  }
  return true;
}

read_result image_source::read(std::span<uint8_t> buffer, std::chrono::nanoseconds) {
  batch_.begin(buffer.data(), static_cast<uint32_t>(std::min<size_t>(buffer.size(), 1u << 30)), report_.boot,
               report_.clock_frequency);
  pass_result result = merge_.pass(batch_sink{*this});
  // What is of a later epoch is seen in one pass and taken in the next.
  while (batch_.record_count() == 0 && result.end == pass_end::idle_bound && result.closed_pending) {
    result = merge_.pass(batch_sink{*this});
  }
  const bool whole = result.end != pass_end::sink_full && add_losses();
  if (batch_.record_count() != 0) return {read_status::batch, batch_.finish()};
  if (!whole) throw image_error(fmt::format("{}: a record does not fit a buffer of {} bytes", report_.path, buffer.size()));
  return {read_status::end, 0};
}

std::vector<std::string> image_source::take_faults() { return std::exchange(faults_, {}); }

}  // namespace sluice::image
