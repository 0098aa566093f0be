// The substitute for fltlib.dll in a Wine prefix: the documented functions, spoken to our fltmgr.sys. Test-only; clients are the
// unmodified ones.
#include <windows.h>
#include <winioctl.h>

#include <cstdlib>
#include <cstring>

#include "kernel_port/wine/port_wire.h"

using namespace sluice::wine;

namespace {

HRESULT last_error() { return HRESULT_FROM_WIN32(GetLastError()); }

// On a handle that was opened for overlapped use; completion ports hear nothing of it.
HRESULT control(HANDLE port, DWORD code, const void* in, DWORD in_bytes, void* out, DWORD out_bytes, DWORD* written) {
  HANDLE const event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
  if (event == nullptr) return last_error();
  OVERLAPPED request{};
  request.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<ULONG_PTR>(event) | 1);
  DWORD bytes = 0;
  BOOL ok = DeviceIoControl(port, code, const_cast<void*>(in), in_bytes, out, out_bytes, &bytes, &request);
  if (!ok && GetLastError() == ERROR_IO_PENDING) ok = GetOverlappedResult(port, &request, &bytes, TRUE);
  const HRESULT result = ok ? S_OK : last_error();
  CloseHandle(event);
  if (written != nullptr) *written = bytes;
  return result;
}

}  // namespace

#define FLTLIB_EXPORT extern "C" __declspec(dllexport) HRESULT WINAPI

FLTLIB_EXPORT FilterConnectCommunicationPort(LPCWSTR name, DWORD options, LPCVOID context, WORD context_bytes,
                                             LPSECURITY_ATTRIBUTES attributes, HANDLE* port) {
  *port = INVALID_HANDLE_VALUE;
  const size_t length = wcslen(name);
  connect_request head{};
  if (length >= sizeof head.name / sizeof head.name[0] || options > 1) return E_INVALIDARG;
  std::memcpy(head.name, name, length * sizeof(WCHAR));
  head.context_bytes = context_bytes;
  const DWORD bytes = sizeof head + context_bytes;
  auto* const request = static_cast<char*>(std::malloc(bytes));
  if (request == nullptr) return E_OUTOFMEMORY;
  std::memcpy(request, &head, sizeof head);
  if (context_bytes != 0) std::memcpy(request + sizeof head, context, context_bytes);
  HRESULT result = S_OK;
  HANDLE const made = CreateFileW(L"\\\\.\\SluicePortBridge", GENERIC_READ | GENERIC_WRITE, 0, attributes, OPEN_EXISTING,
                                  FILE_FLAG_OVERLAPPED, nullptr);
  if (made == INVALID_HANDLE_VALUE) {
    result = last_error();
  } else {
    result = control(made, bridge_connect, request, bytes, nullptr, 0, nullptr);
    if (FAILED(result)) CloseHandle(made);
  }
  std::free(request);
  if (SUCCEEDED(result)) *port = made;
  return result;
}

FLTLIB_EXPORT FilterGetMessage(HANDLE port, void* buffer, DWORD bytes, LPOVERLAPPED overlapped) {
  if (overlapped == nullptr) return control(port, bridge_get_message, nullptr, 0, buffer, bytes, nullptr);
  return DeviceIoControl(port, bridge_get_message, nullptr, 0, buffer, bytes, nullptr, overlapped) ? S_OK : last_error();
}

FLTLIB_EXPORT FilterReplyMessage(HANDLE port, void* buffer, DWORD bytes) {
  return control(port, bridge_reply, buffer, bytes, nullptr, 0, nullptr);
}

FLTLIB_EXPORT FilterSendMessage(HANDLE port, LPVOID in, DWORD in_bytes, LPVOID out, DWORD out_bytes, LPDWORD returned) {
  const send_request request{reinterpret_cast<uintptr_t>(in), reinterpret_cast<uintptr_t>(out), in_bytes, out_bytes};
  send_request exchanged = request;
  const HRESULT result = control(port, bridge_send, &exchanged, sizeof exchanged, &exchanged, sizeof exchanged, nullptr);
  if (returned != nullptr) {
    send_answer answer{};
    if (SUCCEEDED(result)) std::memcpy(&answer, &exchanged, sizeof answer);
    *returned = answer.returned;
  }
  return result;
}
