#include "kernel_port/wine/imports.h"

#include <array>
#include <atomic>
#include <cstring>
#include <string_view>

#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

constexpr ULONG page_read_write = 0x04;
constexpr ULONG page_execute_read_write = 0x40;
constexpr ULONG reserve_and_commit = 0x3000;

struct import_descriptor {
  ULONG lookup_table;
  ULONG time;
  ULONG forwarder;
  ULONG module_name;
  ULONG address_table;
};

struct loader_notice {
  ULONG flags;
  PUNICODE_STRING path;
  PUNICODE_STRING name;
  PVOID module;
  ULONG size;
};

struct image_range {
  std::atomic<uintptr_t> begin;
  std::atomic<uintptr_t> end;
};
std::array<image_range, 64> drivers;

PVOID own_module = nullptr;

const kernel_function* find(std::string_view name) {
  for (const auto& table : {functions_of_wine(), irql_functions(), clock_functions(), dpc_functions(), timer_functions(),
                            pool_functions(), mdl_functions(), process_functions(), notify_functions(), registry_functions()}) {
    for (const kernel_function& each : table) {
      if (name == each.name) return &each;
    }
  }
  return nullptr;
}

// The checks are made of these bytes: save what may be an argument, call require_irql, restore, go on where the call was meant to
// go. What is called returns straight to the driver: no frame of ours is on the stack when it raises an exception.
class check_memory {
 public:
  PVOID make(PVOID target, const kernel_function& rule) {
    const locked held(lock_);
    if (left_ < check_bytes) {
      next_ = static_cast<uint8_t*>(VirtualAlloc(nullptr, block_bytes, reserve_and_commit, page_execute_read_write));
      if (next_ == nullptr) return target;
      left_ = block_bytes;
    }
    uint8_t* const begin = next_;
    uint8_t* at = begin;
    const auto bytes = [&](std::initializer_list<uint8_t> some) {
      for (const uint8_t each : some) *at++ = each;
    };
    const auto word = [&](uint64_t value) {
      std::memcpy(at, &value, sizeof value);
      at += sizeof value;
    };
    bytes({0x51, 0x52, 0x41, 0x50, 0x41, 0x51});  // push rcx, rdx, r8, r9
    bytes({0x48, 0x83, 0xec, 0x28});              // sub rsp, 40
    bytes({0xb9, rule.highest_irql, 0, 0, 0});    // mov ecx, highest
    bytes({0x48, 0xba});                          // mov rdx, name
    word(reinterpret_cast<uintptr_t>(rule.name));
    bytes({0x48, 0xb8});                          // mov rax, require_irql
    word(reinterpret_cast<uintptr_t>(&require_irql));
    bytes({0xff, 0xd0});                          // call rax
    bytes({0x48, 0x83, 0xc4, 0x28});              // add rsp, 40
    bytes({0x41, 0x59, 0x41, 0x58, 0x5a, 0x59});  // pop r9, r8, rdx, rcx
    bytes({0x48, 0xb8});                          // mov rax, target
    word(reinterpret_cast<uintptr_t>(target));
    bytes({0xff, 0xe0});                          // jmp rax
    next_ += check_bytes;
    left_ -= check_bytes;
    return begin;
  }

 private:
  static constexpr size_t check_bytes = 80;
  static constexpr size_t block_bytes = 64 * 1024;
  lock lock_;
  uint8_t* next_ = nullptr;
  size_t left_ = 0;
};
check_memory checks;

PVOID give(const kernel_function& rule, PVOID of_wine) {
  PVOID const target = rule.ours != nullptr ? rule.ours : of_wine;
  return target == nullptr || rule.highest_irql == any_irql ? target : checks.make(target, rule);
}

// A name that no table has is one that this kernel does not export, whatever Wine has under it.
PVOID NTAPI get_system_routine_address(PUNICODE_STRING name) {
  char ascii[128];
  const size_t length = name->Length / sizeof(WCHAR);
  if (length >= sizeof ascii) return nullptr;
  for (size_t i = 0; i < length; ++i) ascii[i] = static_cast<char>(name->Buffer[i]);
  ascii[length] = 0;
  const kernel_function* const rule = find(ascii);
  if (rule == nullptr) return nullptr;
  return give(*rule, rule->ours != nullptr ? nullptr : MmGetSystemRoutineAddress(name));
}

