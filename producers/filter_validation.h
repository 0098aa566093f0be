// Checks a filter message, field by field, before anything of it is used. `message` is a copy of ours that nobody else can
// change any more, on a multiple of 8; nothing in it is trusted.
//
// What passes can be compiled without another look at a bound. Only a path that both includes and excludes is found
// later, when case is folded (producers/filter_paths.h). Any thread, any IRQL; no kernel function is called.
#pragma once

#include "producers/filter_message.h"

namespace sluice {

struct filter_check {
  filter_error error;  // the first that was found
  uint32_t offset;     // of the field, entry or unit that is wrong, from the message's first byte
};

[[nodiscard]] filter_check validate_filter(const uint8_t* message, uint32_t bytes);

}  // namespace sluice
