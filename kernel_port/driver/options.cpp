#include "kernel_port/driver/options.h"

namespace sluice {
namespace {

struct dword_value {
  KEY_VALUE_PARTIAL_INFORMATION information;
  UCHAR data[sizeof(ULONG)];
};

class registry_key {
 public:
  registry_key(HANDLE root, UNICODE_STRING name) {
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, root, nullptr);
    if (!NT_SUCCESS(ZwOpenKey(&handle_, KEY_READ, &attributes))) handle_ = nullptr;
  }
  ~registry_key() {
    if (handle_ != nullptr) ZwClose(handle_);
  }
  registry_key(const registry_key&) = delete;
  registry_key& operator=(const registry_key&) = delete;

  HANDLE handle() const { return handle_; }

  void read(UNICODE_STRING name, uint32_t& value) const {
    dword_value buffer{};
    ULONG length = 0;
    if (!NT_SUCCESS(ZwQueryValueKey(handle_, &name, KeyValuePartialInformation, &buffer, sizeof buffer, &length))) {
      return;
    }
    if (buffer.information.Type != REG_DWORD || buffer.information.DataLength != sizeof(ULONG)) return;
    copy_bytes(&value, buffer.information.Data, sizeof value);
  }

 private:
  HANDLE handle_ = nullptr;
};

}  // namespace

driver_options read_options(PUNICODE_STRING registry_path) {
  PAGED_CODE();
  driver_options options;
  const registry_key service(nullptr, *registry_path);
  if (service.handle() == nullptr) return options;
  const registry_key parameters(service.handle(), unicode_literal(u"Parameters"));
  if (parameters.handle() == nullptr) return options;
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
  return options;
}

}  // namespace sluice
