// Bytes to a standard stream of this process, and what is known of it. Descriptors are those of the C run-time library: 1 is stdout.
#pragma once

#include <string_view>

namespace sluice::os {

inline constexpr int standard_output = 1;
inline constexpr int standard_error = 2;

// All of `bytes`, as they are, waiting for room if there is none. 0, or an errno; EPIPE: nobody reads it any more.
[[nodiscard]] int write_all(int descriptor, std::string_view bytes);

bool is_terminal(int descriptor);
// A terminal that understands the sequences for colours. On Windows: from now on.
bool takes_colours(int descriptor);

}  // namespace sluice::os
