// A broken invariant ends the run at once: who found it says which invariant and what was seen; the rig adds what the
// rings looked like. Any thread.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <functional>
#include <string>

namespace sluice::stress {

inline constexpr uint32_t no_cpu = ~uint32_t{0};

// Prints the state that explains a violation on `cpu` (no_cpu: of all) to stderr.
void set_dump(std::function<void(uint32_t cpu)> dump);

[[noreturn]] void broken_text(const char* invariant, uint32_t cpu, const std::string& what);

template <class... values>
[[noreturn]] void broken(const char* invariant, uint32_t cpu, fmt::format_string<values...> format, values&&... of) {
  broken_text(invariant, cpu, fmt::format(format, std::forward<values>(of)...));
}

}  // namespace sluice::stress
