#include "kernel_port/driver/device_security.h"

namespace sluice {
namespace {

// A SID as Windows documents its layout, with room for two subauthorities.
struct security_identifier {
  UCHAR revision;
  UCHAR count;
  UCHAR authority[6];
  ULONG subauthorities[2];
};
static_assert(sizeof(security_identifier) == 16 && offsetof(security_identifier, subauthorities) == 8);

constexpr security_identifier local_system = {SID_REVISION, 1, {0, 0, 0, 0, 0, 5}, {18, 0}};     // S-1-5-18
constexpr security_identifier administrators = {SID_REVISION, 2, {0, 0, 0, 0, 0, 5}, {32, 544}};  // S-1-5-32-544

constexpr ULONG acl_bytes = sizeof(ACL) + 2 * (sizeof(ACCESS_ALLOWED_ACE) - sizeof(ULONG) + sizeof(security_identifier));

NTSTATUS allow(PACL acl, const security_identifier& who) {
  return RtlAddAccessAllowedAce(acl, ACL_REVISION, FILE_ALL_ACCESS, const_cast<security_identifier*>(&who));
}

}  // namespace

NTSTATUS restrict_to_administrators(PDEVICE_OBJECT device) {
  PAGED_CODE();
  alignas(ACL) UCHAR memory[acl_bytes];
  const PACL acl = reinterpret_cast<PACL>(memory);
  SECURITY_DESCRIPTOR descriptor;
  NTSTATUS status = RtlCreateAcl(acl, sizeof memory, ACL_REVISION);
  if (NT_SUCCESS(status)) status = allow(acl, local_system);
  if (NT_SUCCESS(status)) status = allow(acl, administrators);
  if (NT_SUCCESS(status)) status = RtlCreateSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
  if (NT_SUCCESS(status)) status = RtlSetDaclSecurityDescriptor(&descriptor, TRUE, acl, FALSE);
  if (!NT_SUCCESS(status)) return status;
  HANDLE handle = nullptr;
  status = ObOpenObjectByPointer(device, OBJ_KERNEL_HANDLE, nullptr, WRITE_DAC, nullptr, KernelMode, &handle);
  if (!NT_SUCCESS(status)) return status;
  status = ZwSetSecurityObject(handle, DACL_SECURITY_INFORMATION, &descriptor);
  ZwClose(handle);
  return status;
}

}  // namespace sluice