void replace_import(const char* name, uintptr_t& entry) {
  using namespace std::string_view_literals;
  PVOID const of_wine = reinterpret_cast<PVOID>(entry);
  PVOID to = nullptr;
  if (name == "MmGetSystemRoutineAddress"sv) {
    static constexpr kernel_function rule{"MmGetSystemRoutineAddress", nullptr, PASSIVE_LEVEL};
    to = checks.make(address_of(&get_system_routine_address), rule);
  } else if (const kernel_function* const rule = find(name)) {
    to = give(*rule, of_wine);
  } else {
    DbgPrint("substitutes: no rule for %s\n", name);
    report_violation("a driver imports a function without a rule");
    return;
  }
  ULONG before = 0;
  VirtualProtect(&entry, sizeof entry, page_read_write, &before);
  entry = reinterpret_cast<uintptr_t>(to);
  VirtualProtect(&entry, sizeof entry, before, &before);
}

bool is_of_kernel(std::string_view module) {
  const auto begins = [&](std::string_view with) {
    return module.size() >= with.size() && _strnicmp(module.data(), with.data(), with.size()) == 0;
  };
  return begins("ntoskrnl") || begins("hal.");
}

void replace_imports(uint8_t* base) {
  LONG header_at;
  std::memcpy(&header_at, base + 0x3c, sizeof header_at);
  ULONG directory[2];
  std::memcpy(directory, base + header_at + 24 + 120, sizeof directory);
  if (directory[1] == 0) return;
  for (auto* module = reinterpret_cast<import_descriptor*>(base + directory[0]); module->module_name != 0; ++module) {
    if (!is_of_kernel(reinterpret_cast<const char*>(base + module->module_name))) continue;
    auto* name = reinterpret_cast<uintptr_t*>(base + module->lookup_table);
    auto* entry = reinterpret_cast<uintptr_t*>(base + module->address_table);
    for (; *name != 0; ++name, ++entry) {
      if (*name >> 63 == 0) replace_import(reinterpret_cast<const char*>(base + *name + 2), *entry);
    }
  }
}

// Wine's own drivers are loaded in the same way; ours are what imports this module.
bool imports_us(const uint8_t* base) {
  LONG header_at;
  std::memcpy(&header_at, base + 0x3c, sizeof header_at);
  ULONG directory[2];
  std::memcpy(directory, base + header_at + 24 + 120, sizeof directory);
  if (directory[1] == 0) return false;
  for (auto* module = reinterpret_cast<const import_descriptor*>(base + directory[0]); module->module_name != 0; ++module) {
    if (_strnicmp(reinterpret_cast<const char*>(base + module->module_name), "fltmgr", 6) == 0) return true;
  }
  return false;
}

VOID NTAPI on_module(ULONG reason, const loader_notice* notice, PVOID) {
  constexpr ULONG loaded = 1;
  auto* const base = static_cast<uint8_t*>(notice->module);
  if (reason == loaded) {
    if (base == own_module || !imports_us(base)) return;
    replace_imports(base);
    for (image_range& each : drivers) {
      if (each.begin.load() != 0) continue;
      each.end.store(reinterpret_cast<uintptr_t>(base) + notice->size);
      each.begin.store(reinterpret_cast<uintptr_t>(base));
      break;
    }
  } else {
    for (image_range& each : drivers) {
      if (each.begin.load() == reinterpret_cast<uintptr_t>(base)) each.begin.store(0);
    }
  }
}

}  // namespace

void watch_loaded_drivers(PVOID self) {
  own_module = self;
  PVOID cookie = nullptr;
  LdrRegisterDllNotification(0, address_of(&on_module), nullptr, &cookie);
}

bool is_in_driver(PVOID address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (const image_range& each : drivers) {
    if (const uintptr_t begin = each.begin.load(); begin != 0 && at >= begin && at < each.end.load()) return true;
  }
  return false;
}

}  // namespace sluice::wine
