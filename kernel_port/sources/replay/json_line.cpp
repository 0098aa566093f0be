#include "kernel_port/sources/replay/json_line.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "kernel_port/sources/replay/line_reader.h"

namespace sluice::replay {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr const char* kind_names[event_kinds] = {
    "process_create",      "process_exit",       "driver_load",           "image_load",
    "remote_thread",       "registry_create_key", "registry_delete_key", "registry_set_value",
    "registry_delete_value", "registry_rename"};

constexpr uint32_t reg_none = 0, reg_sz = 1, reg_binary = 3, reg_dword = 4, reg_qword = 11;

// A fault of the line, on its way out of the parser.
struct line_error {
  std::string what;
};

template <class... arguments>
[[noreturn]] void fail(fmt::format_string<arguments...> format, arguments&&... values) {
  throw line_error{fmt::format(format, std::forward<arguments>(values)...)};
}

std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 40)) {
    if (c < 0x20 || c > 0x7e) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  return text.size() > 40 ? out + "..." : out;
}

uint64_t number(std::string_view name, ondemand::value& value, uint64_t most) {
  ondemand::number n;
  if (const auto error = value.get_number().get(n)) fail("{}: {}", name, simdjson::error_message(error));
  if (n.get_number_type() == ondemand::number_type::floating_point_number) fail("{}: not a whole number", name);
  if (n.is_int64() && n.get_int64() < 0) fail("{}: {} is negative", name, n.get_int64());
  const uint64_t result = n.is_uint64() ? n.get_uint64() : static_cast<uint64_t>(n.get_int64());
  if (result > most) fail("{}: {} is out of range, at most {}", name, result, most);
  return result;
}

// The string's inside. raw_json_token() goes up to the next token.
std::string_view raw_string(std::string_view name, ondemand::value& value) {
  const std::string_view token = value.raw_json_token();
  if (token.empty() || token.front() != '"') fail("{}: not a string", name);
  const size_t end = token.find_last_of('"');
  if (end == 0) fail("{}: a string without an end", name);
  return token.substr(1, end - 1);
}

std::u16string utf16(std::string_view name, ondemand::value& value) {
  std::u16string text;
  if (!unescape(raw_string(name, value), text)) fail("{}: a string that is not JSON", name);
  if (text.size() > max_string_units) {
    fail("{}: {} UTF-16 units; NT strings have at most {}", name, text.size(), max_string_units);
  }
  return text;
}

std::string ascii(std::string_view name, ondemand::value& value) {
  const std::u16string text = utf16(name, value);
  std::string result;
  for (const char16_t unit : text) {
    if (unit < 0x20 || unit > 0x7e) fail("{}: not printable ASCII", name);
    result.push_back(static_cast<char>(unit));
  }
  if (result.size() > 255) fail("{}: {} characters, at most 255", name, result.size());
  return result;
}

uint64_t hexadecimal(std::string_view name, std::string_view text) {
  uint64_t value = 0;
  const std::string_view digits = text.substr(0, 2) == "0x" ? text.substr(2) : text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    fail("{}: '{}' is not a 64-bit hexadecimal number", name, shown(text));
  }
  return value;
}

// Sysmon's GUID of all zeros: it did not know the process.
std::string process_guid(std::string_view name, ondemand::value& value) {
  std::string guid = ascii(name, value);
  return guid.find_first_not_of("0-{}") == std::string::npos ? std::string() : guid;
}

