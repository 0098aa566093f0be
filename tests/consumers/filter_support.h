// A filter from text, and what was said about it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "consumers/filter/describe.h"
#include "consumers/filter/load.h"
#include "tests/consumers/batch_builder.h"

namespace sluice::test {

struct filter_from_text {
  filter::diagnostics found;
  type_names names;
  filter::rules rules;
  std::optional<filter::message> message;

  // The driver has one own type, heartbeat, 40.
  explicit filter_from_text(std::string_view text, filter::own_types own = filter::own_types::known)
      : names(own == filter::own_types::known ? declaration(40, "heartbeat", {}) : bytes{}) {
    const filter::configuration said = filter::parse(text, found);
    rules = filter::check(said, names, own, found);
    if (found.errors() == 0) message = filter::compile(rules, found);
  }

  // "3:7: error: ...", in the order of the file.
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    for (const std::string& line : filter::report("f", found)) all.push_back(line.substr(2));
    return all;
  }
};

// Exactly these lines, each of which begins so.
inline void expect_lines(const filter_from_text& filter, const std::vector<std::string>& begins) {
  const std::vector<std::string> lines = filter.lines();
  EXPECT_EQ(lines.size(), begins.size());
  for (size_t i = 0; i < std::max(lines.size(), begins.size()); ++i) {
    const std::string line = i < lines.size() ? lines[i] : "(nothing)";
    EXPECT_TRUE(i < begins.size() && line.rfind(begins[i], 0) == 0)
        << "said:     " << line << "\nexpected: " << (i < begins.size() ? begins[i] : "(nothing)");
  }
}

}  // namespace sluice::test
