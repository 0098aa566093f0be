#include "kernel_port/wine/vdso.h"

#include <cstring>

namespace sluice::wine {
namespace {

// As Linux has it on x86-64.
constexpr int64_t call_read = 0, call_open = 2, call_close = 3;
constexpr uint64_t auxiliary_vdso = 33;  // AT_SYSINFO_EHDR

struct auxiliary_value {
  uint64_t type;
  uint64_t value;
};

// ELF, 64 bits: what is needed of it.
struct elf_header {
  uint8_t identification[16];
  uint16_t type;
  uint16_t machine;
  uint32_t version;
  uint64_t entry;
  uint64_t program_headers;
  uint64_t section_headers;
  uint32_t flags;
  uint16_t header_bytes;
  uint16_t program_header_bytes;
  uint16_t program_header_count;
};
struct program_header {
  uint32_t type;
  uint32_t flags;
  uint64_t offset;
  uint64_t address;
  uint64_t physical_address;
  uint64_t file_bytes;
  uint64_t bytes;
  uint64_t alignment;
};
struct dynamic_entry {
  int64_t tag;
  uint64_t value;
};
struct symbol {
  uint32_t name;
  uint8_t information;
  uint8_t other;
  uint16_t section;
  uint64_t value;
  uint64_t bytes;
};
constexpr uint32_t program_dynamic = 2;
constexpr int64_t dynamic_end = 0, dynamic_strings = 5, dynamic_symbols = 6;

// Wine's own files are opened by its server, whose /proc/self is another: the system calls are made here. That Wine 8 lets them pass was
// tried; a Wine that catches system calls would take them for its own.
bool lets_system_calls_pass() {
  PVOID const version_of = GetProcAddress(GetModuleHandleW(reinterpret_cast<PCWSTR>(u"ntdll.dll")), "wine_get_version");
  if (version_of == nullptr) return false;
  const char* const version = reinterpret_cast<const char* (*)()>(version_of)();
  return std::strncmp(version, "8.", 2) == 0;
}

int64_t system_call(int64_t number, uint64_t first, uint64_t second, uint64_t third) {
  int64_t result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(first), "S"(second), "d"(third)
               : "rcx", "r11", "memory");
  return result;
}

uint64_t auxiliary(uint64_t type) {
  const int64_t file = system_call(call_open, reinterpret_cast<uintptr_t>("/proc/self/auxv"), 0, 0);
  if (file < 0) return 0;
  auxiliary_value values[64];
  const int64_t bytes = system_call(call_read, static_cast<uint64_t>(file), reinterpret_cast<uintptr_t>(values), sizeof values);
  system_call(call_close, static_cast<uint64_t>(file), 0, 0);
  for (int64_t i = 0; i < bytes / static_cast<int64_t>(sizeof values[0]); ++i) {
    if (values[i].type == type) return values[i].value;
  }
  return 0;
}

}  // namespace

PVOID find_vdso_function(const char* name) {
  if (!lets_system_calls_pass()) return nullptr;
  const uintptr_t base = auxiliary(auxiliary_vdso);
  if (base == 0) return nullptr;
  const auto* const header = reinterpret_cast<const elf_header*>(base);
  const auto* const segments = reinterpret_cast<const program_header*>(base + header->program_headers);
  const dynamic_entry* entry = nullptr;
  for (uint32_t i = 0; i < header->program_header_count; ++i) {
    if (segments[i].type == program_dynamic) entry = reinterpret_cast<const dynamic_entry*>(base + segments[i].offset);
  }
  if (entry == nullptr) return nullptr;
  uintptr_t symbols = 0, strings = 0;
  for (; entry->tag != dynamic_end; ++entry) {
    if (entry->tag == dynamic_symbols) symbols = base + entry->value;
    if (entry->tag == dynamic_strings) strings = base + entry->value;
  }
  // The strings stand behind the symbols, in every one of them that the linker has made.
  if (symbols == 0) return nullptr;
  for (; symbols + sizeof(symbol) <= strings; symbols += sizeof(symbol)) {
    const auto* const each = reinterpret_cast<const symbol*>(symbols);
    if (each->section != 0 && std::strcmp(reinterpret_cast<const char*>(strings) + each->name, name) == 0) {
      return reinterpret_cast<PVOID>(base + each->value);
    }
  }
  return nullptr;
}

}  // namespace sluice::wine
