// Parses one line of a recording. Fields that it does not know are passed over; what it knows is checked.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kernel_port/sources/replay/recorded_event.h"

namespace sluice::replay {

class json_parser {
 public:
  json_parser();
  ~json_parser();
  json_parser(const json_parser&) = delete;
  json_parser& operator=(const json_parser&) = delete;

  // line_reader::padding bytes behind the line may be read. Empty: `event` holds what the line says. Otherwise what is
  // wrong with it. Any text is a legal argument.
  std::string parse(std::string_view line, recorded_event& event);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// The inside of a JSON string, as it stands in the file (valid UTF-8), to UTF-16. An escape of an unpaired surrogate is kept
// as it is: names of NT are sequences of 16-bit units. False: not a JSON string.
bool unescape(std::string_view json, std::u16string& to);

}  // namespace sluice::replay
