// One walk over an event's fields, by name, in the order of the table. Every sink shows the same names: they are
// defined here and in docs/output-formats.md, nowhere else.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "consumers/decoder.h"

namespace sluice {

class field_visitor {
 public:
  virtual ~field_visitor() = default;

  virtual void number(std::string_view name, uint64_t value) = 0;
  virtual void signed_number(std::string_view name, int64_t value) = 0;
  virtual void hexadecimal(std::string_view name, uint64_t value) = 0;  // addresses
  virtual void boolean(std::string_view name, bool value) = 0;
  virtual void word(std::string_view name, std::string_view ascii) = 0;
  virtual void string(std::string_view name, const string_value& value) = 0;
  virtual void bytes(std::string_view name, std::span<const uint8_t> value) = 0;
  virtual void data(std::string_view name, const bytes_value& value) = 0;  // of a kind that only the caller knows
  virtual void utc(std::string_view name, uint64_t value) = 0;       // 100 ns since 1601
  virtual void ticks(std::string_view name, uint64_t value) = 0;     // a moment of the stream's clock
  virtual void duration(std::string_view name, uint64_t ticks) = 0;  // of the same clock
  virtual void names(std::string_view name, std::span<const std::string_view> values) = 0;

  // A list of groups, and groups within the event.
  virtual void begin_list(std::string_view name) = 0;
  virtual void end_list() = 0;
  virtual void begin_group(std::string_view name) = 0;  // empty within a list
  virtual void end_group() = 0;
};

// The name that the event is shown under: "process_create", an own type's name, "unknown", "damaged_record".
std::string_view title_of(const decoded_event& event);

// Everything but the title, cpu, time and context. Absent fields are not visited.
void visit_fields(const decoded_event& event, const decoder& names, field_visitor& visitor);

}  // namespace sluice
