// What the conformance suite runs on: the driver on a machine (machine.h), a client of it by one transport, reached in one way. Every
// behaviour is a test over all pairs.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "consumers/client/client.h"
#include "tests/conformance/breakable_system.h"
#include "tests/conformance/machine.h"
#include "tests/eventually.h"

namespace sluice::test {

inline constexpr std::chrono::seconds patience{60};
inline constexpr uint64_t images_only = uint64_t{1} << event_type_image_load;

struct pairing {
  transport by;
  reach_kind through;
};

class conformance : public testing::TestWithParam<pairing> {
 protected:
  explicit conformance(uint32_t ring_bytes = 1 << 20)
      : below(make_machine(GetParam().through, {.ring_bytes = ring_bytes, .maps = GetParam().by == transport::mapping})),
        breakable(std::make_shared<breakable_system>(below->system())) {
    load();
  }
  ~conformance() override {
    breakable.reset();
    if (!loaded) return;
    wait_for_clients(0);
    unload();
  }

  void load() { loaded = below->load(); }
  void unload() {
    EXPECT_EQ(below->unload(), nt::success);
    loaded = false;
  }
  client_options options() const {
    client_options what;
    what.system = breakable;
    what.by = GetParam().by;
    return what;
  }
  // What was closed here is closed there, too.
  void wait_for_clients(uint32_t count) {
    if (GetParam().through == reach_kind::in_process) return;
    eventually([&] { return below->clients() == count; });
  }
  bool by_port() const { return GetParam().by == transport::port; }

  // Loads images with the next `count` bases; returns them.
  std::multiset<uint64_t> load_images(uint32_t count, uint32_t cpu = 0, uint32_t pid = 4) {
    const uint64_t first = next_base.fetch_add(count);
    below->load_images(first, count, cpu, pid);
    std::multiset<uint64_t> bases;
    for (uint32_t i = 0; i < count; ++i) bases.insert(first + i);
    return bases;
  }

  // What comes until everything that was raised has come, or been told as missing.
  struct seen {
    std::vector<decoded_event> events;  // what points into a batch does not last: `bases` has what tests compare
    std::multiset<uint64_t> bases;
    std::multiset<client_outcome> outcomes;
  };
  static void take(client& from, seen& what, client_timeout timeout = patience) {
    const decoded_event* const event = from.next(timeout);
    if (event == nullptr) {
      what.outcomes.insert(from.last());
      return;
    }
    what.events.push_back(*event);
    if (const auto* image = std::get_if<image_load_event>(&event->body)) what.bases.insert(image->base.value_or(0));
  }
  static void read_to_flush(client& from, seen& what) {
    from.flush();
    do {
      take(from, what);
      if (from.last() == client_outcome::timeout) FAIL() << "the answer to a flush did not come";
    } while (from.last() != client_outcome::flushed);
  }
  static seen drain(client& from) {
    seen what;
    eventually([&] {
      read_to_flush(from, what);
      return HasFatalFailure() || from.account().drained(from.statistics());
    });
    return what;
  }

  const std::unique_ptr<machine> below;
  bool loaded = false;
  std::shared_ptr<breakable_system> breakable;
  std::atomic<uint64_t> next_base{1};
};

std::vector<pairing> all_pairings();
std::string name_of_pairing(const testing::TestParamInfo<pairing>& info);

}  // namespace sluice::test
