#include "producers/kernel_rings.h"

namespace sluice {

reserve_status kernel_rings::write_out_of_line(uint16_t type, uint8_t version, const void* payload, uint32_t length) {
  return write(type, version, payload, length);
}

reserve_status kernel_rings::reserve_out_of_line(uint16_t type, uint8_t version, uint32_t length, kernel_record& record,
                                                 const event_context* context) {
  return reserve(type, version, length, record, [context](const kernel_record& fresh) {
    if (context == nullptr) return;
    fresh.data.store(fresh.offset + record_header_size, context->pid);
    fresh.data.store(fresh.offset + record_header_size + 4, context->tid);
  });
}

bool kernel_rings::settle() { return cpu_rings::settle(); }

kernel_rings::restart kernel_rings::restart_consumer() { return cpu_rings::restart_consumer(); }

}  // namespace sluice
