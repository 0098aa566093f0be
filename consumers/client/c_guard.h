// What the functions of sluice.h have in common: their client, and that no exception leaves them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "consumers/client/client.h"
#include "consumers/client/sluice.h"

struct sluice_client {
  std::unique_ptr<sluice::client> client;
  std::vector<sluice_record> records;
  uint64_t interruptions = 0;
  uint64_t other_streams = 0;

  void note_interruptions() {
    for (const sluice::interruption& each : client->take_interruptions()) {
      ++interruptions;
      if (!each.same_stream) ++other_streams;
    }
  }
};

namespace sluice {

inline thread_local std::string the_error;

// What `act` returns; -1 if it throws.
template <class action>
int guarded(action&& act) noexcept {
  try {
    return act();
  } catch (const std::exception& error) {
    try {
      the_error = error.what();
    } catch (...) {
      the_error.clear();
    }
  } catch (...) {
    the_error.clear();
  }
  return -1;
}

}  // namespace sluice
