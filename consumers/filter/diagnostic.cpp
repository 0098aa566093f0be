#include "consumers/filter/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "consumers/filter/text.h"
#include "consumers/utf16.h"

namespace sluice::filter {

std::string show(std::string_view file, const diagnostic& found) {
  const std::string_view level = found.level == severity::error ? "error" : "warning";
  if (found.at.line == 0) return fmt::format("{}: {}: {}", harmless(file), level, found.what);
  return fmt::format("{}:{}:{}: {}: {}", harmless(file), found.at.line, found.at.column, level, found.what);
}

void diagnostics::add(position at, severity level, std::string what) {
  if (level == severity::error) ++errors_;
  if (found_.size() < most_kept) {
    found_.push_back({at, level, std::move(what)});
  } else {
    ++left_out_;
  }
}

std::vector<diagnostic> diagnostics::sorted() const {
  std::vector<diagnostic> all = found_;
  std::stable_sort(all.begin(), all.end(), [](const diagnostic& a, const diagnostic& b) {
    return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
  });
  return all;
}

std::string quoted(std::string_view word) {
  constexpr size_t longest = 120;
  std::string out = "'";
  size_t end = std::min(longest, word.size());
  while (end > 0 && end < word.size() && (static_cast<unsigned char>(word[end]) & 0xc0) == 0x80) --end;
  out += harmless(word.substr(0, end));
  return out + (end < word.size() ? "...'" : "'");
}

// append_text is for quoted strings, and doubles quotes: they go past it.
std::string harmless(std::string_view text) {
  std::string out;
  for (;;) {
    const size_t quote = std::min(text.find('"'), text.size());
    const std::u16string units = to_utf16(text.substr(0, quote));
    append_text(out, bytes_of(units));
    if (quote == text.size()) return out;
    out += '"';
    text.remove_prefix(quote + 1);
  }
}

}  // namespace sluice::filter
