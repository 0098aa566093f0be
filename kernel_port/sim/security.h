// Who may open a device. The users of a machine are those of its host: root is SYSTEM, the user that this process runs as is an
// administrator, everybody else is neither.
#pragma once

#include <optional>
#include <vector>

#include <ntifs.h>

namespace sluice::sim {

struct access_entry {
  ACCESS_MASK access;
  std::vector<uint8_t> sid;
};
using access_list = std::vector<access_entry>;

// The entries of an ACL that grant; a bug check if it is none.
access_list read_access_list(const ACL* acl);
// No list: no restriction. `access`: all of it must be granted.
bool grants(const std::optional<access_list>& list, uint32_t user, ACCESS_MASK access);

}  // namespace sluice::sim
