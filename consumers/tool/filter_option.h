// --filter FILE, and `sluice filter check FILE`.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "consumers/event_source.h"
#include "consumers/filter/load.h"

namespace sluice::tool {

// A filter that is not taken: what() has every reason, one to a line.
class filter_error_list : public source_error {
 public:
  using source_error::source_error;
};

class filter_option {
 public:
  // Reads the file. Throws filter_error_list if what can be seen without a driver is wrong.
  explicit filter_option(std::string path);

  // Looks up the driver's own types, and gives the filter to the driver before anything begins. Returns lines for stderr:
  // what is odd about the filter, and what it does. Throws filter_error_list, source_error.
  std::vector<std::string> apply(event_source& source) {
    return apply(source, [&](std::span<const uint8_t> message) { return source.set_filter(message); });
  }
  // The same, with another way to give it: called once, or not at all if the filter lets everything through.
  std::vector<std::string> apply(event_source& source, const std::function<filter_answer(std::span<const uint8_t>)>& set);

 private:
  std::string path_;
  filter::configuration said_;
  filter::diagnostics found_;  // warnings
};

// What the file means goes to stdout, what is wrong or odd to stderr. Returns the exit code: errors are exit_wrong_use.
int check_filter(const std::string& path);

}  // namespace sluice::tool
