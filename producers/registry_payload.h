// The payload of a registry event, written into its capture: paths, and strings and data that the caller of
// the registry gave, each read once. Up to APC_LEVEL.
#pragma once

#include "pipeline/copy.h"
#include "producers/registry_capture.h"
#include "producers/user_memory.h"

namespace sluice {

inline constexpr uint32_t longest_string = 0xfffe;

inline uint32_t shorter(uint32_t left, uint32_t right) {
  return left < right ? left : right;
}

// A string that the caller of the registry gave. Its description is the kernel's own; its text may still be the
// caller's memory.
struct given_string {
  const void* text = nullptr;
  uint32_t length = 0;
  bool available = false;

  explicit given_string(const UNICODE_STRING* string) {
    UNICODE_STRING description;
    if (string == nullptr || !copy_from_user_memory(&description, string, sizeof description)) return;
    text = description.Buffer;
    length = description.Length & ~1u;
    available = text != nullptr || length == 0;
  }
};

// Writes one payload into a capture. Whoever claims the capture has left room for everything that is
// appended.
class payload_writer {
 public:
  payload_writer(registry_capture& capture, uint32_t fixed_bytes) : capture_(capture) {
    capture.length = fixed_bytes;
    for (uint32_t i = 0; i < fixed_bytes; ++i) capture.payload()[i] = 0;
  }

  void append(const UNICODE_STRING* name, uint32_t bound, string_field& field) {
    const uint32_t length = name != nullptr ? name->Length & ~1u : 0;
    const uint32_t stored = shorter(length, bound & ~1u);
    if (name != nullptr) copy_bytes(end(), name->Buffer, stored);
    describe(field, name != nullptr, stored, length);
  }

  void append(const given_string& name, uint32_t bound, string_field& field) {
    const uint32_t stored = shorter(name.length, bound & ~1u);
    const bool read = name.available && copy_from_user_memory(end(), name.text, stored);
    describe(field, read, read ? stored : 0, read ? name.length : 0);
  }

  // The path of a key that is given by a name, absolute or relative to `root`. True: the root's path was
  // needed and is not known.
  bool append_path(const UNICODE_STRING* root, const given_string& name, uint32_t bound,
                   string_field& field) {
    constexpr uint32_t separator = sizeof(char16_t);
    const uint32_t room = bound & ~1u;
    const uint32_t root_length = root != nullptr ? root->Length & ~1u : 0;
    const uint32_t root_stored = shorter(root_length, room);
    uint8_t* const at_name = end() + root_stored + separator;
    // The name first: whether it is absolute is seen in our copy of it.
    const uint32_t name_stored = shorter(name.length, room);
    if (!name.available || !copy_from_user_memory(at_name, name.text, name_stored)) {
      describe(field, false, 0, 0);
      return false;
    }
    const bool absolute = name_stored != 0 && at_name[0] == '\\' && at_name[1] == 0;
    if (absolute || root == nullptr) {
      move_down(end(), at_name, name_stored);
      describe(field, true, name_stored, name.length);
      return !absolute;
    }
    copy_bytes(end(), root->Buffer, root_stored);
    const uint32_t whole = root_length + (name.length != 0 ? separator + name.length : 0);
    if (name.length != 0) {
      end()[root_stored] = '\\';
      end()[root_stored + 1] = 0;
    }
    describe(field, true, shorter(whole, room), whole);
    return false;
  }

  void append_data(const void* data, uint32_t bytes, uint32_t bound, bytes_field& field) {
    const uint32_t stored = shorter(bytes, bound);
    const bool read = copy_from_user_memory(end(), data, stored);
    field.offset = capture_.length;
    field.length = read ? stored : 0;
    field.original_length = bytes;
    field.flags = !read ? string_flag_unavailable : stored < bytes ? string_flag_truncated : 0u;
    capture_.length += field.length;
  }

 private:
  uint8_t* end() { return capture_.payload() + capture_.length; }

  void describe(string_field& field, bool available, uint32_t stored, uint32_t original) {
    field.offset = static_cast<uint16_t>(capture_.length);
    field.length = static_cast<uint16_t>(stored);
    // A root and a name below it can be longer together than any string of the kernel.
    field.original_length = static_cast<uint16_t>(shorter(original, longest_string));
    field.flags = static_cast<uint16_t>(!available                       ? string_flag_unavailable
                                        : stored < field.original_length ? string_flag_truncated
                                                                         : 0);
    capture_.length += stored;
  }

  // `to` lies below `from`.
  static void move_down(uint8_t* to, const uint8_t* from, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; ++i) {
      to[i] = from[i];
      compiler_barrier();  // or the compiler turns the loop into a call of memmove
    }
  }

  registry_capture& capture_;
};

template <class payload>
payload& payload_of(registry_capture& capture) {
  return *reinterpret_cast<payload*>(capture.payload());
}

}  // namespace sluice
