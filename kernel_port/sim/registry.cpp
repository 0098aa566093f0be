// The registry as processes use it.
#include "kernel_port/sim/registry.h"

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/registry_operations.h"

namespace sluice::sim {
namespace {

// A handle that the caller has held all along: nobody was told when it was opened, nor is when it is closed.
class held_key {
 public:
  explicit held_key(std::u16string_view path) : key_(make_key_object(std::u16string(path))) {}
  ~held_key() { dereference_object(key_); }
  held_key(const held_key&) = delete;
  held_key& operator=(const held_key&) = delete;
  key_object& get() const { return *key_; }

 private:
  key_object* key_;
};

void require(std::u16string_view key, const char* function) {
  require_irql_at_most(PASSIVE_LEVEL, function);
  if (!key.starts_with(u'\\')) misuse("%s needs an absolute path", function);
}

NTSTATUS open(const registry_key_call& call, bool create, uint32_t* disposition, const char* function) {
  require(call.root.value_or(call.key), function);
  std::optional<held_key> root;
  if (call.root) root.emplace(*call.root);
  key_opening opening;
  opening.create = create;
  opening.root = root ? &root->get() : nullptr;
  opening.name = call.key;
  opening.desired_access = call.desired_access;
  opening.mode = call.mode;
  opening.outcome = call.outcome;
  opening.disposition = call.disposition;
  opening.disposition_address =
      call.disposition_buffer != nullptr ? call.disposition_buffer->address() : nullptr;
  key_object* opened = nullptr;
  ULONG how = 0;
  const NTSTATUS status = open_key_object(opening, opened, how);
  if (disposition != nullptr) *disposition = how;
  if (opened != nullptr) close_key_object(opened);
  return status;
}

}  // namespace

NTSTATUS registry_create_key(const registry_key_call& call, uint32_t* disposition) {
  return open(call, true, disposition, "registry_create_key");
}

NTSTATUS registry_open_key(const registry_key_call& call) {
  return open(call, false, nullptr, "registry_open_key");
}

NTSTATUS registry_delete_key(const registry_key_call& call) {
  require(call.key, "registry_delete_key");
  return delete_key_object(held_key(call.key).get(), call.outcome);
}

NTSTATUS registry_set_value(const registry_value_call& call) {
  require(call.key, "registry_set_value");
  const held_key key(call.key);
  std::u16string name(call.value);
  if (call.user_data != nullptr) {
    return set_key_value(key.get(), std::move(name), call.type, call.user_data->address(),
                         static_cast<ULONG>(call.user_data->size()), call.outcome);
  }
  if (the_machine().options.level < kernel_level::windows8) {
    const user_memory data(call.data);
    return set_key_value(key.get(), std::move(name), call.type, data.address(),
                         static_cast<ULONG>(data.size()), call.outcome);
  }
  // Captured by the kernel, as far as a callback can tell.
  return set_key_value(key.get(), std::move(name), call.type, const_cast<uint8_t*>(call.data.data()),
                       static_cast<ULONG>(call.data.size()), call.outcome);
}

NTSTATUS registry_delete_value(const registry_value_call& call) {
  require(call.key, "registry_delete_value");
  return delete_key_value(held_key(call.key).get(), std::u16string(call.value), call.outcome);
}

NTSTATUS registry_rename_key(const registry_rename_call& call) {
  require(call.key, "registry_rename_key");
  return rename_key_object(held_key(call.key).get(), std::u16string(call.new_name), call.outcome);
}

NTSTATUS registry_query_value(const registry_value_call& call) {
  require(call.key, "registry_query_value");
  registry_tree::value found;
  return query_key_value(held_key(call.key).get(), std::u16string(call.value), found, call.outcome);
}

NTSTATUS registry_enumerate_key(const registry_key_call& call, uint32_t index) {
  require(call.key, "registry_enumerate_key");
  return enumerate_key_object(held_key(call.key).get(), index, call.outcome);
}

}  // namespace sluice::sim
