#include "consumers/filter/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sluice::filter {
namespace {

class message_writer {
 public:
  explicit message_writer(const rules& filter) : filter_(filter) {}

  message write() {
    reserve(sizeof(filter_header));
    filter_header header{};
    header.magic = filter_magic;
    header.version = filter_version;
    header.header_bytes = sizeof header;
    header.types = filter_.types;
    header.process_types = filter_.processes.empty() ? 0 : filter_.process_types;
    header.repeat_types = filter_.repeat_types;
    header.repeat_window_ms = filter_.repeat_window_ms;
    header.process_rate_types = filter_.process_rate_types;
    header.process_rate = wire(filter_.process_rate);
    header.processes = processes();
    header.images = paths(filter_.images);
    header.keys = paths(filter_.keys);
    header.type_rates = type_rates();
    texts(header.images, filter_.images);
    texts(header.keys, filter_.keys);
    reserve((result_.bytes.size() + 7) / 8 * 8 - result_.bytes.size());
    header.total_bytes = static_cast<uint32_t>(result_.bytes.size());
    put(0, header);
    return std::move(result_);
  }

 private:
  static filter_rate wire(const rate_limit& rate) { return {rate.per_second, rate.burst}; }

  uint32_t reserve(size_t bytes) {
    const size_t offset = result_.bytes.size();
    result_.bytes.resize(offset + bytes);
    return static_cast<uint32_t>(offset);
  }
  template <class entry>
  void put(size_t offset, const entry& value) {
    std::memcpy(result_.bytes.data() + offset, &value, sizeof value);
  }
  void note(size_t offset, position at) { result_.places.push_back({static_cast<uint32_t>(offset), at}); }

  filter_table table(size_t count, size_t entry_bytes) {
    if (count == 0) return {0, 0};
    return {reserve(count * entry_bytes), static_cast<uint32_t>(count)};
  }

  filter_table processes() {
    const filter_table place = table(filter_.processes.size(), sizeof(filter_process));
    for (uint32_t i = 0; i < place.count; ++i) {
      const process_rule& rule = filter_.processes[i];
      const uint32_t flags = (rule.exclude ? filter_rule_exclude : 0) | (rule.descendants ? filter_rule_descendants : 0);
      put(place.offset + i * sizeof(filter_process), filter_process{rule.pid, flags});
      note(place.offset + i * sizeof(filter_process), rule.at);
    }
    return place;
  }

  // Their texts follow behind all tables.
  filter_table paths(const std::vector<path_rule>& rules) {
    const filter_table place = table(rules.size(), sizeof(filter_path));
    for (uint32_t i = 0; i < place.count; ++i) note(place.offset + i * sizeof(filter_path), rules[i].at);
    return place;
  }
  void texts(const filter_table& place, const std::vector<path_rule>& rules) {
    for (uint32_t i = 0; i < place.count; ++i) {
      const std::u16string& path = rules[i].path;
      const size_t length = path.size() * sizeof(char16_t);
      const uint32_t offset = reserve(length);
      std::memcpy(result_.bytes.data() + offset, path.data(), length);
      note(offset, rules[i].at);
      const uint16_t flags = rules[i].exclude ? filter_rule_exclude : 0;
      put(place.offset + i * sizeof(filter_path), filter_path{offset, static_cast<uint16_t>(length), flags});
    }
  }

  filter_table type_rates() {
    const filter_table place = table(filter_.type_rates.size(), sizeof(filter_type_rate));
    uint32_t offset = place.offset;
    for (const auto& [type, rate] : filter_.type_rates) {
      put(offset, filter_type_rate{type, 0, wire(rate), 0});
      note(offset, {});
      offset += sizeof(filter_type_rate);
    }
    return place;
  }

  const rules& filter_;
  message result_;
};

}  // namespace

position message::place_of(uint32_t offset) const {
  const auto behind = std::upper_bound(places.begin(), places.end(), offset,
                                       [](uint32_t value, const place& entry) { return value < entry.offset; });
  return behind == places.begin() ? position{} : std::prev(behind)->at;
}

std::optional<message> compile(const rules& filter, diagnostics& found) {
  if (filter.empty()) return std::nullopt;
  message result = message_writer(filter).write();
  if (result.bytes.size() > max_filter_bytes) {
    found.error(result.place_of(max_filter_bytes),
                fmt::format("the filter is too large from here on: {} bytes for the driver, {} at most", result.bytes.size(),
                            max_filter_bytes));
    return std::nullopt;
  }
  return result;
}

}  // namespace sluice::filter
