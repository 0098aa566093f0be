// What is wrong with a filter file, and where: everything that is found, not only the first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::filter {

// Counted from 1; columns are code points. Line 0: the file as a whole.
struct position {
  uint32_t line = 0;
  uint32_t column = 0;
};

enum class severity { error, warning };

struct diagnostic {
  position at;
  severity level;
  std::string what;
};

// "FILE:3:7: error: ..."
std::string show(std::string_view file, const diagnostic& found);

class diagnostics {
 public:
  // More than these are counted, not kept: a file of another kind would say a million times the same.
  static constexpr size_t most_kept = 100;

  void error(position at, std::string what) { add(at, severity::error, std::move(what)); }
  void warning(position at, std::string what) { add(at, severity::warning, std::move(what)); }

  uint64_t errors() const { return errors_; }
  uint64_t left_out() const { return left_out_; }
  // In the order of the file.
  std::vector<diagnostic> sorted() const;

 private:
  void add(position at, severity level, std::string what);

  std::vector<diagnostic> found_;
  uint64_t errors_ = 0;
  uint64_t left_out_ = 0;
};

// `word` as it may stand in a message: quoted, control characters escaped, cut where it is long.
std::string quoted(std::string_view word);

// `text` of somebody else's in a message: what acts on a terminal is escaped, quotes stay.
std::string harmless(std::string_view text);

}  // namespace sluice::filter
