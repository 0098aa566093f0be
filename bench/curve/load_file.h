// What a generator in another process has noted, as a file of this machine and this build.
#pragma once

#include <string>

#include "bench/curve/generator.h"

namespace sluice::bench {

// `room`: bytes that the ring has for ordinary events. Both throw std::runtime_error.
void save_load(const generated& load, uint64_t room, const std::string& path);
generated read_load(const std::string& path, uint64_t& room);

}  // namespace sluice::bench
