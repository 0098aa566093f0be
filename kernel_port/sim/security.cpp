#include "kernel_port/sim/security.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

constexpr size_t sid_bytes(const SID* sid) { return offsetof(SID, SubAuthority) + size_t{sid->SubAuthorityCount} * sizeof(ULONG); }

const std::vector<uint8_t> local_system = {1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0};
const std::vector<uint8_t> administrators = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 0x02, 0, 0};
const std::vector<uint8_t> everyone = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};

bool is(uint32_t user, const std::vector<uint8_t>& sid) {
  return sid == everyone || (user == 0 && sid == local_system) ||
         ((user == 0 || user == static_cast<uint32_t>(geteuid())) && sid == administrators);
}

}  // namespace

access_list read_access_list(const ACL* acl) {
  access_list entries;
  const auto* const base = reinterpret_cast<const uint8_t*>(acl);
  size_t at = sizeof(ACL);
  for (uint32_t i = 0; i < acl->AceCount; ++i) {
    ACCESS_ALLOWED_ACE ace;
    if (at + sizeof ace > acl->AclSize) misuse("an ACL with entries beyond its size");
    memcpy(&ace, base + at, sizeof ace);
    if (ace.Header.AceType != ACCESS_ALLOWED_ACE_TYPE) misuse("only entries that allow are simulated");
    const uint8_t* const sid = base + at + offsetof(ACCESS_ALLOWED_ACE, SidStart);
    entries.push_back({ace.Mask, {sid, base + at + ace.Header.AceSize}});
    at += ace.Header.AceSize;
  }
  return entries;
}

bool grants(const std::optional<access_list>& list, uint32_t user, ACCESS_MASK access) {
  if (!list) return true;
  ACCESS_MASK granted = 0;
  for (const access_entry& entry : *list) {
    if (is(user, entry.sid)) granted |= entry.access;
  }
  return (granted & access) == access;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS RtlCreateAcl(PACL Acl, ULONG AclLength, ULONG AclRevision) {
  require_irql_at_most(DISPATCH_LEVEL, "RtlCreateAcl");
  if (AclLength < sizeof(ACL)) return STATUS_BUFFER_TOO_SMALL;
  if (AclRevision != ACL_REVISION || AclLength > 0xffff || AclLength % 4 != 0) return STATUS_INVALID_PARAMETER;
  *Acl = {ACL_REVISION, 0, static_cast<USHORT>(AclLength), 0, 0};
  return STATUS_SUCCESS;
}

NTSTATUS RtlAddAccessAllowedAce(PACL Acl, ULONG AceRevision, ACCESS_MASK AccessMask, PSID Sid) {
  require_irql_at_most(DISPATCH_LEVEL, "RtlAddAccessAllowedAce");
  const auto* const sid = static_cast<const SID*>(Sid);
  if (sid->Revision != SID_REVISION || sid->SubAuthorityCount > 15) return STATUS_INVALID_SID;
  if (AceRevision != ACL_REVISION) return STATUS_REVISION_MISMATCH;
  auto* const base = reinterpret_cast<uint8_t*>(Acl);
  size_t at = sizeof(ACL);
  for (uint32_t i = 0; i < Acl->AceCount; ++i) at += reinterpret_cast<const ACE_HEADER*>(base + at)->AceSize;
  const size_t bytes = offsetof(ACCESS_ALLOWED_ACE, SidStart) + sid_bytes(sid);
  if (at + bytes > Acl->AclSize) return STATUS_ALLOTTED_SPACE_EXCEEDED;
  auto* const ace = reinterpret_cast<ACCESS_ALLOWED_ACE*>(base + at);
  ace->Header = {ACCESS_ALLOWED_ACE_TYPE, 0, static_cast<USHORT>(bytes)};
  ace->Mask = AccessMask;
  memcpy(&ace->SidStart, sid, sid_bytes(sid));
  Acl->AceCount += 1;
  return STATUS_SUCCESS;
}

NTSTATUS RtlCreateSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, ULONG Revision) {
  require_irql_at_most(DISPATCH_LEVEL, "RtlCreateSecurityDescriptor");
  if (Revision != SECURITY_DESCRIPTOR_REVISION) return STATUS_UNKNOWN_REVISION;
  *static_cast<SECURITY_DESCRIPTOR*>(SecurityDescriptor) = {SECURITY_DESCRIPTOR_REVISION, 0, 0, nullptr, nullptr, nullptr, nullptr};
  return STATUS_SUCCESS;
}

NTSTATUS RtlSetDaclSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, BOOLEAN DaclPresent, PACL Dacl, BOOLEAN) {
  require_irql_at_most(DISPATCH_LEVEL, "RtlSetDaclSecurityDescriptor");
  auto& descriptor = *static_cast<SECURITY_DESCRIPTOR*>(SecurityDescriptor);
  if (descriptor.Revision != SECURITY_DESCRIPTOR_REVISION) return STATUS_UNKNOWN_REVISION;
  descriptor.Control = DaclPresent ? SE_DACL_PRESENT : 0;
  descriptor.Dacl = DaclPresent ? Dacl : nullptr;
  return STATUS_SUCCESS;
}

NTSTATUS ZwSetSecurityObject(HANDLE Handle, SECURITY_INFORMATION SecurityInformation, PSECURITY_DESCRIPTOR SecurityDescriptor) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwSetSecurityObject");
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::security_change); failed != STATUS_SUCCESS) return failed;
  ACCESS_MASK granted = 0;
  void* const object = the_machine().handles.reference(Handle, &granted);
  if (!object) return STATUS_INVALID_HANDLE;
  NTSTATUS status = STATUS_SUCCESS;
  const auto& descriptor = *static_cast<const SECURITY_DESCRIPTOR*>(SecurityDescriptor);
  if (header_of(object)->type != &device_object_type || SecurityInformation != DACL_SECURITY_INFORMATION) {
    misuse("ZwSetSecurityObject: only the DACL of a device is simulated");
  }
  if ((granted & WRITE_DAC) == 0) {
    status = STATUS_ACCESS_DENIED;
  } else if ((descriptor.Control & SE_DACL_PRESENT) == 0 || descriptor.Dacl == nullptr) {
    the_machine().devices.set_access(static_cast<PDEVICE_OBJECT>(object), std::nullopt);
  } else {
    the_machine().devices.set_access(static_cast<PDEVICE_OBJECT>(object), read_access_list(descriptor.Dacl));
  }
  dereference_object(object);
  return status;
}
}
