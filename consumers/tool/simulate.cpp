#include "consumers/tool/simulate.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "consumers/nt/simulated_system.h"
#include "consumers/nt/socket_name.h"
#include "consumers/tool/ring_progress.h"
#include "consumers/tool/select_types.h"
#include "consumers/tool/simulate_report.h"
#include "kernel_port/sim/host/machine_host.h"

namespace sluice::tool {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

// At the end: how long nothing may be taken while something is left.
constexpr std::chrono::seconds drain_patience{5};
constexpr milliseconds drain_look{20};
// How often a source that can end by itself is asked.
constexpr milliseconds source_look{100};
constexpr milliseconds back_pressure_look{2};

class simulation {
 public:
  simulation(session& simulated, const simulate_options& options, stop_signals& signals)
      : session_(simulated),
        options_(options),
        signals_(signals),
        system_(simulated_system(sim::machine::current(), static_cast<uint32_t>(::getpid()))),
        path_(make_socket_path(options.name)),
        rings_(simulated.source()) {
    if (const nt_status status = system_->open_device(u"Sluice", device_); !succeeded(status)) {
      throw source_error(fmt::format("cannot open the driver's device: NT status 0x{:08x}", static_cast<uint32_t>(status)));
    }
  }

  int run() {
    if (options_.watch.types_given) {
      const type_names names(session_.source().types());
      session_.source().set_types(session_.source().capabilities().types &
                                  (find_types(names, options_.watch.types) | ~all_events));
    }
    const source_kind kind = options_.watch.source.kind;
    sim::machine_host host(sim::machine::current(),
                           // Live events tell of this machine's processes themselves; a recording's have its own numbers.
                           {.path = path_, .tells_of_processes = kind == source_kind::synthetic});
    std::printf("serving %s\n", path_.c_str());
    if (std::fflush(stdout) != 0 && errno != EPIPE) throw std::system_error(errno, std::generic_category(), "stdout");
    say("{}", session_.title());
    bool began = true;
    if (options_.waits_for_client) {
      const stop_signals::listener listening(signals_, [&] { host.wake_waiting(); });
      host.wait_for_handle([&] { return signals_.requested() != 0; });
      began = host.opened_handles() != 0;
    }
    if (began) {
      session_.start();
      keep_going();
    }
    session_.stop();
    say_faults();  // those that nobody has asked for yet
    const bool drained = drain(host);
    host.stop();
    return conclude(drained);
  }

 private:
  template <class... arguments>
  static void say(fmt::format_string<arguments...> format, arguments&&... values) {
    fmt::print(stderr, "sluice: {}\n", fmt::format(format, std::forward<arguments>(values)...));
  }

  void say_faults() {
    for (const std::string& fault : session_.take_faults()) {
      say("{}", fault);
      ++faults_;
    }
  }

  // Until the user, the clock or the source ends it. A source that cannot end by itself wakes nobody here.
  void keep_going() {
    const source_kind kind = options_.watch.source.kind;
    const bool waits_for_readers = kind == source_kind::replay && options_.watch.speed == 0 && options_.watch.back_pressure;
    std::optional<steady::time_point> end;
    if (options_.watch.duration) end = steady::now() + *options_.watch.duration;
    while (signals_.requested() == 0 && !session_.failure() && !session_.finished()) {
      say_faults();
      std::optional<steady::time_point> until = end;
      if (kind != source_kind::synthetic) {
        const auto look = steady::now() + (waits_for_readers ? back_pressure_look : source_look);
        until = end ? std::min(*end, look) : look;
      }
      if (waits_for_readers) tell_what_was_read();
      if (end && steady::now() >= *end) return;
      signals_.wait_until(until);
    }
  }

  // What was committed before all rings were seen empty has been read.
  void tell_what_was_read() {
    uint64_t committed = 0;
    for (const protocol::statistics_row& row : session_.source().statistics().rows) committed += row.account.committed;
    if (rings_.look()) session_.received(committed);
  }

  // Nothing is raised any more: for as long as clients take what is there. False: some was left.
  bool drain(const sim::machine_host& host) {
    auto last_progress = steady::now();
    uint64_t taken = 0;
    while (host.connections() != 0) {
      const bool empty = rings_.look();
      const client_progress clients = ask_clients();
      if (empty && clients.waiting == 0) return true;
      const auto now = steady::now();
      if (const uint64_t so_far = rings_.taken() + clients.delivered; so_far != taken) {
        taken = so_far;
        last_progress = now;
      }
      if (now - last_progress > drain_patience) return false;
      signals_.wait_until(now + drain_look);
    }
    return rings_.look();
  }

  struct client_progress {
    uint64_t waiting = 0, delivered = 0;
  };
  client_progress ask_clients() {
    client_progress all;
    const std::vector<uint8_t> answer = read_clients();
    for (size_t at = sizeof(protocol::clients_header); at + sizeof(protocol::client_row) <= answer.size();
         at += sizeof(protocol::client_row)) {
      protocol::client_row row;
      std::memcpy(&row, answer.data() + at, sizeof row);
      all.waiting += row.waiting;
      all.delivered += row.delivered;
    }
    return all;
  }

  std::vector<uint8_t> read_clients() {
    std::vector<uint8_t> answer(sizeof(protocol::clients_header) + protocol::max_port_clients * sizeof(protocol::client_row));
    uint64_t bytes = 0;
    const nt_status status = device_->control(protocol::code_clients, {}, answer, bytes, std::nullopt);
    answer.resize(succeeded(status) ? bytes : 0);
    return answer;
  }

  int conclude(bool drained) {
    const driver_statistics statistics = session_.source().statistics();
    const std::optional<raised_callbacks> raised = session_.raised();
    const std::vector<uint8_t> clients = read_clients();
    const type_names names(session_.source().types());
    const simulate_account account{statistics, raised, clients, names};
    const std::vector<std::string> broken = find_broken(account);
    fmt::print(stderr, "\n{}", report(account, broken));
    for (const std::string& note : session_.notes()) fmt::print(stderr, "{}\n", note);
    if (!drained) say("some of it was not read by anybody");
    if (!broken.empty()) return exit_broken_invariant;
    if (const std::optional<std::string> failure = session_.failure()) {
      say("the run ended early: {}", *failure);
      return exit_wrong_use;
    }
    return faults_ == 0 ? exit_ok : exit_wrong_use;
  }

  session& session_;
  const simulate_options& options_;
  stop_signals& signals_;
  const std::shared_ptr<nt_system> system_;
  const std::string path_;
  std::unique_ptr<nt_device> device_;
  ring_progress rings_;
  uint64_t faults_ = 0;  // in the source's input
};

}  // namespace

int simulate(session& simulated, const simulate_options& options, stop_signals& signals) {
  return simulation(simulated, options, signals).run();
}

}  // namespace sluice::tool
