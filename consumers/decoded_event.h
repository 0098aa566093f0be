// What a record means: one struct per event type, with the names of producers/events.h.
//
// A field is an optional where an older driver's payload may be too short to hold it. Strings and bytes point into the
// batch that the record came in; copy what must outlive it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "consumers/decoded_value.h"
#include "consumers/registry_events.h"
#include "pipeline/batch.h"
#include "pipeline/loss.h"
#include "producers/events.h"

namespace sluice {

struct process_create_event {
  std::optional<uint32_t> pid, parent_pid, creating_pid, creating_tid;
  std::optional<uint64_t> start_key;
  std::optional<uint32_t> flags;
  std::optional<string_value> image_path, command_line;
};

struct process_exit_event {
  std::optional<uint32_t> pid;
  std::optional<int32_t> exit_status;
  std::optional<uint64_t> start_key;
  std::optional<uint32_t> flags;
};

struct thread_fields {
  std::optional<uint32_t> pid, tid, creator_pid, creator_tid;
  std::optional<uint64_t> start_address;
  std::optional<uint32_t> flags;
};
struct thread_create_event : thread_fields {};
struct thread_exit_event : thread_fields {};

struct image_load_event {
  std::optional<uint32_t> pid, flags;
  std::optional<uint64_t> base, size;
  std::optional<uint8_t> signature_level, signature_type;
  std::optional<string_value> path;
};

struct loss_event {
  uint64_t first_time = 0, last_time = 0, bytes = 0, events = 0;
  bool overwritten = false;  // not dropped for want of room: overwritten before it was read (loss_cause)
  bool since_load = false;  // the published figures of a CPU, not the gap at this place (batch_flag_figures)
  bool by_client = false;   // what this client alone has missed at this place (batch_flag_client_loss)
  uint32_t entry_count = 0;
  std::array<loss_entry, max_record_types> entries{};
  std::span<const loss_entry> by_type() const { return {entries.data(), entry_count}; }
};

struct anchor_event {
  uint64_t counter = 0, frequency = 0, utc = 0;
};

struct epoch_event {
  uint32_t epoch = 0;
  uint64_t offset = 0, first_counter = 0;
};

struct overdue_event {
  uint64_t position = 0, time = 0, age = 0;
  uint32_t type = 0;
  uint16_t cpu = 0;
  uint8_t lane = 0;
  uint32_t pid = 0, tid = 0;
};

struct declared_field {
  std::string name;
  uint16_t offset = 0;
  uint16_t size = 0;
  field_kind kind{};  // may be a kind that this decoder does not know; such a field is given as bytes
};

// An own type's layout, checked: names are printable ASCII and unique, sizes fit their kinds.
struct declared_type {
  uint16_t type = 0;
  uint8_t version = 0;
  std::string name;
  std::vector<declared_field> fields;
};

struct type_declaration_event {
  std::shared_ptr<const declared_type> declared;
};

using own_value = std::variant<std::monostate,  // absent: an older payload that ends before it
                               uint64_t, int64_t, string_value, std::span<const uint8_t>>;
struct own_event {
  std::shared_ptr<const declared_type> layout;
  std::vector<own_value> values;  // one for each of layout->fields
};

// A type that this decoder does not know, or an own type that nothing has declared yet.
struct unknown_event {
  std::span<const uint8_t> payload;
};

// A record whose payload contradicts its type. The stream goes on behind it.
struct damaged_event {
  std::string_view field;  // of the payload, as named in producers/events.h; of an own type: its declared name
  std::string what;
  std::span<const uint8_t> payload;
  std::shared_ptr<const declared_type> layout;  // keeps the name of an own type's field
};

using event_body =
    std::variant<process_create_event, process_exit_event, thread_create_event, thread_exit_event, image_load_event,
                 registry_create_key_event, registry_open_key_event, registry_set_value_event,
                 registry_delete_key_event, registry_delete_value_event, registry_rename_key_event,
                 loss_event, anchor_event, epoch_event, overdue_event, type_declaration_event, own_event, unknown_event, damaged_event>;

struct decoded_event {
  record_identity identity{};
  uint64_t time = 0;  // ticks
  uint16_t type = 0;  // the record's, also where the body is unknown or damaged
  uint8_t version = 0;
  bool late = false;
  std::optional<uint32_t> context_pid, context_tid;  // only notify events know them
  event_body body;
};

// The library's name for a type, or an empty one. Own types: consumers/type_registry.h.
std::string_view name_of_type(uint16_t type);

}  // namespace sluice
