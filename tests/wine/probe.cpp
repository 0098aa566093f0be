// A client inside a Wine prefix that does what its stdin says: services, the driver's device, ports and the injection device, by the
// documented calls and with exact statuses. One command a line; one line of answer: a status in hexadecimal, then what the command gives.
//
//   install NAME PATH GROUP      a demand-start kernel driver, with an instance for the filter manager; drivers of one group share a
//                                process
//   parameter NAME VALUE NUMBER  a DWORD under its Parameters key
//   start NAME | stop NAME       a Win32 error
//   open DEVICE                  a handle's number
//   close HANDLE
//   control HANDLE CODE IN OUT MILLISECONDS   IN as hexadecimal bytes or -; bytes of answer
//   read HANDLE BYTES            begins a read; a request's number
//   pend HANDLE CODE OUT         begins a control; a request's number
//   finish REQUEST MILLISECONDS  bytes that came
//   cancel HANDLE
//   pid                          its own
//   exit CODE                    ends the probe, without an answer
//   die                          ends the probe as TerminateProcess does
#include <windows.h>
#include <winternl.h>
#include <winioctl.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
NTSTATUS NTAPI NtReadFile(HANDLE, HANDLE, PIO_APC_ROUTINE, PVOID, PIO_STATUS_BLOCK, PVOID, ULONG, PLARGE_INTEGER, PULONG);
NTSTATUS NTAPI NtCancelIoFileEx(HANDLE, PIO_STATUS_BLOCK, PIO_STATUS_BLOCK);
}

