#include "kernel_port/sim/registry_operations.h"

#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/registry_callbacks.h"
#include "kernel_port/sim/user_memory.h"

namespace sluice::sim {
namespace {

void destroy_key(void* body) {
  static_cast<key_object*>(body)->~key_object();
}

constexpr size_t longest_path = 0xfffe / sizeof(char16_t);

registry_tree& tree() {
  return the_machine().tree;
}

// Bytes of a set value as callbacks get them: in system memory, paged, where this kernel captures them.
class captured_data {
 public:
  captured_data(void* data, ULONG bytes) : address_(data) {
    if (bytes == 0 || !is_user_address(data) || the_machine().options.level < kernel_level::windows8) return;
    copy_ = allocate_paged(bytes);
    if (copy_ == nullptr) {
      status_ = STATUS_INSUFFICIENT_RESOURCES;
      return;
    }
    bring_in_paged_memory(self());
    if (!read_user_memory(copy_, data, bytes)) status_ = STATUS_ACCESS_VIOLATION;
    address_ = copy_;
  }
  ~captured_data() {
    if (copy_ != nullptr) free_paged(copy_);
  }
  captured_data(const captured_data&) = delete;
  captured_data& operator=(const captured_data&) = delete;

  NTSTATUS status() const { return status_; }
  void* address() const { return address_; }

