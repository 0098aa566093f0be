#include "producers/filter_validation.h"

#include "pipeline/copy.h"

namespace sluice {
namespace {

class checker {
 public:
  checker(const uint8_t* message, uint32_t bytes) : message_(message), bytes_(bytes) {}

  filter_check run() {
    if (bytes_ < sizeof(filter_header)) return {filter_error::too_short, 0};
    copy_bytes(&header_, message_, sizeof header_);
    (void)(head() && rates() && tables() && processes() && type_rates() &&
           paths(header_.images, true) && paths(header_.keys, false));
    return found_;
  }

 private:
  bool fail(filter_error error, size_t offset) {
    found_ = {error, static_cast<uint32_t>(offset)};
    return false;
  }

  bool head() {
    if (header_.magic != filter_magic) return fail(filter_error::magic, offsetof(filter_header, magic));
    if (header_.version != filter_version) return fail(filter_error::version, offsetof(filter_header, version));
    if (header_.header_bytes != sizeof(filter_header)) {
      return fail(filter_error::header_bytes, offsetof(filter_header, header_bytes));
    }
    if (header_.total_bytes != bytes_ || bytes_ > max_filter_bytes) {
      return fail(filter_error::total_bytes, offsetof(filter_header, total_bytes));
    }
    if (header_.reserved0 != 0) return fail(filter_error::reserved, offsetof(filter_header, reserved0));
    if (header_.reserved1 != 0) return fail(filter_error::reserved, offsetof(filter_header, reserved1));
    for (uint32_t i = 0; i < sizeof header_.reserved2 / sizeof header_.reserved2[0]; ++i) {
      if (header_.reserved2[i] != 0) return fail(filter_error::reserved, offsetof(filter_header, reserved2) + 8 * i);
    }
    return true;
  }

  static bool is_rate(const filter_rate& rate) {
    return rate.events_per_second != 0 && rate.events_per_second <= max_events_per_second && rate.burst != 0 &&
           rate.burst <= max_burst;
  }

  // What stands in the header.
  bool rates() {
    if (header_.repeat_window_ms > max_repeat_window_ms ||
        (header_.repeat_window_ms == 0) != (header_.repeat_types == 0)) {
      return fail(filter_error::repeat_window, offsetof(filter_header, repeat_window_ms));
    }
    const filter_rate& rate = header_.process_rate;
    if ((header_.process_rate_types == 0) != (rate.events_per_second == 0 && rate.burst == 0)) {
      return fail(filter_error::process_rate, offsetof(filter_header, process_rate_types));
    }
    if (header_.process_rate_types != 0 && !is_rate(rate)) {
      return fail(filter_error::rate, offsetof(filter_header, process_rate));
    }
    return true;
  }

  bool table(const filter_table& where, uint32_t entry_bytes, uint32_t most, size_t field) {
    if (where.count == 0) return where.offset == 0 || fail(filter_error::table_place, field);
    if (where.count > most) return fail(filter_error::too_many, field);
    // At most 65536 * 16 bytes: no sum here can exceed 32 bits, as offset is looked at first.
    if (where.offset % 8 != 0 || where.offset < sizeof(filter_header) || where.offset > bytes_ ||
        where.count * entry_bytes > bytes_ - where.offset) {
      return fail(filter_error::table_place, field);
    }
    return true;
  }

  bool tables() {
    return table(header_.processes, sizeof(filter_process), max_filter_processes, offsetof(filter_header, processes)) &&
           table(header_.images, sizeof(filter_path), max_filter_paths, offsetof(filter_header, images)) &&
           table(header_.keys, sizeof(filter_path), max_filter_paths, offsetof(filter_header, keys)) &&
           table(header_.type_rates, sizeof(filter_type_rate), max_record_types, offsetof(filter_header, type_rates));
  }

  template <class entry>
  entry at(const filter_table& where, uint32_t index) const {
    entry value;
    copy_bytes(&value, message_ + where.offset + index * sizeof value, sizeof value);
    return value;
  }
  template <class entry>
  static uint32_t place(const filter_table& where, uint32_t index) {
    return where.offset + index * static_cast<uint32_t>(sizeof(entry));
  }

  // That no process has two rules is found where they are entered into a table (filter_process_rules).
  bool processes() {
    for (uint32_t i = 0; i < header_.processes.count; ++i) {
      const auto rule = at<filter_process>(header_.processes, i);
      const uint32_t where = place<filter_process>(header_.processes, i);
      if (rule.pid > max_filter_process_id || (rule.pid == 0 && (rule.flags & filter_rule_descendants) != 0)) {
        return fail(filter_error::process_id, where);
      }
      if ((rule.flags & ~(filter_rule_exclude | filter_rule_descendants)) != 0) {
        return fail(filter_error::flags, where + offsetof(filter_process, flags));
      }
    }
    return true;
  }

  bool type_rates() {
    uint64_t seen = 0;
    for (uint32_t i = 0; i < header_.type_rates.count; ++i) {
      const auto entry = at<filter_type_rate>(header_.type_rates, i);
      const uint32_t where = place<filter_type_rate>(header_.type_rates, i);
      if (entry.type < first_event_type || entry.type >= max_record_types) return fail(filter_error::rate_type, where);
      if ((seen >> entry.type & 1) != 0) return fail(filter_error::rate_twice, where);
      seen |= uint64_t{1} << entry.type;
      if (entry.reserved0 != 0) return fail(filter_error::reserved, where + offsetof(filter_type_rate, reserved0));
      if (entry.reserved1 != 0) return fail(filter_error::reserved, where + offsetof(filter_type_rate, reserved1));
      if (!is_rate(entry.rate)) return fail(filter_error::rate, where + offsetof(filter_type_rate, rate));
    }
    return true;
  }

  bool paths(const filter_table& where, bool images) {
    for (uint32_t i = 0; i < where.count; ++i) {
      const auto entry = at<filter_path>(where, i);
      const uint32_t here = place<filter_path>(where, i);
      if ((entry.flags & ~filter_rule_exclude) != 0) {
        return fail(filter_error::flags, here + offsetof(filter_path, flags));
      }
      if (entry.offset % 2 != 0 || entry.length % 2 != 0 || entry.offset < sizeof(filter_header) ||
          entry.offset > bytes_ || entry.length > bytes_ - entry.offset) {
        return fail(filter_error::path_place, here);
      }
      text_bytes_ += entry.length;  // at most 2 * 65536 * 64 KiB: see the type
      if (text_bytes_ > bytes_) return fail(filter_error::path_bytes, here);
      if (!path(entry, images)) return fail(filter_error::path_form, here);
    }
    return true;
  }

  bool path(const filter_path& entry, bool images) const {
    const uint8_t* const text = message_ + entry.offset;
    const uint32_t units = entry.length / 2;
    bool after_separator = false;
    for (uint32_t i = 0; i < units; ++i) {
      const uint32_t unit = text[2 * i] | static_cast<uint32_t>(text[2 * i + 1]) << 8;
      const bool separator = unit == '\\' || (images && unit == '/');
      if (unit == 0 || (i == 0 && !separator) || (separator && after_separator)) return false;
      after_separator = separator;
    }
    return units >= 2 && !after_separator;
  }

  const uint8_t* message_;
  uint32_t bytes_;
  filter_header header_{};
  uint64_t text_bytes_ = 0;
  filter_check found_{filter_error::none, 0};
};

}  // namespace

filter_check validate_filter(const uint8_t* message, uint32_t bytes) { return checker(message, bytes).run(); }

}  // namespace sluice
