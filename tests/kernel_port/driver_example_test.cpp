// The example driver: heartbeats from a timer DPC beside the notify routines.
#include <cstring>
#include <set>

#include "tests/kernel_port/driver_test_support.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice::test {
namespace {

TEST(driver_example, heartbeats_arrive_numbered_without_a_gap) {
  sim::machine machine;
  sim::activity starter(machine, 0, 4, 8);
  ASSERT_EQ(machine.load_driver("Heartbeat", &DriverEntry), STATUS_SUCCESS);
  {
    client reader(machine);
    std::vector<received> records;
    while (of_type(records, first_own_type).size() < 10) ASSERT_EQ(reader.read(records), STATUS_SUCCESS);
    std::set<uint64_t> sequence;
    for (const received& beat : of_type(records, first_own_type)) {
      uint64_t number;
      std::memcpy(&number, beat.payload.data(), sizeof number);
      sequence.insert(number);
    }
    EXPECT_EQ(*sequence.begin(), 1u);
    EXPECT_EQ(*sequence.rbegin(), sequence.size());
    EXPECT_EQ(of_type(records, record_type_type_declaration).size(), 1u);
  }
  EXPECT_EQ(machine.unload_driver("Heartbeat"), STATUS_SUCCESS);
}

}  // namespace
}  // namespace sluice::test
