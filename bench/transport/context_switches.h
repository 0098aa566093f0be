// How often the threads of this process have left a processor so far, of their own accord or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace sluice::bench {

inline uint64_t context_switches() {
  uint64_t sum = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.find("voluntary_ctxt_switches:") != std::string::npos) sum += std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return sum;
}

}  // namespace sluice::bench
