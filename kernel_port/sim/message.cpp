// DbgPrint, with NT's format: %ld is 32 bits, %I64u and %wZ exist, wide characters are UTF-16 and allowed at
// PASSIVE_LEVEL only. Messages go to stderr.
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "kernel_port/sim/check.h"

using namespace sluice::sim;

namespace {

void append_utf8(std::string& out, uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  }
}

std::string narrow(const WCHAR* text, size_t length) {
  std::string out;
  for (size_t i = 0; i < length; ++i) {
    uint32_t point = static_cast<uint16_t>(text[i]);
    if (point >= 0xd800 && point < 0xdc00 && i + 1 < length &&
        (static_cast<uint16_t>(text[i + 1]) & 0xfc00) == 0xdc00) {
      point = 0x10000 + ((point - 0xd800) << 10) + (static_cast<uint16_t>(text[++i]) - 0xdc00);
    } else if (point >= 0xd800 && point < 0xe000) {
      point = 0xfffd;
    }
    append_utf8(out, point);
  }
  return out;
}

void require_wide_irql() {
  const thread_state& thread = self();
  if (thread.irql == irql_unattached || thread.irql == PASSIVE_LEVEL) return;
  stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, thread.irql, PASSIVE_LEVEL, 0,
       "DbgPrint of wide characters at IRQL %u; it is allowed at PASSIVE_LEVEL only.", thread.irql);
}

struct specification {
  std::string flags;  // with width and precision
  int precision = -1;
  bool wide = false, size64 = false, narrow = false;
};

std::string with(const specification& spec, const char* length, char conversion) {
  return "%" + spec.flags + length + conversion;
}

template <class Value>
void append_formatted(std::string& out, const std::string& format, Value value) {
  char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  const int length = snprintf(text, sizeof(text), format.c_str(), value);
#pragma GCC diagnostic pop
  if (length > 0) out.append(text, std::min<size_t>(static_cast<size_t>(length), sizeof(text) - 1));
}

void append_string(std::string& out, specification spec, const std::string& text) {
  // Width and precision apply as printf's do; long strings are not cut.
  const size_t dot = spec.flags.find('.');
  if (dot != std::string::npos) spec.flags.resize(dot);
  const bool left = spec.flags.find('-') != std::string::npos;
  const size_t digits = spec.flags.find_first_of("123456789");
  const size_t width = digits == std::string::npos ? 0 : std::stoul(spec.flags.substr(digits));
  const std::string padding(width > text.size() ? width - text.size() : 0, ' ');
  out += left ? text + padding : padding + text;
}

std::string format_message(const char* format, va_list arguments) {
  std::string out;
  for (const char* at = format; *at; ++at) {
    if (*at != '%') {
      out += *at;
      continue;
    }
    if (*++at == '%') {
      out += '%';
      continue;
    }
    specification spec;
    while (*at && strchr("-+ #0", *at)) spec.flags += *at++;
    for (bool in_precision = false;; ++at) {
      if (*at == '.') {
        in_precision = true;
        spec.precision = 0;
        spec.flags += '.';
      } else if (*at == '*') {
        const int value = va_arg(arguments, int);
        spec.flags += std::to_string(value);
        if (in_precision) spec.precision = value;
      } else if (*at >= '0' && *at <= '9') {
        if (in_precision) spec.precision = spec.precision * 10 + (*at - '0');
        spec.flags += *at;
      } else {
        break;
      }
    }
    for (;; ++at) {
      if (at[0] == 'l' && at[1] == 'l') {
        spec.size64 = true;
        ++at;
      } else if (*at == 'l') {
        spec.wide = true;  // of a character or string; a number stays 32 bits
      } else if (*at == 'w') {
        spec.wide = true;
      } else if (*at == 'h') {
        spec.narrow = true;
      } else if (at[0] == 'I' && at[1] == '6' && at[2] == '4') {
        spec.size64 = true;
        at += 2;
      } else if (at[0] == 'I' && at[1] == '3' && at[2] == '2') {
        at += 2;
      } else if (*at == 'I' || *at == 'z' || *at == 't' || *at == 'j') {
        spec.size64 = true;
      } else {
        break;
      }
    }
    if (!*at) break;
    switch (*at) {
      case 'd':
      case 'i':
        if (spec.size64)
          append_formatted(out, with(spec, "ll", *at), va_arg(arguments, long long));
        else
          append_formatted(out, with(spec, "", *at), va_arg(arguments, int));
        break;
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        if (spec.size64)
          append_formatted(out, with(spec, "ll", *at), va_arg(arguments, unsigned long long));
        else
          append_formatted(out, with(spec, "", *at), va_arg(arguments, unsigned));
        break;
      case 'p':
        append_formatted(out, "%016lX", reinterpret_cast<uintptr_t>(va_arg(arguments, void*)));
        break;
      case 'c':
      case 'C': {
        const int letter = va_arg(arguments, int);
        if (spec.wide || (*at == 'C' && !spec.narrow)) {
          require_wide_irql();
          const auto wide = static_cast<WCHAR>(letter);
          out += narrow(&wide, 1);
        } else {
          out += static_cast<char>(letter);
        }
        break;
      }
      case 's':
      case 'S': {
        const void* text = va_arg(arguments, const void*);
        const size_t limit = spec.precision >= 0 ? static_cast<size_t>(spec.precision) : SIZE_MAX;
        if (!text) {
          append_string(out, spec, "(null)");
        } else if (spec.wide || (*at == 'S' && !spec.narrow)) {
          require_wide_irql();
          const auto* wide = static_cast<const WCHAR*>(text);
          size_t length = 0;
          while (length < limit && wide[length]) ++length;
          append_string(out, spec, narrow(wide, length));
        } else {
          append_string(
              out, spec,
              std::string(static_cast<const char*>(text), strnlen(static_cast<const char*>(text), limit)));
        }
        break;
      }
      case 'Z':
        if (spec.wide) {
          require_wide_irql();
          const auto* string = va_arg(arguments, PCUNICODE_STRING);
          append_string(
              out, spec,
              string && string->Buffer ? narrow(string->Buffer, string->Length / sizeof(WCHAR)) : "(null)");
        } else {
          const auto* string = va_arg(arguments, PCANSI_STRING);
          append_string(out, spec,
                        string && string->Buffer ? std::string(string->Buffer, string->Length) : "(null)");
        }
        break;
      default:
        out += *at;
        break;
    }
  }
  return out;
}

ULONG print(const char* format, va_list arguments) {
  const std::string text = format_message(format, arguments);
  // One write, so that lines of several threads do not mix.
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) return static_cast<ULONG>(STATUS_UNSUCCESSFUL);
  return STATUS_SUCCESS;
}

}  // namespace

extern "C" {

ULONG vDbgPrintEx(ULONG, ULONG, PCSTR Format, va_list Arguments) {
  va_list copy;
  va_copy(copy, Arguments);
  const ULONG status = print(Format, copy);
  va_end(copy);
  return status;
}

ULONG DbgPrint(PCSTR Format, ...) {
  va_list arguments;
  va_start(arguments, Format);
  const ULONG status = print(Format, arguments);
  va_end(arguments);
  return status;
}

ULONG DbgPrintEx(ULONG, ULONG, PCSTR Format, ...) {
  va_list arguments;
  va_start(arguments, Format);
  const ULONG status = print(Format, arguments);
  va_end(arguments);
  return status;
}
}
