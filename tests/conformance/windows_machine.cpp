// The kernel of this machine, with what a test needs to make things happen there: Wine's, with our substitutes. Environment:
// SLUICE_TEST_DRIVER and SLUICE_TEST_KEEPER: the paths of sluice.sys and of keep.sys (kernel_port/wine), as Windows calls them.
//
// What passes here passes for the shipped driver and client against our reading of the documentation, on Wine. It says nothing of
// Windows itself.
#include <gtest/gtest.h>
#include <windows.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "consumers/nt/windows_request.h"
#include "consumers/nt/windows_system.h"
#include "kernel_port/driver/protocol.h"
#include "kernel_port/wine/injection.h"
#include "tests/conformance/machine.h"
#include "tests/eventually.h"

namespace sluice::test {
namespace {

constexpr wchar_t parameters_key[] = L"System\\CurrentControlSet\\Services\\sluice\\Parameters";
constexpr wchar_t instances_key[] = L"System\\CurrentControlSet\\Services\\sluice\\Instances";
constexpr wchar_t instance_key[] = L"System\\CurrentControlSet\\Services\\sluice\\Instances\\Sluice Instance";

struct service_closer {
  using pointer = SC_HANDLE;
  void operator()(SC_HANDLE handle) const { ::CloseServiceHandle(handle); }
};
using service_handle = std::unique_ptr<std::remove_pointer_t<SC_HANDLE>, service_closer>;

void set_parameter(const wchar_t* name, DWORD value) {
  const LSTATUS status = ::RegSetKeyValueW(HKEY_LOCAL_MACHINE, parameters_key, name, REG_DWORD, &value, sizeof value);
  ASSERT_EQ(status, ERROR_SUCCESS);
}

void set_text(const wchar_t* key, const wchar_t* name, const std::wstring& value) {
  const LSTATUS status = ::RegSetKeyValueW(HKEY_LOCAL_MACHINE, key, name, REG_SZ, value.c_str(),
                                           static_cast<DWORD>((value.size() + 1) * sizeof(wchar_t)));
  ASSERT_EQ(status, ERROR_SUCCESS);
}

// What the INF writes: without an instance and its altitude the filter manager takes no filter.
void install_instance() {
  set_text(instances_key, L"DefaultInstance", L"Sluice Instance");
  set_text(instance_key, L"Altitude", L"385987.6");
  const DWORD flags = 1;
  ASSERT_EQ(::RegSetKeyValueW(HKEY_LOCAL_MACHINE, instance_key, L"Flags", REG_DWORD, &flags, sizeof flags), ERROR_SUCCESS);
}

// A driver as a service of this machine. It stays installed when the program ends: the prefix is the test's own.
class driver_service {
 public:
  driver_service(const wchar_t* name, const wchar_t* path_variable)
      : manager_(::OpenSCManagerW(nullptr, nullptr, SC_MANAGER_ALL_ACCESS)) {
    constexpr wchar_t group[] = L"Sluice";  // drivers of one group share a process in Wine, as all share a kernel in Windows
    const wchar_t* const path = ::_wgetenv(path_variable);
    if (path == nullptr) {
      ADD_FAILURE() << "no driver is named in the environment: " << testing::PrintToString(std::wstring(path_variable));
      return;
    }
    service_.reset(::CreateServiceW(manager_.get(), name, name, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START,
                                    SERVICE_ERROR_NORMAL, path, group, nullptr, nullptr, nullptr, nullptr));
    if (service_ == nullptr) service_.reset(::OpenServiceW(manager_.get(), name, SERVICE_ALL_ACCESS));
    EXPECT_NE(service_, nullptr) << ::GetLastError();
  }

  bool start() {
    // Other services may still be starting: then the service manager is not to be had.
    DWORD error = ERROR_SUCCESS;
    eventually([&] {
      error = ::StartServiceW(service_.get(), 0, nullptr) ? ERROR_SUCCESS : ::GetLastError();
      return error != ERROR_SERVICE_DATABASE_LOCKED;
    });
    if (error != ERROR_SUCCESS) {
      ADD_FAILURE() << "the driver does not load: error " << error;
      return false;
    }
    return reaches(SERVICE_RUNNING);
  }
  bool stop() {
    SERVICE_STATUS status{};
    if (!::ControlService(service_.get(), SERVICE_CONTROL_STOP, &status)) {
      ADD_FAILURE() << "the driver does not unload: error " << ::GetLastError();
      return false;
    }
    return reaches(SERVICE_STOPPED);
  }

 private:
  bool reaches(DWORD state) {
    SERVICE_STATUS status{};
    eventually([&] {
      return ::QueryServiceStatus(service_.get(), &status) && (status.dwCurrentState == state || status.dwCurrentState == SERVICE_STOPPED);
    });
    return status.dwCurrentState == state;
  }

