#include "consumers/tool/connected_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "consumers/client/system_by_name.h"
#include "consumers/device_source.h"
#include "consumers/stream_clock.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/filter_option.h"
#include "consumers/tool/simulate_report.h"

namespace sluice::tool {
namespace {

// A handle to the device that does not read: any number of them may ask.
struct asking {
  explicit asking(const std::string& name) : system(system_by_name(name)), source(system) {}

  std::vector<uint8_t> clients() {
    std::unique_ptr<nt_device> device;
    std::vector<uint8_t> answer(sizeof(protocol::clients_header) +
                                (protocol::max_port_clients + 1) * sizeof(protocol::client_row));
    uint64_t bytes = 0;
    if (!succeeded(system->open_device(u"Sluice", device)) ||
        !succeeded(device->control(protocol::code_clients, {}, answer, bytes, std::nullopt))) {
      bytes = 0;
    }
    answer.resize(std::min<size_t>(bytes, answer.size()));
    return answer;
  }

  std::shared_ptr<nt_system> system;
  device_source source;
};

}  // namespace

int stats_connected(const std::string& name) {
  asking driver(name);
  const protocol::capabilities about = driver.source.capabilities();
  const std::vector<uint8_t> clients = driver.clients();
  const driver_statistics statistics = driver.source.statistics();
  const type_names names(driver.source.types());
  const std::optional<raised_callbacks> raised;
  const simulate_account account{statistics, raised, clients, names};
  const std::vector<std::string> broken = find_broken(account);
  fmt::print("{}: loaded {}; {} CPUs, rings of {} KiB each\n{}", name, iso8601(about.boot), about.cpu_count,
             about.ring_bytes / 1024, report(account, broken));
  return broken.empty() ? exit_ok : exit_broken_invariant;
}

int show_filter(const std::string& name) {
  asking driver(name);
  filter_state state{};
  const std::vector<uint8_t> message = driver.source.filter(state);
  if (message.empty()) {
    fmt::print("no filter is set (generation {})\n", state.generation);
    return exit_ok;
  }
  filter_header header{};
  std::memcpy(&header, message.data(), std::min(message.size(), sizeof header));
  fmt::print("a filter of {} bytes (generation {})\n", message.size(), state.generation);
  const type_names names(driver.source.types());
  if (~header.types != 0) {
    const uint64_t wanted = header.types & all_events & driver.source.capabilities().types;
    fmt::print("types: {}\n", wanted == 0 ? std::string("none") : names.show(wanted));
  }
  const auto table = [](const char* what, uint32_t count) {
    if (count != 0) fmt::print("{}: {}\n", what, count);
  };
  table("rules for processes", header.processes.count);
  table("paths of images", header.images.count);
  table("paths of keys", header.keys.count);
  table("rates of types", header.type_rates.count);
  if (header.process_rate_types != 0) {
    fmt::print("rate of a process: {} events a second, {} at once\n", header.process_rate.events_per_second, header.process_rate.burst);
  }
  if (header.repeat_types != 0) fmt::print("repeats within {} ms are left out\n", header.repeat_window_ms);
  if (state.untracked_processes != 0) fmt::print("processes that are not tracked: {}\n", state.untracked_processes);
  return exit_ok;
}

int set_filter(const std::string& name, const std::string& path) {
  filter_option filter(path);
  asking driver(name);
  bool taken = false;
  const auto set = [&](std::span<const uint8_t> message) {
    taken = true;
    return driver.source.set_filter(message);
  };
  for (const std::string& line : filter.apply(driver.source, set)) fmt::print(stderr, "{}\n", line);
  if (!taken) (void)driver.source.clear_filter();  // what lets everything through is no filter
  return exit_ok;
}

int clear_filter(const std::string& name) {
  (void)asking(name).source.clear_filter();
  return exit_ok;
}

}  // namespace sluice::tool