void append_number(std::vector<uint8_t>& to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

// What the value held, from how Sysmon writes it. Contents and size of binary data are not in the log.
void set_data(recorded_event& event, std::string_view type, const std::u16string& text) {
  const auto inside = [&](std::string_view prefix) -> std::string {
    std::string ascii_text;
    for (const char16_t unit : text) ascii_text.push_back(unit < 0x80 ? static_cast<char>(unit) : '?');
    if (ascii_text.size() < prefix.size() + 2 || ascii_text.compare(0, prefix.size(), prefix) != 0 || ascii_text.back() != ')') {
      fail("data: '{}' does not look like {}0x...)", shown(ascii_text), prefix);
    }
    return ascii_text.substr(prefix.size(), ascii_text.size() - prefix.size() - 1);
  };
  if (type == "dword") {
    event.value_type = reg_dword;
    const uint64_t value = hexadecimal("data", inside("DWORD ("));
    if (value > 0xffffffff) fail("data: a DWORD of more than 32 bits");
    append_number(event.data, value, 4);
  } else if (type == "qword") {
    event.value_type = reg_qword;
    const std::string halves = inside("QWORD (");
    const size_t dash = halves.find('-');
    if (dash == std::string::npos) fail("data: '{}' has no two halves", shown(halves));
    const uint64_t high = hexadecimal("data", std::string_view(halves).substr(0, dash));
    const uint64_t low = hexadecimal("data", std::string_view(halves).substr(dash + 1));
    if ((high | low) > 0xffffffff) fail("data: a half of more than 32 bits");
    append_number(event.data, high << 32 | low, 8);
  } else if (type == "string") {
    event.value_type = reg_sz;
    for (const char16_t unit : text) append_number(event.data, unit, 2);
    append_number(event.data, 0, 2);
  } else if (type == "binary") {
    event.value_type = reg_binary;
  } else if (type == "empty" || type == "unknown") {
    event.value_type = reg_none;
  } else {
    fail("dtype: '{}' is not one of dword, qword, string, binary, empty, unknown", shown(type));
  }
}

}  // namespace

const char* name_of(event_kind kind) { return kind_names[static_cast<size_t>(kind)]; }

size_t recorded_event::bytes() const {
  const auto units = [](const std::optional<std::u16string>& text) { return text ? text->size() * 2 : 0; };
  return sizeof *this + host.size() + guid.size() + target_guid.size() + units(image) + units(command_line) + units(path) +
         (key.size() + value.size() + new_key.size()) * 2 + data.size();
}

struct json_parser::state {
  ondemand::parser parser;
};

json_parser::json_parser() : state_(std::make_unique<state>()) {}
json_parser::~json_parser() = default;

std::string json_parser::parse(std::string_view line, recorded_event& event) {
  event = {};
  try {
    // The parser of this processor may look at UTF-8 only where it unescapes.
    if (!simdjson::validate_utf8(line.data(), line.size())) fail("not UTF-8");
    const simdjson::padded_string_view padded(line.data(), line.size(), line.size() + line_reader::padding);
    ondemand::document document;
    if (const auto error = state_->parser.iterate(padded).get(document)) fail("{}", simdjson::error_message(error));
    ondemand::object object;
    if (const auto error = document.get_object().get(object)) fail("not an object: {}", simdjson::error_message(error));

    bool has_time = false, has_kind = false, has_pid = false, has_parent = false, has_target = false, has_tid = false;
    bool has_key = false, has_new_key = false;
    std::string data_type;
    std::u16string data_text;
    for (auto field_result : object) {
      ondemand::field field;
      if (const auto error = std::move(field_result).get(field)) fail("{}", simdjson::error_message(error));
      std::string_view name;
      if (const auto error = field.unescaped_key().get(name)) fail("a field's name: {}", simdjson::error_message(error));
      ondemand::value value = field.value();
      if (name == "t") {
        event.time = number(name, value, ~uint64_t{0} >> 1);
        has_time = true;
      } else if (name == "type") {
        const std::string kind = ascii(name, value);
        const auto* const found = std::find(std::begin(kind_names), std::end(kind_names), kind);
        if (found == std::end(kind_names)) fail("type: '{}' is not a type of event", shown(kind));
        event.kind = static_cast<event_kind>(found - std::begin(kind_names));
        has_kind = true;
      } else if (name == "host") {
        event.host = ascii(name, value);
      } else if (name == "pid") {
        event.pid = static_cast<uint32_t>(number(name, value, max_id));
        has_pid = true;
      } else if (name == "ppid") {
        event.parent_pid = static_cast<uint32_t>(number(name, value, max_id));
        has_parent = true;
      } else if (name == "tpid") {
        event.target_pid = static_cast<uint32_t>(number(name, value, max_id));
        has_target = true;
      } else if (name == "tid") {
        event.tid = static_cast<uint32_t>(number(name, value, max_id));
        has_tid = true;
      } else if (name == "guid") {
        event.guid = process_guid(name, value);
      } else if (name == "tguid") {
        event.target_guid = process_guid(name, value);
      } else if (name == "start") {
        event.start_address = hexadecimal(name, ascii(name, value));
      } else if (name == "image") {
        event.image = utf16(name, value);
      } else if (name == "cmd") {
        event.command_line = utf16(name, value);
      } else if (name == "load") {
        event.path = utf16(name, value);
      } else if (name == "key_nt") {
        event.key = utf16(name, value);
        has_key = true;
      } else if (name == "val") {
        event.value = utf16(name, value);
      } else if (name == "new_key_nt") {
        event.new_key = utf16(name, value);
        has_new_key = true;
      } else if (name == "dtype") {
        data_type = ascii(name, value);
      } else if (name == "data") {
        data_text = utf16(name, value);
      } else {
        std::string_view passed;
        if (const auto error = simdjson::to_json_string(value).get(passed)) {
          fail("{}: {}", shown(name), simdjson::error_message(error));
        }
      }
    }
    const char* behind = nullptr;
    if (document.current_location().get(behind) == simdjson::SUCCESS) fail("text behind the object");

    if (!has_time) fail("no t");
    if (!has_kind) fail("no type");
    const auto need = [&](bool there, const char* field) {
      if (!there) fail("a {} without {}", name_of(event.kind), field);
    };
    need(has_pid || event.kind == event_kind::driver_load, "pid");
    switch (event.kind) {
      case event_kind::process_create: need(has_parent, "ppid"); break;
      case event_kind::process_exit:
      case event_kind::driver_load:
      case event_kind::image_load: break;
      case event_kind::remote_thread:
        need(has_target, "tpid");
        need(has_tid, "tid");
        break;
      case event_kind::registry_set_value:
        need(!data_type.empty(), "dtype");
        set_data(event, data_type, data_text);
        [[fallthrough]];
      case event_kind::registry_create_key:
      case event_kind::registry_delete_key:
      case event_kind::registry_delete_value: need(has_key, "key_nt"); break;
      case event_kind::registry_rename:
        need(has_key, "key_nt");
        need(has_new_key, "new_key_nt");
        break;
    }
    return {};
  } catch (const line_error& error) {
    return error.what;
  }
}

