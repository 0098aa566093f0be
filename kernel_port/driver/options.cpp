#include "kernel_port/driver/options.h"

namespace sluice {
namespace {

struct dword_value {
  KEY_VALUE_PARTIAL_INFORMATION information;
  UCHAR data[sizeof(ULONG)];
};

// Opens and reads until something fails; then does nothing more. What is not there is no failure.
class registry_key {
 public:
  registry_key(HANDLE root, UNICODE_STRING name, NTSTATUS& status) : status_(status) {
    if (!NT_SUCCESS(status_)) return;
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, root, nullptr);
    HANDLE handle = nullptr;
    if (is_there(ZwOpenKey(&handle, KEY_READ, &attributes))) handle_ = handle;
  }
  ~registry_key() {
    if (handle_ != nullptr) ZwClose(handle_);
  }
  registry_key(const registry_key&) = delete;
  registry_key& operator=(const registry_key&) = delete;

  HANDLE handle() const { return handle_; }

  void read(UNICODE_STRING name, uint32_t& value) const {
    if (!NT_SUCCESS(status_)) return;
    dword_value buffer{};
    ULONG length = 0;
    if (!is_there(ZwQueryValueKey(handle_, &name, KeyValuePartialInformation, &buffer, sizeof buffer, &length))) return;
    if (buffer.information.Type != REG_DWORD || buffer.information.DataLength != sizeof(ULONG)) {
      status_ = STATUS_OBJECT_TYPE_MISMATCH;
      return;
    }
    copy_bytes(&value, buffer.information.Data, sizeof value);
  }

 private:
  bool is_there(NTSTATUS status) const {
    if (NT_SUCCESS(status)) return true;
    if (status == STATUS_BUFFER_OVERFLOW) status = STATUS_OBJECT_TYPE_MISMATCH;  // longer than a number
    if (status != STATUS_OBJECT_NAME_NOT_FOUND) status_ = status;
    return false;
  }

  NTSTATUS& status_;
  HANDLE handle_ = nullptr;
};

}  // namespace

NTSTATUS read_options(PUNICODE_STRING registry_path, driver_options& options) {
  PAGED_CODE();
  NTSTATUS status = STATUS_SUCCESS;
  const registry_key service(nullptr, *registry_path, status);
  if (service.handle() == nullptr) return status;
  const registry_key parameters(service.handle(), unicode_literal(u"Parameters"), status);
  if (parameters.handle() == nullptr) return status;
  parameters.read(unicode_literal(u"RingBytes"), options.ring_bytes);
  parameters.read(unicode_literal(u"SpareRingBytes"), options.spare_ring_bytes);
  parameters.read(unicode_literal(u"CriticalBytes"), options.critical_bytes);
  parameters.read(unicode_literal(u"MaxRecordBytes"), options.max_record_bytes);
  parameters.read(unicode_literal(u"MarginMicroseconds"), options.margin_microseconds);
  parameters.read(unicode_literal(u"OverdueMilliseconds"), options.overdue_milliseconds);
  parameters.read(unicode_literal(u"RegistryOperations"), options.registry_operations);
  parameters.read(unicode_literal(u"RegistryDataBytes"), options.registry_data_bytes);
  parameters.read(unicode_literal(u"HoldUntilAttach"), options.hold_until_attach);
  parameters.read(unicode_literal(u"Mode"), options.mode);
  parameters.read(unicode_literal(u"AnchorSeconds"), options.anchor_seconds);
  parameters.read(unicode_literal(u"Port"), options.port);
  return status;
}

}  // namespace sluice
