// UTF-8 for functions of Windows, which take UTF-16. What is no UTF-8 becomes U+FFFD.
#pragma once

#include <windows.h>

#include <string>
#include <string_view>

namespace sluice::os {

inline std::wstring to_wide(std::string_view text) {
  const int length = static_cast<int>(text.size());
  std::wstring wide(static_cast<size_t>(::MultiByteToWideChar(CP_UTF8, 0, text.data(), length, nullptr, 0)), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, text.data(), length, wide.data(), static_cast<int>(wide.size()));
  return wide;
}

inline std::string from_wide(std::wstring_view wide) {
  const int length = static_cast<int>(wide.size());
  std::string text(static_cast<size_t>(::WideCharToMultiByte(CP_UTF8, 0, wide.data(), length, nullptr, 0, nullptr, nullptr)), '\0');
  ::WideCharToMultiByte(CP_UTF8, 0, wide.data(), length, text.data(), static_cast<int>(text.size()), nullptr, nullptr);
  return text;
}

}  // namespace sluice::os
