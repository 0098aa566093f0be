#include "consumers/tool/synthetic_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::tool {
namespace {

// The whole text as a number; none: it is not one.
std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !(number >= 0 && number <= 1e15)) return std::nullopt;
  return number;
}

}  // namespace

parsed<double> parse_rate(std::string_view text) {
  if (text == "max") return {0.0, {}};
  const std::optional<double> rate = number_of(text);
  if (rate && *rate >= 0.001 && *rate <= 1e9) return {*rate, {}};
  return {{}, fmt::format("'{}' is not a rate: events a second (0.001 to 1e9), or max", text)};
}

parsed<synthetic::activity_mix> parse_mix(std::string_view text) {
  synthetic::activity_mix mix{};
  size_t start = 0;
  while (start <= text.size()) {
    const size_t comma = std::min(text.find(',', start), text.size());
    const std::string_view word = text.substr(start, comma - start);
    const size_t equals = word.find('=');
    const std::optional<double> part = equals == std::string_view::npos ? std::nullopt : number_of(word.substr(equals + 1));
    bool known = false;
    for (uint32_t i = 0; i < synthetic::activity_kinds; ++i) {
      if (word.substr(0, equals) != name_of(static_cast<synthetic::activity_kind>(i)) || !part) continue;
      mix[i] = *part;
      known = true;
    }
    if (!known) {
      return {{}, fmt::format("'{}' in '{}' is not a part of a mix: process, thread, image, registry or own, and a weight, "
                              "such as image=20", word, text)};
    }
    start = comma + 1;
  }
  if (*std::max_element(mix.begin(), mix.end()) <= 0) return {{}, fmt::format("'{}' is a mix of nothing", text)};
  return {mix, {}};
}

parsed<double> parse_share(std::string_view text) {
  const bool percent = !text.empty() && text.back() == '%';
  const std::optional<double> number = number_of(percent ? text.substr(0, text.size() - 1) : text);
  const double share = number.value_or(2) / (percent ? 100 : 1);
  if (number && share <= 1) return {share, {}};
  return {{}, fmt::format("'{}' is not a share: 0% to 100%, or 0 to 1", text)};
}

parsed<rhythm_choice> parse_rhythm(std::string_view text) {
  using kind = enum rhythm_choice::kind;
  rhythm_choice choice;
  constexpr std::string_view bursts = "bursts:", recording = "recording:";
  if (text == "steady") return {choice, {}};
  if (text == "poisson") {
    choice.kind = kind::poisson;
    return {choice, {}};
  }
  if (text.substr(0, recording.size()) == recording && text.size() > recording.size()) {
    choice.kind = kind::recording;
    choice.path = text.substr(recording.size());
    return {choice, {}};
  }
  if (text.substr(0, bursts.size()) == bursts) {
    const std::string_view rest = text.substr(bursts.size());
    const size_t colon = rest.find(':');
    if (colon != std::string_view::npos) {
      const parsed<duration_limit> period = parse_duration(rest.substr(0, colon));
      const parsed<double> share = parse_share(rest.substr(colon + 1));
      if (!period.result) return {{}, period.error};
      if (!share.result) return {{}, share.error};
      const duration_limit limit = *period.result;
      if (limit && *limit >= std::chrono::milliseconds(1) && *share.result > 0) {
        choice.kind = kind::bursts;
        choice.period = static_cast<uint64_t>(limit->count());
        choice.share = *share.result;
        return {choice, {}};
      }
    }
  }
  return {{}, fmt::format("'{}' is not a rhythm: steady, poisson, bursts:PERIOD:SHARE (1 ms or longer, such as bursts:1s:10%), "
                          "or recording:FILE", text)};
}

synthetic::rhythm make_rhythm(const rhythm_choice& choice) {
  switch (choice.kind) {
    case rhythm_choice::kind::steady: break;
    case rhythm_choice::kind::poisson: return synthetic::poisson();
    case rhythm_choice::kind::bursts: return synthetic::bursts(choice.period, choice.share);
    case rhythm_choice::kind::recording: return synthetic::from_recording(choice.path);
  }
  return synthetic::steady();
}

parsed<synthetic::size_distribution> parse_sizes(std::string_view text) {
  synthetic::size_distribution sizes;
  if (text == "recorded") {
    sizes.as_recorded = true;
    return {sizes, {}};
  }
  constexpr double most = 32'000;
  const size_t dash = text.find('-');
  const std::optional<double> least = number_of(text.substr(0, dash));
  const std::optional<double> largest = dash == std::string_view::npos ? least : number_of(text.substr(dash + 1));
  if (least && largest && *least <= *largest && *largest <= most) {
    sizes.least = static_cast<uint32_t>(*least);
    sizes.most = static_cast<uint32_t>(*largest);
    return {sizes, {}};
  }
  return {{}, fmt::format("'{}' is not a size: bytes (up to 32000) such as 64, a range such as 16-512, or recorded", text)};
}

}  // namespace sluice::tool
