// image_load, from the image notify routine: Ex where the kernel has it, else plain. There is no unload notification.
//
// The routine runs at PASSIVE_LEVEL, normal kernel APCs off, sometimes special ones too; the path may be absent.
#pragma once

#include "kernel_port/driver/protocol.h"
#include "producers/channel.h"
#include "producers/rundown.h"

namespace sluice {

class image_producer {
 public:
  image_producer() = default;
  ~image_producer() { stop(); }
  image_producer(const image_producer&) = delete;
  image_producer& operator=(const image_producer&) = delete;

  // PASSIVE_LEVEL.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(channel& to, const kernel_functions& functions);
  // PASSIVE_LEVEL, not from a callback. Returns when no callback runs any more.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  protocol::registration registered() const { return registered_; }

 private:
  _IRQL_requires_max_(APC_LEVEL)
  static VOID NTAPI on_notify(PUNICODE_STRING path, HANDLE pid, PIMAGE_INFO info);
  _IRQL_requires_max_(APC_LEVEL)
  void loaded(const UNICODE_STRING* path, HANDLE pid, const IMAGE_INFO& info);

  channel* channel_ = nullptr;
  protocol::registration registered_ = protocol::registration::none;
  rundown callbacks_;
};

}  // namespace sluice