namespace {

// Four hexadecimal digits; -1: they are not.
int32_t unit_of(std::string_view digits) {
  int32_t unit = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
  return digits.size() == 4 && digits[0] != '-' && error == std::errc() && end == digits.data() + 4 ? unit : -1;
}

char16_t short_escape(char c) {
  switch (c) {
    case '"': return u'"';
    case '\\': return u'\\';
    case '/': return u'/';
    case 'b': return u'\b';
    case 'f': return u'\f';
    case 'n': return u'\n';
    case 'r': return u'\r';
    case 't': return u'\t';
    default: return 0;
  }
}

}  // namespace

bool unescape(std::string_view json, std::u16string& to) {
  to.clear();
  to.reserve(json.size());
  for (size_t i = 0; i < json.size();) {
    const auto c = static_cast<unsigned char>(json[i]);
    if (c < 0x20 || c == '"') return false;
    if (c == '\\') {
      if (i + 1 == json.size()) return false;
      if (json[i + 1] == 'u') {
        const int32_t unit = unit_of(json.substr(i + 2, 4));
        if (unit < 0) return false;
        to.push_back(static_cast<char16_t>(unit));
        i += 6;
      } else {
        const char16_t unit = short_escape(json[i + 1]);
        if (unit == 0) return false;
        to.push_back(unit);
        i += 2;
      }
      continue;
    }
    // simdjson has checked that this is valid UTF-8; the lengths are checked again where they are used.
    const size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (i + length > json.size()) return false;
    uint32_t point = length == 1 ? c : c & (0xffu >> (length + 1));
    for (size_t k = 1; k < length; ++k) point = point << 6 | (static_cast<unsigned char>(json[i + k]) & 0x3f);
    if (point >= 0x10000) {
      to.push_back(static_cast<char16_t>(0xd7c0 + (point >> 10)));
      to.push_back(static_cast<char16_t>(0xdc00 + (point & 0x3ff)));
    } else {
      to.push_back(static_cast<char16_t>(point));
    }
    i += length;
  }
  return true;
}

}  // namespace sluice::replay
