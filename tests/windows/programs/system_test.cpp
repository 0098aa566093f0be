// The calls of nt/system.h on Windows: waiting, taking back, cancelling, statuses. Named pipes stand in for a device: what pends there
// pends as at any other.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "consumers/nt/windows_request.h"
#include "consumers/nt/windows_status.h"
#include "consumers/nt/windows_system.h"
#include "tests/eventually.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

struct windows_device : testing::Test {
  windows_device()
      : name(L"sluice-test-" + std::to_wstring(::GetCurrentProcessId())),
        server(::CreateNamedPipeW((L"\\\\.\\pipe\\" + name).c_str(), PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE, 1,
                                  1 << 16, 1 << 16, 0, nullptr)),
        system(windows_system()) {
    const std::u16string path = u"pipe\\" + std::u16string(name.begin(), name.end());
    EXPECT_EQ(system->open_device(path, device), nt::success);
  }
  void send(uint32_t number) {
    DWORD written = 0;
    EXPECT_TRUE(::WriteFile(server.get(), &number, sizeof number, &written, nullptr));
  }
  nt_status receive(uint32_t& number, nt_timeout timeout) {
    uint8_t buffer[sizeof number] = {};
    uint64_t bytes = 0;
    const nt_status status = device->read(buffer, bytes, timeout);
    if (status == nt::success) {
      EXPECT_EQ(bytes, sizeof number);
      std::memcpy(&number, buffer, sizeof number);
    } else {
      EXPECT_EQ(bytes, 0u);
    }
    return status;
  }

  const std::wstring name;
  unique_handle server;
  const std::shared_ptr<nt_system> system;
  std::unique_ptr<nt_device> device;
};

TEST_F(windows_device, reads_what_came_before_and_what_comes_while_it_waits) {
  uint32_t number = 0;
  send(1);
  EXPECT_EQ(receive(number, {}), nt::success);
  EXPECT_EQ(number, 1u);
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(20));
    send(2);
  });
  EXPECT_EQ(receive(number, {}), nt::success);
  EXPECT_EQ(number, 2u);
  later.join();
}

TEST_F(windows_device, takes_back_what_does_not_come_in_time) {
  uint32_t number = 0;
  EXPECT_EQ(receive(number, milliseconds(0)), nt::timeout);
  EXPECT_EQ(receive(number, milliseconds(5)), nt::timeout);
  send(3);
  EXPECT_EQ(receive(number, milliseconds(0)), nt::success) << "what is there needs no time";
  EXPECT_EQ(number, 3u);
}

TEST_F(windows_device, loses_nothing_that_comes_while_it_is_taken_back) {
  constexpr uint32_t count = 2000;
  const std::jthread sending([&] {
    for (uint32_t i = 0; i < count; ++i) send(i);
  });
  for (uint32_t expected = 0; expected < count;) {
    uint32_t number = 0;
    const nt_status status = receive(number, std::chrono::microseconds(expected % 3 * 50));
    if (status == nt::timeout) continue;
    ASSERT_EQ(status, nt::success);
    ASSERT_EQ(number, expected);
    ++expected;
  }
}

TEST_F(windows_device, cancels_every_read_of_its_handle) {
  std::atomic<int> cancelled{0}, over{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      uint32_t number = 0;
      if (receive(number, {}) == nt::cancelled) ++cancelled;
      ++over;
    });
  }
  test::eventually([&] {
    device->cancel();  // those that do not pend yet are not found
    return over == 3;
  });
  for (std::thread& each : readers) each.join();
  EXPECT_EQ(cancelled, 3);
  uint32_t number = 0;
  send(4);
  EXPECT_EQ(receive(number, {}), nt::success) << "and what comes after that is read";
}

TEST_F(windows_device, gives_an_error_when_the_other_side_has_gone_also_to_who_waits) {
  constexpr nt_status pipe_broken = static_cast<nt_status>(0xc000014b);
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(20));
    server.reset();
  });
  uint32_t number = 0;
  EXPECT_EQ(receive(number, {}), pipe_broken);
  later.join();
}

TEST(windows_system, has_no_device_of_a_name_that_nobody_gave) {
  std::unique_ptr<nt_device> device;
  EXPECT_EQ(windows_system()->open_device(u"SluiceIsNotHere", device), nt::object_name_not_found);
  EXPECT_EQ(device, nullptr);
}

// Wine's own fltlib knows no ports; ours knows of none.
TEST(windows_system, has_no_port_of_a_name_that_nobody_gave) {
  std::unique_ptr<nt_port> port;
  const nt_status status = windows_system()->connect_port(u"\\SluiceIsNotHere", {}, port);
  EXPECT_TRUE(status == nt::not_supported || status == nt::object_name_not_found) << std::hex << status;
  EXPECT_EQ(port, nullptr);
}

TEST(windows_system, counts_with_the_clock_that_stamps_records) {
  const std::shared_ptr<nt_system> system = windows_system();
  LARGE_INTEGER before{}, after{};
  ::QueryPerformanceCounter(&before);
  const uint64_t now = system->counter();
  ::QueryPerformanceCounter(&after);
  EXPECT_LE(static_cast<uint64_t>(before.QuadPart), now);
  EXPECT_LE(now, static_cast<uint64_t>(after.QuadPart));
}

TEST(windows_status, is_what_fltlib_made_its_result_of) {
  const auto of = [](uint32_t error, bool port) { return status_of_hresult(HRESULT_FROM_WIN32(error), port); };
  EXPECT_EQ(status_of_hresult(S_OK, true), nt::success);
  EXPECT_EQ(of(ERROR_FILE_NOT_FOUND, false), nt::object_name_not_found);
  EXPECT_EQ(of(ERROR_CONNECTION_COUNT_LIMIT, false), nt::connection_count_limit);
  EXPECT_EQ(of(ERROR_REVISION_MISMATCH, false), nt::revision_mismatch);
  EXPECT_EQ(of(ERROR_ACCESS_DENIED, false), nt::access_denied);
  EXPECT_EQ(of(ERROR_INVALID_HANDLE, false), nt::invalid_handle);
  EXPECT_EQ(of(ERROR_INVALID_HANDLE, true), nt::port_disconnected);
  EXPECT_EQ(of(ERROR_INSUFFICIENT_BUFFER, true), nt::buffer_too_small);
  EXPECT_EQ(status_of_hresult(E_NOTIMPL, false), nt::not_supported);
  EXPECT_EQ(status_of_hresult(HRESULT_FROM_NT(nt::sharing_violation), false), nt::sharing_violation);
  EXPECT_EQ(status_of_hresult(static_cast<int32_t>(0x801f0020), true), static_cast<nt_status>(0xc01c0020)) << "the filter manager's own";
  EXPECT_FALSE(succeeded(status_of_hresult(E_FAIL, true)));
}

}  // namespace
}  // namespace sluice
