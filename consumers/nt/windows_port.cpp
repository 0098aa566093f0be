#include "consumers/nt/windows_port.h"

#include <algorithm>
#include <string>

#include "consumers/nt/windows_request.h"
#include "consumers/nt/windows_status.h"

namespace sluice {
namespace {

// Of fltuser.h, which mingw-w64 has not. The structures begin with a FILTER_MESSAGE_HEADER or FILTER_REPLY_HEADER.
struct filter_library {
  using connect_function = HRESULT(WINAPI*)(LPCWSTR name, DWORD options, LPCVOID context, WORD context_bytes,
                                           LPSECURITY_ATTRIBUTES security, HANDLE* port);
  using get_message_function = HRESULT(WINAPI*)(HANDLE port, void* message, DWORD bytes, LPOVERLAPPED overlapped);
  using reply_function = HRESULT(WINAPI*)(HANDLE port, void* reply, DWORD bytes);
  using send_function = HRESULT(WINAPI*)(HANDLE port, LPVOID in, DWORD in_bytes, LPVOID out, DWORD out_bytes, LPDWORD returned);

  connect_function connect = nullptr;
  get_message_function get_message = nullptr;
  reply_function reply = nullptr;
  send_function send = nullptr;

  bool is_there() const { return connect != nullptr && get_message != nullptr && reply != nullptr && send != nullptr; }

  filter_library() {
    // Of the system's directory and of no other: who may load a driver's client should not load somebody else's library into it.
    const HMODULE library = ::LoadLibraryExW(L"fltlib.dll", nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (library == nullptr) return;
    find(library, "FilterConnectCommunicationPort", connect);
    find(library, "FilterGetMessage", get_message);
    find(library, "FilterReplyMessage", reply);
    find(library, "FilterSendMessage", send);
  }

 private:
  template <class function>
  static void find(HMODULE library, const char* name, function& found) {
    found = reinterpret_cast<function>(reinterpret_cast<void*>(::GetProcAddress(library, name)));
  }
};

const filter_library& fltlib() {
  static const filter_library library;  // stays until the process ends
  return library;
}

class windows_port : public nt_port {
 public:
  explicit windows_port(unique_handle port) : port_(std::move(port)) {}

  // The NTSTATUS of a message stands in its OVERLAPPED: nothing is lost on the way through an HRESULT.
  nt_status get_message(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    bytes = 0;
    unique_handle event = events_.take();
    if (event == nullptr) return nt::insufficient_resources;
    OVERLAPPED overlapped{};
    overlapped.hEvent = event.get();
    auto& answer = reinterpret_cast<IO_STATUS_BLOCK&>(overlapped.Internal);  // what it is: Internal and InternalHigh
    const HRESULT result = fltlib().get_message(port_.get(), buffer.data(), static_cast<DWORD>(buffer.size()), &overlapped);
    const bool begun = result == S_OK || result == HRESULT_FROM_WIN32(ERROR_IO_PENDING);
    const bool taken_back = begun && !wait_for_answer(port_.get(), event.get(), answer, timeout);
    const nt_status status = begun ? answer.Status : status_of_hresult(result, true);
    events_.give_back(std::move(event));
    if (taken_back) return nt::timeout;
    if (status == nt::success) bytes = answer.Information;
    return status;
  }
  nt_status reply(std::span<const uint8_t> reply) override {
    return status_of_hresult(
        fltlib().reply(port_.get(), const_cast<uint8_t*>(reply.data()), static_cast<DWORD>(reply.size())), true);
  }
  nt_status send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
    DWORD returned = 0;
    const HRESULT result = fltlib().send(port_.get(), const_cast<uint8_t*>(in.data()), static_cast<DWORD>(in.size()), out.data(),
                                         static_cast<DWORD>(out.size()), &returned);
    const nt_status status = status_of_hresult(result, true);
    bytes = succeeded(status) || status == nt::buffer_overflow ? std::min<size_t>(returned, out.size()) : 0;
    return status;
  }
  void cancel() override { cancel_requests(port_.get()); }

 private:
  const unique_handle port_;
  event_pool events_;
};

}  // namespace

nt_status connect_windows_port(std::u16string_view name, std::span<const uint8_t> context, std::unique_ptr<nt_port>& connected) {
  if (!fltlib().is_there()) return nt::not_supported;
  if (context.size() > 0xffff) return nt::invalid_parameter;
  const std::wstring wide(name.begin(), name.end());
  HANDLE port = INVALID_HANDLE_VALUE;
  const HRESULT result =
      fltlib().connect(wide.c_str(), 0, context.data(), static_cast<WORD>(context.size()), nullptr, &port);
  if (FAILED(result)) return status_of_hresult(result, false);
  connected = std::make_unique<windows_port>(unique_handle(port));
  return nt::success;
}

}  // namespace sluice