namespace {

constexpr uint32_t status_pending = 0x103;
constexpr uint32_t status_timeout = 0x102;
constexpr uint32_t bad_command = 0xffffffff;

std::string hex(const uint8_t* bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(count * 2);
  for (size_t i = 0; i < count; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text.empty() ? "-" : text;
}

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  if (text == "-") return bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

struct request {
  request(HANDLE on, size_t bytes) : handle(on), event(CreateEventW(nullptr, TRUE, FALSE, nullptr)), buffer(bytes) {}
  ~request() { CloseHandle(event); }
  request(const request&) = delete;
  request& operator=(const request&) = delete;

  // Pending ends as status_timeout after `milliseconds`: the request is taken back.
  uint32_t finish(uint32_t status, DWORD milliseconds) {
    if (status != status_pending) return status;
    if (WaitForSingleObject(event, milliseconds) == WAIT_TIMEOUT) {
      IO_STATUS_BLOCK ignored;
      NtCancelIoFileEx(handle, &io, &ignored);
      WaitForSingleObject(event, INFINITE);
      return static_cast<uint32_t>(io.Status) == 0xc0000120 ? status_timeout : static_cast<uint32_t>(io.Status);
    }
    return static_cast<uint32_t>(io.Status);
  }

  HANDLE handle;
  HANDLE event;
  IO_STATUS_BLOCK io{};
  std::vector<uint8_t> in;
  std::vector<uint8_t> buffer;
  uint32_t begun = 0;
};

uint32_t begin_read(request& with) {
  LARGE_INTEGER at{};
  ResetEvent(with.event);
  with.begun = static_cast<uint32_t>(NtReadFile(with.handle, with.event, nullptr, nullptr, &with.io, with.buffer.data(),
                                                static_cast<ULONG>(with.buffer.size()), &at, nullptr));
  return with.begun;
}

uint32_t begin_control(request& with, uint32_t code) {
  with.begun = static_cast<uint32_t>(NtDeviceIoControlFile(
      with.handle, with.event, nullptr, nullptr, &with.io, code, with.in.empty() ? nullptr : with.in.data(),
      static_cast<ULONG>(with.in.size()), with.buffer.empty() ? nullptr : with.buffer.data(),
      static_cast<ULONG>(with.buffer.size())));
  return with.begun;
}

std::map<uint32_t, HANDLE> handles;
std::map<uint32_t, std::unique_ptr<request>> requests;
uint32_t next_number = 1;

std::wstring wide(const std::string& text) { return {text.begin(), text.end()}; }

DWORD set_value(const std::wstring& key, const wchar_t* name, DWORD type, const void* data, DWORD bytes) {
  HKEY opened = nullptr;
  DWORD error = RegCreateKeyExW(HKEY_LOCAL_MACHINE, key.c_str(), 0, nullptr, 0, KEY_ALL_ACCESS, nullptr, &opened, nullptr);
  if (error != ERROR_SUCCESS) return error;
  if (name != nullptr) error = RegSetValueExW(opened, name, 0, type, static_cast<const BYTE*>(data), bytes);
  RegCloseKey(opened);
  return error;
}

std::wstring key_of(const std::string& service) { return L"System\\CurrentControlSet\\Services\\" + wide(service); }

class service_manager {
 public:
  service_manager() : handle_(OpenSCManagerW(nullptr, nullptr, SC_MANAGER_ALL_ACCESS)) {}
  ~service_manager() { CloseServiceHandle(handle_); }
  service_manager(const service_manager&) = delete;
  service_manager& operator=(const service_manager&) = delete;

  DWORD install(const std::string& name, const std::string& path, const std::string& group) {
    SC_HANDLE const made = CreateServiceW(handle_, wide(name).c_str(), wide(name).c_str(), SERVICE_ALL_ACCESS,
                                          SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL,
                                          wide(path).c_str(), wide(group).c_str(), nullptr, nullptr, nullptr, nullptr);
    if (made == nullptr) return GetLastError();
    CloseServiceHandle(made);
    return set_value(key_of(name) + L"\\Instances", nullptr, 0, nullptr, 0);
  }
  DWORD start(const std::string& name) {
    SC_HANDLE const service = OpenServiceW(handle_, wide(name).c_str(), SERVICE_ALL_ACCESS);
    const DWORD error = service != nullptr && StartServiceW(service, 0, nullptr) ? ERROR_SUCCESS : GetLastError();
    CloseServiceHandle(service);
    return error;
  }
  DWORD stop(const std::string& name) {
    SC_HANDLE const service = OpenServiceW(handle_, wide(name).c_str(), SERVICE_ALL_ACCESS);
    SERVICE_STATUS now{};
    const DWORD error =
        service != nullptr && ControlService(service, SERVICE_CONTROL_STOP, &now) ? ERROR_SUCCESS : GetLastError();
    CloseServiceHandle(service);
    return error;
  }
  DWORD remove(const std::string& name) {
    SC_HANDLE const service = OpenServiceW(handle_, wide(name).c_str(), SERVICE_ALL_ACCESS);
    const DWORD error = service != nullptr && DeleteService(service) ? ERROR_SUCCESS : GetLastError();
    CloseServiceHandle(service);
    return error;
  }

 private:
  SC_HANDLE handle_;
};

// The answer behind the status.
std::string run(const std::string& line, uint32_t& status) {
  std::istringstream words(line);
  std::string command, name, text;
  words >> command;
  status = 0;
  static service_manager services;
  if (command == "install") {
    std::string group;
    words >> name >> text >> group;
    status = services.install(name, text, group);
  } else if (command == "parameter") {
    uint32_t value = 0;
    words >> name >> text >> value;
    status = set_value(key_of(name) + L"\\Parameters", wide(text).c_str(), REG_DWORD, &value, sizeof value);
  } else if (command == "start") {
    words >> name;
    status = services.start(name);
  } else if (command == "stop") {
    words >> name;
    status = services.stop(name);
  } else if (command == "remove") {
    words >> name;
    status = services.remove(name);
  } else if (command == "open") {
    words >> name;
    HANDLE const opened = CreateFileW(wide("\\\\.\\" + name).c_str(), GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING,
                                      FILE_FLAG_OVERLAPPED, nullptr);
    if (opened == INVALID_HANDLE_VALUE) {
      status = GetLastError();
      return "";
    }
    handles[next_number] = opened;
    return std::to_string(next_number++);
  } else if (command == "close") {
    uint32_t handle = 0;
    words >> handle;
    CloseHandle(handles[handle]);
    handles.erase(handle);
  } else if (command == "control") {
    uint32_t handle = 0, out = 0;
    std::string code;
    DWORD limit = 0;
    words >> handle >> code >> text >> out >> limit;
    request with(handles[handle], out);
    with.in = from_hex(text);
    status = with.finish(begin_control(with, static_cast<uint32_t>(std::stoul(code, nullptr, 16))), limit);
    const bool warning_or_better = status >> 30 != 3;
    return hex(with.buffer.data(), warning_or_better ? with.io.Information : 0);
  } else if (command == "read" || command == "pend") {
    uint32_t handle = 0, bytes = 0;
    std::string code = "0";
    words >> handle;
    if (command == "pend") words >> code;
    words >> bytes;
    auto made = std::make_unique<request>(handles[handle], bytes);
    status = command == "read" ? begin_read(*made) : begin_control(*made, static_cast<uint32_t>(std::stoul(code, nullptr, 16)));
    requests[next_number] = std::move(made);
    return std::to_string(next_number++);
  } else if (command == "finish") {
    uint32_t number = 0;
    DWORD limit = 0;
    words >> number >> limit;
    request& with = *requests[number];
    status = with.finish(with.begun, limit);
    const std::string answer = hex(with.buffer.data(), status == 0 ? with.io.Information : 0);
    requests.erase(number);
    return answer;
  } else if (command == "cancel") {
    uint32_t handle = 0;
    words >> handle;
    IO_STATUS_BLOCK ignored;
    status = static_cast<uint32_t>(NtCancelIoFileEx(handles[handle], nullptr, &ignored));
  } else if (command == "pid") {
    return std::to_string(GetCurrentProcessId());
  } else if (command == "exit") {
    int code = 0;
    words >> code;
    std::exit(code);
  } else if (command == "die") {
    TerminateProcess(GetCurrentProcess(), 9);  // nothing of it is closed by itself
  } else {
    status = bad_command;
  }
  return "";
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    uint32_t status = 0;
    const std::string answer = run(line, status);
    std::printf("%08x %s\n", status, answer.c_str());
    std::fflush(stdout);
  }
  return 0;
}
