// The keys and values that the machine knows of. Paths are folded by the caller's rules here and nowhere
// else. Any host thread; one lock, held for a look-up.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernel_port/sim/internal_lock.h"

namespace sluice::sim {

inline constexpr std::u16string_view services_key =
    u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\";

class registry_tree {
 public:
  struct value {
    ULONG type = REG_NONE;
    std::vector<uint8_t> data;
  };

  // Exists from now on, and its parents with it; nobody knows what is in it. For whoever holds a handle.
  void imply(std::u16string_view path);

  bool exists(std::u16string_view path);
  // True if it is new; then it is known to be empty.
  bool create(std::u16string_view path);
  NTSTATUS remove(std::u16string_view path);
  NTSTATUS rename(std::u16string_view path, std::u16string_view new_name);
  NTSTATUS set(std::u16string_view path, std::u16string_view name, ULONG type, std::span<const uint8_t> data);
  NTSTATUS remove_value(std::u16string_view path, std::u16string_view name);
  bool find_value(std::u16string_view path, std::u16string_view name, value& found);

 private:
  struct key {
    bool contents_known = false;
    uint32_t children = 0;
    std::map<std::u16string, value, std::less<>> values;
  };
  key& imply_folded(const std::u16string& folded);
  void leave_parent(const std::u16string& folded);

  internal_mutex mutex_;
  std::unordered_map<std::u16string, key> keys_;
};

}  // namespace sluice::sim