  service_handle manager_;
  service_handle service_;
};

driver_service& sluice_service() {
  static driver_service service(L"sluice", L"SLUICE_TEST_DRIVER");
  static const bool installed = (install_instance(), true);
  (void)installed;
  return service;
}

// The substitutes come with the first driver that needs them, and go with the last driver at all: one stays that does nothing.
unique_handle open_injection() {
  static driver_service keeper(L"sluicekeep", L"SLUICE_TEST_KEEPER");
  static const bool here = keeper.start() && sluice_service().start() && sluice_service().stop();
  EXPECT_TRUE(here);
  const HANDLE file = ::CreateFileW(reinterpret_cast<const wchar_t*>(wine::injection_path), GENERIC_READ | GENERIC_WRITE,
                                    FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_EXISTING, 0, nullptr);
  EXPECT_NE(file, INVALID_HANDLE_VALUE) << "the substitutes are not there: error " << ::GetLastError();
  return unique_handle(file);
}

class windows_machine : public machine {
 public:
  explicit windows_machine(const machine_choice& what)
      : injection_(open_injection()), system_(windows_system()) {
    const wine::watch_choice nobody{wine::injection_version, 0};
    (void)ask(wine::code_watch, &nobody, sizeof nobody, nullptr, 0);
    before_ = counters();
    set_parameter(L"RingBytes", what.ring_bytes);
  }
  ~windows_machine() override {
    const wine::injection_counters now = counters();
    EXPECT_EQ(now.irql_violations, before_.irql_violations) << rule(now);
    EXPECT_EQ(now.pool_violations, before_.pool_violations) << rule(now);
    EXPECT_EQ(now.pool_blocks, before_.pool_blocks) << "the driver has left memory behind";
  }

  bool load() override { return sluice_service().start(); }
  nt_status unload() override { return sluice_service().stop() ? nt::success : nt::not_found; }
  bool open_handles_keep_the_driver() const override { return false; }  // Wine calls the driver's Unload
  std::shared_ptr<nt_system> system() override { return system_; }
  uint32_t pid() const override { return ::GetCurrentProcessId(); }
  uint32_t clients() override;
  uint32_t cpus() const override { return before_.cpu_count; }
  void load_images(uint64_t first_base, uint32_t count, uint32_t cpu, uint32_t pid) override;
  uint64_t raised_images() override { return counters().raised[static_cast<uint32_t>(wine::injected_kind::image_load)]; }

 private:
  static std::string rule(const wine::injection_counters& counters) {
    std::string text;
    for (const char16_t unit : counters.last_violation) {
      if (unit != 0) text += static_cast<char>(unit);
    }
    return text;
  }
  DWORD ask(uint32_t code, const void* in, size_t in_bytes, void* out, size_t out_bytes) {
    DWORD returned = 0;
    const BOOL done = ::DeviceIoControl(injection_.get(), code, const_cast<void*>(in), static_cast<DWORD>(in_bytes), out,
                                        static_cast<DWORD>(out_bytes), &returned, nullptr);
    EXPECT_TRUE(done) << "error " << ::GetLastError();
    return returned;
  }
  wine::injection_counters counters() {
    wine::injection_counters answer{};
    EXPECT_EQ(ask(wine::code_counters, nullptr, 0, &answer, sizeof answer), sizeof answer);
    return answer;
  }

  unique_handle injection_;
  std::shared_ptr<nt_system> system_;
  wine::injection_counters before_{};
};

// As the driver counts them, itself asked by a handle that does not read.
uint32_t windows_machine::clients() {
  std::unique_ptr<nt_device> device;
  protocol::clients_header header{};
  uint8_t answer[sizeof header + (protocol::max_port_clients + 1) * sizeof(protocol::client_row)] = {};
  uint64_t bytes = 0;
  const nt_status opened = system_->open_device(u"Sluice", device);
  if (opened == nt::object_name_not_found) return 0;  // the driver is not loaded
  EXPECT_EQ(opened, nt::success);
  if (device == nullptr) return 0;
  EXPECT_EQ(device->control(protocol::code_clients, {}, answer, bytes, std::nullopt), nt::success);
  std::memcpy(&header, answer, sizeof header);
  return header.row_count;
}

void windows_machine::load_images(uint64_t first_base, uint32_t count, uint32_t cpu, uint32_t pid) {
  constexpr char16_t path[] = u"\\Device\\HarddiskVolume1\\Windows\\System32\\some.dll";
  constexpr uint32_t path_bytes = sizeof path - sizeof(char16_t);
  if (count == 0) return;
  wine::injected_event event{};
  event.version = wine::injection_version;
  event.bytes = sizeof event + path_bytes;
  event.kind = wine::injected_kind::image_load;
  event.count = count;
  event.cpu = cpu;
  event.current_pid = pid;
  event.current_tid = 8;
  event.pid = pid;
  event.base = first_base;
  event.base_step = 1;
  event.path_bytes = path_bytes;
  uint8_t message[sizeof event + path_bytes];
  std::memcpy(message, &event, sizeof event);
  std::memcpy(message + sizeof event, path, path_bytes);
  wine::raise_answer answer{};
  EXPECT_EQ(ask(wine::code_raise, message, sizeof message, &answer, sizeof answer), sizeof answer);
  EXPECT_EQ(answer.raised, count);
}

}  // namespace

std::vector<reach_kind> all_reaches() { return {reach_kind::windows}; }

std::unique_ptr<machine> make_machine(reach_kind, const machine_choice& what) { return std::make_unique<windows_machine>(what); }

}  // namespace sluice::test
