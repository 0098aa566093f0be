// What became of the events of a simulated machine, as its kernel, its driver and the driver's clients count them.
#pragma once

#include <string>
#include <vector>

#include "consumers/accounting.h"
#include "consumers/type_names.h"

namespace sluice::tool {

struct simulate_account {
  const driver_statistics& driver;
  const std::optional<raised_callbacks>& raised;
  const std::vector<uint8_t>& clients;  // the answer to protocol::code_clients; empty: not known
  const type_names& names;
};

// What contradicts Sluice's guarantees, one sentence each.
std::vector<std::string> find_broken(const simulate_account& account);
// A table, with a line for each of those.
std::string report(const simulate_account& account, const std::vector<std::string>& broken);

}  // namespace sluice::tool
