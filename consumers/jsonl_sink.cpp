#include "consumers/jsonl_sink.h"

#include <fmt/format.h>

#include <iterator>

#include "consumers/fields.h"

namespace sluice {
namespace {

class json_visitor : public field_visitor {
 public:
  json_visitor(std::string& out, const stream_clock& clock) : out_(out), clock_(clock) {}

  void open() {
    out_.push_back('{');
    first_ = true;
  }
  void close() {
    out_.push_back('}');
    first_ = false;
  }

  void number(std::string_view name, uint64_t value) override {
    key(name);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void signed_number(std::string_view name, int64_t value) override {
    key(name);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void hexadecimal(std::string_view name, uint64_t value) override {
    key(name);
    fmt::format_to(std::back_inserter(out_), "\"0x{:x}\"", value);
  }
  void boolean(std::string_view name, bool value) override {
    key(name);
    out_ += value ? "true" : "false";
  }
  void null(std::string_view name) {
    key(name);
    out_ += "null";
  }
  void word(std::string_view name, std::string_view ascii) override {
    key(name);
    quoted(ascii);
  }
  void string(std::string_view name, const string_value& value) override {
    key(name);
    if (value.missing != missing_reason::none) {
      out_ += "null";
      suffixed_key(name, "_missing");
      quoted(value.missing == missing_reason::source_gone ? "source_gone" : "unavailable");
      return;
    }
    out_.push_back('"');
    append_json(out_, value.text);
    out_.push_back('"');
    if (value.truncated) {
      suffixed_key(name, "_truncated");
      fmt::format_to(std::back_inserter(out_), "{}", value.original_length);
    }
  }
  void bytes(std::string_view name, std::span<const uint8_t> value) override {
    key(name);
    out_.push_back('"');
    for (const uint8_t byte : value) fmt::format_to(std::back_inserter(out_), "{:02x}", byte);
    out_.push_back('"');
  }
  void data(std::string_view name, const bytes_value& value) override {
    if (value.missing != missing_reason::none) {
      null(name);
      suffixed_key(name, "_missing");
      quoted("unavailable");
    } else {
      bytes(name, value.bytes);
    }
    suffixed_key(name, "_size");
    fmt::format_to(std::back_inserter(out_), "{}", value.original_length);
  }
  void utc(std::string_view name, uint64_t value) override {
    const std::string text = iso8601(value);
    text.empty() ? null(name) : word(name, text);
  }
  void ticks(std::string_view name, uint64_t value) override {
    const std::optional<uint64_t> moment = clock_.utc(value);
    moment ? utc(name, *moment) : null(name);
    if (!moment) {
      suffixed_key(name, "_ticks");
      fmt::format_to(std::back_inserter(out_), "{}", value);
    }
  }
  void duration(std::string_view name, uint64_t ticks) override {
    const std::optional<uint64_t> nanoseconds = clock_.nanoseconds(ticks);
    suffixed_key(name, nanoseconds ? "_ns" : "_ticks");
    fmt::format_to(std::back_inserter(out_), "{}", nanoseconds.value_or(ticks));
  }
  void names(std::string_view name, std::span<const std::string_view> values) override {
    key(name);
    out_.push_back('[');
    bool first = true;
    for (const std::string_view value : values) {
      if (!first) out_.push_back(',');
      quoted(value);
      first = false;
    }
    out_.push_back(']');
  }
  void begin_list(std::string_view name) override {
    key(name);
    out_.push_back('[');
    first_ = true;
  }
  void end_list() override {
    out_.push_back(']');
    first_ = false;
  }
  void begin_group(std::string_view name) override {
    if (name.empty()) {
      comma();
    } else {
      key(name);
    }
    open();
  }
  void end_group() override { close(); }

 private:
  void comma() {
    if (!first_) out_.push_back(',');
    first_ = false;
  }
  void quoted(std::string_view ascii) {
    out_.push_back('"');
    append_json(out_, ascii);
    out_.push_back('"');
  }
  // The names of own fields come from a driver: they are escaped like any other string.
  void key(std::string_view name) { suffixed_key(name, {}); }
  void suffixed_key(std::string_view name, std::string_view suffix) {
    comma();
    out_.push_back('"');
    append_json(out_, name);
    out_ += suffix;
    out_ += "\":";
  }

  std::string& out_;
  const stream_clock& clock_;
  bool first_ = true;
};

}  // namespace

void jsonl_sink::write(const decoded_event& event) {
  json_visitor line(context_.out.buffer(), context_.clock);
  line.open();
  line.word("type", title_of(event));
  line.number("cpu", event.identity.cpu);
  line.ticks("time", event.time);
  event.context_pid ? line.number("context_pid", *event.context_pid) : line.null("context_pid");
  event.context_tid ? line.number("context_tid", *event.context_tid) : line.null("context_tid");
  if (event.late) line.boolean("late", true);
  visit_fields(event, context_.names, line);
  line.number("lane", event.identity.lane);
  line.number("position", event.identity.position);
  line.close();
  context_.out.buffer().push_back('\n');
  context_.out.line_done();
}

}  // namespace sluice