 private:
  void* copy_ = nullptr;
  void* address_;
  NTSTATUS status_ = STATUS_SUCCESS;
};

NTSTATUS store(const key_object& key, std::u16string_view name, ULONG type, void* data, ULONG bytes) {
  std::vector<uint8_t> content(bytes);
  if (is_user_address(data)) {
    if (!read_user_memory(content.data(), data, bytes)) return STATUS_ACCESS_VIOLATION;
  } else if (bytes != 0) {
    bring_in_paged_memory(self());
    memcpy(content.data(), data, bytes);
  }
  return tree().set(key.path, name, type, content);
}

}  // namespace

_OBJECT_TYPE key_object_type{"Key", destroy_key};

key_object* make_key_object(std::u16string path) {
  auto* const key = create_object<key_object>(key_object_type);
  key->path = std::move(path);
  return key;
}

key_object* reference_key(HANDLE handle, NTSTATUS& status) {
  void* const object = the_machine().handles.reference(handle);
  status = STATUS_SUCCESS;
  if (object != nullptr && header_of(object)->type == &key_object_type)
    return static_cast<key_object*>(object);
  status = object == nullptr ? STATUS_INVALID_HANDLE : STATUS_OBJECT_TYPE_MISMATCH;
  if (object != nullptr) dereference_object(object);
  return nullptr;
}

PVOID invalid_key_object() {
  return reinterpret_cast<PVOID>(0xffffdeadc0de0000);
}

NTSTATUS open_key_object(const key_opening& opening, key_object*& opened, ULONG& disposition) {
  opened = nullptr;
  disposition = 0;
  const bool absolute = opening.name.starts_with(u'\\');
  if (absolute == (opening.root != nullptr)) return STATUS_OBJECT_PATH_SYNTAX_BAD;
  key_object* const root = absolute ? make_key_object(u"\\REGISTRY") : opening.root;
  const paged_string name(opening.name);
  PVOID result = nullptr;
  ULONG system_disposition = 0;
  REG_CREATE_KEY_INFORMATION_V1 information{};
  information.CompleteName = name.get();
  information.RootObject = root;
  information.ObjectType = &key_object_type;
  information.DesiredAccess = opening.desired_access;
  information.Disposition = opening.disposition_address != nullptr
                                ? static_cast<PULONG>(opening.disposition_address)
                                : &system_disposition;
  information.ResultObject = &result;
  if (the_machine().options.level >= kernel_level::windows8) {
    information.Version = 1;
    information.RemainingName = name.get();
    information.Attributes = OBJ_CASE_INSENSITIVE;
    information.CheckAccessMode = opening.mode;
  }

  const auto execute = [&]() -> NTSTATUS {
    std::u16string path =
        absolute ? opening.name : root->path + (opening.name.empty() ? u"" : u"\\") + opening.name;
    if (path.size() > longest_path) return STATUS_OBJECT_NAME_INVALID;
    if (opening.outcome && *opening.outcome != STATUS_SUCCESS) return *opening.outcome;
    ULONG how = REG_OPENED_EXISTING_KEY;
    if (opening.create) {
      if (tree().create(path)) how = REG_CREATED_NEW_KEY;
      how = opening.disposition.value_or(how);
      if (opening.disposition_address == nullptr) {
        system_disposition = how;
      } else if (!write_user_memory(opening.disposition_address, &how, sizeof how)) {
        return STATUS_ACCESS_VIOLATION;
      }
    } else if (opening.outcome) {
      tree().imply(path);
    } else if (!tree().exists(path)) {
      return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    disposition = how;
    result = make_key_object(std::move(path));
    return STATUS_SUCCESS;
  };

  PVOID object = invalid_key_object();
  registry_passage passage(opening.create ? RegNtPreCreateKeyEx : RegNtPreOpenKeyEx,
                           opening.create ? RegNtPostCreateKeyEx : RegNtPostOpenKeyEx, &information,
                           &information.CallContext);
  const NTSTATUS status = passage.run(&object, [&] {
    const NTSTATUS executed = execute();
    if (executed == STATUS_SUCCESS) object = result;
    return executed;
  });
  if (absolute) dereference_object(root);
  if (status != STATUS_SUCCESS || result == nullptr) {
    // A callback made a failure of it, or answered itself without a key.
    if (result != nullptr) dereference_object(result);
    return NT_SUCCESS(status) && result == nullptr && status == STATUS_SUCCESS ? STATUS_UNSUCCESSFUL : status;
  }
  opened = static_cast<key_object*>(result);
  return STATUS_SUCCESS;
}

void tell_key_closing(key_object* key) {
  if (the_machine().registry.empty()) return;
  REG_KEY_HANDLE_CLOSE_INFORMATION information{};
  information.Object = key;
  PVOID object = key;
  registry_passage passage(RegNtPreKeyHandleClose, RegNtPostKeyHandleClose, &information,
                           &information.CallContext);
  (void)passage.run(&object, [] { return STATUS_SUCCESS; });
}

void close_key_object(key_object* key) {
  tell_key_closing(key);
  dereference_object(key);
}

NTSTATUS set_key_value(key_object& key, std::u16string name, ULONG type, void* data, ULONG bytes,
                       std::optional<NTSTATUS> outcome) {
  const captured_data captured(data, bytes);
  if (captured.status() != STATUS_SUCCESS) return captured.status();
  const paged_string value_name(name);
  REG_SET_VALUE_KEY_INFORMATION information{};
  information.Object = &key;
  information.ValueName = value_name.get();
  information.Type = type;
  information.Data = captured.address();
  information.DataSize = bytes;
  PVOID object = &key;
  registry_passage passage(RegNtPreSetValueKey, RegNtPostSetValueKey, &information, &information.CallContext);
  return passage.run(&object, [&]() -> NTSTATUS {
    if (outcome && *outcome != STATUS_SUCCESS) return *outcome;
    return store(key, name, type, captured.address(), bytes);
  });
}

NTSTATUS delete_key_value(key_object& key, std::u16string name, std::optional<NTSTATUS> outcome) {
  const paged_string value_name(name);
  REG_DELETE_VALUE_KEY_INFORMATION information{};
  information.Object = &key;
  information.ValueName = value_name.get();
  PVOID object = &key;
  registry_passage passage(RegNtPreDeleteValueKey, RegNtPostDeleteValueKey, &information,
                           &information.CallContext);
  return passage.run(&object, [&] {
    if (outcome && *outcome != STATUS_SUCCESS) return *outcome;
    const NTSTATUS status = tree().remove_value(key.path, name);
    return outcome.value_or(status);
  });
}

NTSTATUS query_key_value(key_object& key, std::u16string name, registry_tree::value& found,
                         std::optional<NTSTATUS> outcome) {
  const auto execute = [&] {
    if (outcome) return *outcome;
    return tree().find_value(key.path, name, found) ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
  };
  if (the_machine().registry.empty()) return execute();
  const paged_string value_name(name);
  ULONG result_length = 0;
  REG_QUERY_VALUE_KEY_INFORMATION information{};
  information.Object = &key;
  information.ValueName = value_name.get();
  information.KeyValueInformationClass = KeyValuePartialInformation;
  information.ResultLength = &result_length;
  PVOID object = &key;
  registry_passage passage(RegNtPreQueryValueKey, RegNtPostQueryValueKey, &information,
                           &information.CallContext);
  return passage.run(&object, execute);
}

NTSTATUS delete_key_object(key_object& key, std::optional<NTSTATUS> outcome) {
  REG_DELETE_KEY_INFORMATION information{};
  information.Object = &key;
  PVOID object = &key;
  registry_passage passage(RegNtPreDeleteKey, RegNtPostDeleteKey, &information, &information.CallContext);
  return passage.run(&object, [&] {
    if (outcome && *outcome != STATUS_SUCCESS) return *outcome;
    const NTSTATUS status = tree().remove(key.path);
    return outcome.value_or(status);
  });
}

NTSTATUS rename_key_object(key_object& key, std::u16string new_name, std::optional<NTSTATUS> outcome) {
  const paged_string name(new_name);
  REG_RENAME_KEY_INFORMATION information{};
  information.Object = &key;
  information.NewName = name.get();
  PVOID object = &key;
  registry_passage passage(RegNtPreRenameKey, RegNtPostRenameKey, &information, &information.CallContext);
  return passage.run(&object, [&] {
    if (outcome && *outcome != STATUS_SUCCESS) return *outcome;
    const NTSTATUS status = tree().rename(key.path, new_name);
    if (status == STATUS_SUCCESS) {
      // The object is the same key under its new name.
      internal_lock lock(key.mutex);
      key.path = key.path.substr(0, key.path.rfind(u'\\') + 1) + new_name;
      key.name.reset();
    }
    return outcome.value_or(status);
  });
}

NTSTATUS enumerate_key_object(key_object& key, ULONG index, std::optional<NTSTATUS> outcome) {
  ULONG result_length = 0;
  REG_ENUMERATE_KEY_INFORMATION information{};
  information.Object = &key;
  information.Index = index;
  information.ResultLength = &result_length;
  PVOID object = &key;
  registry_passage passage(RegNtPreEnumerateKey, RegNtPostEnumerateKey, &information,
                           &information.CallContext);
  return passage.run(&object, [&] { return outcome.value_or(STATUS_NO_MORE_ENTRIES); });
}

}  // namespace sluice::sim
