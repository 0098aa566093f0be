// What the conformance suite runs on: the driver on a simulated machine, a client of it by one transport, reached in one way. Every
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
#include "tests/conformance/reach.h"
#include "tests/eventually.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

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
      : machine([&] {
          sim::machine_options options;
          options.processors = 2;
          options.service_parameters = {{u"sluice", u"RingBytes", ring_bytes}};
          options.shared_memory = GetParam().by == transport::mapping;
          return options;
        }()) {
    EXPECT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS);
    way = make_reach(GetParam().through, machine);
    breakable = std::make_shared<breakable_system>(way->system());
  }
  ~conformance() override {
    breakable.reset();
    way.reset();
    if (loaded) {
      EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS);
    }
  }

  client_options options() const {
    client_options what;
    what.system = breakable;
    what.by = GetParam().by;
    return what;
  }
  // What was closed here is closed there, too.
  void wait_for_handles(uint32_t count) {
    if (GetParam().through == reach_kind::in_process) return;
    eventually([&] { return way->handles() == count; });
  }
  bool by_port() const { return GetParam().by == transport::port; }

  // Loads images with the next `count` bases; returns them.
  std::multiset<uint64_t> load_images(uint32_t count, uint32_t cpu = 0, uint32_t pid = 4) {
    std::multiset<uint64_t> bases;
    sim::activity here(machine, cpu, pid, 8);
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t base = ++next_base;
      sim::load_image({.pid = pid, .base = base, .path = u"\\Device\\HarddiskVolume1\\Windows\\System32\\some.dll"});
      bases.insert(base);
    }
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

  sim::machine machine;
  bool loaded = true;
  std::unique_ptr<reach> way;
  std::shared_ptr<breakable_system> breakable;
  std::atomic<uint64_t> next_base{0};
};

std::vector<pairing> all_pairings();
std::string name_of_pairing(const testing::TestParamInfo<pairing>& info);

}  // namespace sluice::test
