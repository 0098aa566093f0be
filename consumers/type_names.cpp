#include "consumers/type_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace sluice {
namespace {

constexpr uint64_t bits_from_to(uint16_t first, uint16_t last) {
  return (~uint64_t{0} << first) & ~(~uint64_t{1} << last);
}

struct group {
  std::string_view name;
  uint64_t types;
};
constexpr group groups[] = {
    {"process", bits_from_to(event_type_process_create, event_type_process_exit)},
    {"thread", bits_from_to(event_type_thread_create, event_type_thread_exit)},
    {"image", bit_of(event_type_image_load)},
    {"registry", bits_from_to(event_type_registry_create_key, event_type_registry_rename_key)},
    {"own", all_own_types},
};
constexpr uint16_t last_library_event = event_type_registry_rename_key;

}  // namespace

uint64_t library_types(std::string_view name) {
  for (const group& one : groups) {
    if (one.name == name) return one.types;
  }
  for (uint16_t type = first_event_type; type <= last_library_event; ++type) {
    if (name_of_type(type) == name) return bit_of(type);
  }
  return 0;
}

type_names::type_names(const std::vector<uint8_t>& declarations_untrusted) {
  type_registry registry;
  std::string damage;  // what is damaged has no name; the stream's own decoder reports it
  (void)registry.learn_all(declarations_untrusted, damage);
  for (uint16_t type = first_own_type; type < max_record_types; ++type) {
    if (const auto& declared = registry.find(type)) own_.push_back({declared->name, type});
  }
  for (const group& one : groups) all_.emplace_back(one.name);
  for (uint16_t type = first_event_type; type <= last_library_event; ++type) all_.emplace_back(name_of_type(type));
  for (const own_type& own : own_) all_.push_back(own.name);
}

uint64_t type_names::find(std::string_view name) const {
  if (const uint64_t types = library_types(name)) return types;
  uint64_t types = 0;
  for (const own_type& own : own_) {
    if (own.name == name) types |= bit_of(own.type);
  }
  return types;
}

uint64_t type_names::assume(const std::string& name) {
  for (uint16_t type = first_own_type; type < max_record_types; ++type) {
    if (std::any_of(own_.begin(), own_.end(), [&](const own_type& own) { return own.type == type; })) continue;
    own_.push_back({name, type});
    all_.push_back(name);
    return bit_of(type);
  }
  return 0;
}

std::string type_names::known() const {
  const auto first_single = all_.begin() + std::size(groups);
  const auto first_own = all_.end() - static_cast<std::ptrdiff_t>(own_.size());
  std::string text = fmt::format("{}; or one of {}", fmt::join(all_.begin(), first_single, ", "),
                                 fmt::join(first_single, first_own, ", "));
  if (!own_.empty()) text += fmt::format("; or one of this driver's own types: {}", fmt::join(first_own, all_.end(), ", "));
  return text;
}

std::string type_names::show(uint64_t types) const {
  std::vector<std::string> names;
  for (const group& one : groups) {
    if ((types & one.types) != one.types) continue;
    names.emplace_back(one.name);
    types &= ~one.types;
  }
  for (uint16_t type = first_event_type; type < max_record_types; ++type) {
    if ((types & bit_of(type)) == 0) continue;
    const auto own = std::find_if(own_.begin(), own_.end(), [&](const own_type& o) { return o.type == type; });
    const std::string_view library = name_of_type(type);
    names.push_back(own != own_.end() ? own->name : library.empty() ? fmt::format("type {}", type) : std::string(library));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace sluice
