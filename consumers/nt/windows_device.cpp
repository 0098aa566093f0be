#include "consumers/nt/windows_device.h"

#include <algorithm>
#include <string>

#include "consumers/nt/windows_request.h"

extern "C" NTSYSAPI NTSTATUS NTAPI NtReadFile(HANDLE file, HANDLE event, PIO_APC_ROUTINE apc, PVOID apc_context,
                                              PIO_STATUS_BLOCK answer, PVOID buffer, ULONG bytes, PLARGE_INTEGER offset, PULONG key);

namespace sluice {
namespace {

class windows_device : public nt_device {
 public:
  explicit windows_device(unique_handle file) : file_(std::move(file)) {}

  nt_status read(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    return request(bytes, timeout, [&](HANDLE event, IO_STATUS_BLOCK& answer) {
      LARGE_INTEGER offset{};  // a handle that does not wait for itself has no position of its own
      return ::NtReadFile(file_.get(), event, nullptr, nullptr, &answer, buffer.data(), size_of(buffer), &offset, nullptr);
    });
  }
  nt_status control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                    nt_timeout timeout) override {
    return request(bytes, timeout, [&](HANDLE event, IO_STATUS_BLOCK& answer) {
      return ::NtDeviceIoControlFile(file_.get(), event, nullptr, nullptr, &answer, code, const_cast<uint8_t*>(in.data()),
                                     size_of(in), out.data(), size_of(out));
    });
  }
  void cancel() override { cancel_requests(file_.get()); }

 private:
  template <class of>
  static ULONG size_of(std::span<of> bytes) {
    return static_cast<ULONG>(std::min<size_t>(bytes.size(), MAXLONG));
  }

  template <class beginning>
  nt_status request(uint64_t& bytes, nt_timeout timeout, beginning&& begin) {
    bytes = 0;
    unique_handle event = events_.take();
    if (event == nullptr) return nt::insufficient_resources;
    IO_STATUS_BLOCK answer{};
    nt_status status = begin(event.get(), answer);
    bool taken_back = false;
    if (status == nt::pending) {
      taken_back = !wait_for_answer(file_.get(), event.get(), answer, timeout);
      status = answer.Status;
    }
    events_.give_back(std::move(event));
    if (taken_back) return nt::timeout;
    // An error that was found before the request began leaves nothing there.
    const bool has_bytes = succeeded(status) || status == nt::buffer_overflow;
    if (has_bytes) bytes = answer.Information;
    return status;
  }

  const unique_handle file_;
  event_pool events_;
};

}  // namespace

nt_status open_windows_device(std::u16string_view name, std::unique_ptr<nt_device>& opened) {
  std::u16string path = u"\\??\\";  // \DosDevices, as it is called since NT 4
  path += name;
  if (path.size() > 0x7fff) return nt::invalid_parameter;
  UNICODE_STRING string{};
  string.Length = static_cast<USHORT>(path.size() * sizeof(char16_t));
  string.MaximumLength = string.Length;
  string.Buffer = reinterpret_cast<PWSTR>(path.data());
  OBJECT_ATTRIBUTES attributes{};
  attributes.Length = sizeof attributes;
  attributes.ObjectName = &string;
  attributes.Attributes = OBJ_CASE_INSENSITIVE;
  IO_STATUS_BLOCK answer{};
  HANDLE file = nullptr;
  // No FILE_SYNCHRONOUS_IO_*: several requests pend at a time.
  const nt_status status = ::NtOpenFile(&file, GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE, &attributes, &answer,
                                        FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_NON_DIRECTORY_FILE);
  if (!succeeded(status)) return status;
  opened = std::make_unique<windows_device>(unique_handle(file));
  return status;
}

}  // namespace sluice
