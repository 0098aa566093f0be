#include "consumers/text_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "consumers/fields.h"
#include "consumers/os/output.h"

namespace sluice {
namespace {

constexpr size_t shown_bytes = 32;

class text_visitor : public field_visitor {
 public:
  text_visitor(std::string& out, const stream_clock& clock) : out_(out), clock_(clock) {}

  void number(std::string_view name, uint64_t value) override { put(name, "{}", value); }
  void signed_number(std::string_view name, int64_t value) override { put(name, "{}", value); }
  void hexadecimal(std::string_view name, uint64_t value) override { put(name, "0x{:x}", value); }
  void boolean(std::string_view name, bool value) override {
    if (!value) return;
    out_.push_back(' ');
    out_ += name;
  }
  void word(std::string_view name, std::string_view ascii) override {
    if (ascii.find(' ') == std::string_view::npos) {
      put(name, "{}", ascii);
    } else {
      put(name, "\"{}\"", ascii);
    }
  }
  void string(std::string_view name, const string_value& value) override {
    if (value.missing != missing_reason::none) {
      put(name, "{}", value.missing == missing_reason::source_gone ? "(source gone)" : "(unavailable)");
      return;
    }
    put(name, "\"");
    append_text(out_, value.text);
    out_.push_back('"');
    if (value.truncated) append("(truncated from {} bytes)", value.original_length);
  }
  void bytes(std::string_view name, std::span<const uint8_t> value) override {
    put(name, "");
    for (const uint8_t byte : value.first(std::min(value.size(), shown_bytes))) append("{:02x}", byte);
    if (value.size() > shown_bytes) append("...({} bytes)", value.size());
  }
  void data(std::string_view name, const bytes_value& value) override {
    if (value.missing != missing_reason::none) {
      put(name, "(unavailable, {} bytes)", value.original_length);
      return;
    }
    bytes(name, value.bytes);
    if (value.truncated) append("(truncated from {} bytes)", value.original_length);
  }
  void utc(std::string_view name, uint64_t value) override {
    const std::string text = iso8601(value);
    put(name, "{}", text.empty() ? "(out of range)" : text);
  }
  void ticks(std::string_view name, uint64_t value) override {
    if (const auto moment = clock_.utc(value)) return utc(name, *moment);
    put(name, "{} ticks", value);
  }
  void duration(std::string_view name, uint64_t ticks) override {
    if (const auto nanoseconds = clock_.nanoseconds(ticks)) {
      put(name, "{:.3f}ms", static_cast<double>(*nanoseconds) / 1e6);
    } else {
      put(name, "{} ticks", ticks);
    }
  }
  void names(std::string_view name, std::span<const std::string_view> values) override {
    if (!values.empty()) put(name, "{}", fmt::join(values, "|"));
  }
  void begin_list(std::string_view name) override { put(name, "["); }
  void end_list() override { out_ += " ]"; }
  // A named group is an own event's fields, which stand in the line like any other.
  void begin_group(std::string_view name) override {
    in_list_ = name.empty();
    if (in_list_) out_ += " {";
  }
  void end_group() override {
    if (in_list_) out_ += " }";
  }

 private:
  template <class... arguments>
  void append(fmt::format_string<arguments...> format, arguments&&... values) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<arguments>(values)...);
  }
  template <class... arguments>
  void put(std::string_view name, fmt::format_string<arguments...> format, arguments&&... values) {
    out_.push_back(' ');
    out_ += name;
    out_.push_back('=');
    fmt::format_to(std::back_inserter(out_), format, std::forward<arguments>(values)...);
  }

  std::string& out_;
  const stream_clock& clock_;
  bool in_list_ = false;
};

std::string_view colour_of(const decoded_event& event) {
  if (std::holds_alternative<damaged_event>(event.body)) return "\x1b[1;31m";
  switch (event.type) {
    case event_type_process_create: return "\x1b[1;32m";
    case event_type_process_exit: return "\x1b[31m";
    case event_type_thread_create:
    case event_type_thread_exit: return "\x1b[36m";
    case event_type_image_load: return "\x1b[34m";
    case event_type_registry_create_key:
    case event_type_registry_open_key:
    case event_type_registry_set_value:
    case event_type_registry_delete_key:
    case event_type_registry_delete_value:
    case event_type_registry_rename_key: return "\x1b[33m";
    case record_type_loss:
    case record_type_overdue: return "\x1b[1;31m";
    case record_type_anchor:
    case record_type_epoch:
    case record_type_type_declaration: return "\x1b[2m";
    default: return "\x1b[35m";
  }
}

// "04:30:00.1234567": the day is in the anchor's line.
std::string time_of_day(const stream_clock& clock, uint64_t ticks) {
  if (const auto utc = clock.utc(ticks)) return iso8601(*utc).substr(11, 16);
  return fmt::format("@{:<15}", ticks);
}

}  // namespace

void text_sink::write(const decoded_event& event) {
  std::string& out = context_.out.buffer();
  const std::string_view title = title_of(event);
  const auto append = std::back_inserter(out);
  if (colours_) {
    fmt::format_to(append, "\x1b[2m{}\x1b[0m {:>3} {}{:<16}\x1b[0m", time_of_day(context_.clock, event.time),
                   event.identity.cpu, colour_of(event), title);
  } else {
    fmt::format_to(append, "{} {:>3} {:<16}", time_of_day(context_.clock, event.time), event.identity.cpu, title);
  }
  if (event.context_pid && event.context_tid) fmt::format_to(append, " [{}/{}]", *event.context_pid, *event.context_tid);
  if (event.late) out += colours_ ? " \x1b[1;33mLATE\x1b[0m" : " LATE";
  text_visitor line(out, context_.clock);
  visit_fields(event, context_.names, line);
  if (std::holds_alternative<damaged_event>(event.body)) {
    fmt::format_to(append, " lane={} position={}", event.identity.lane, event.identity.position);
  }
  out.push_back('\n');
  context_.out.line_done();
}

bool wants_colours(int descriptor) {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
  };
  return !set("NO_COLOR") && os::takes_colours(descriptor);
}

}  // namespace sluice
