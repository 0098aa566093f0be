// How much memory the messages of clients may take in the driver at a time: a bound for each client, and one over all.
//
// A message is copied before it is looked at, and its answer is made in kernel memory: both lie in one block from the capture to
// the end of the answer. That takes as long as the client's memory takes to be read and written, which is in the client's hand.
// So one client can hold a quarter of what there is, and all of them no more than message_limit::of_all: whoever asks for more is
// answered with STATUS_QUOTA_EXCEEDED. Any IRQL.
#pragma once

#include "kernel_port/driver/protocol.h"
#include "kernel_port/nt/nt.h"

namespace sluice {

// One word of bytes that are in use.
class message_limit {
 public:
  static constexpr LONG of_client = static_cast<LONG>(protocol::max_control_bytes) + 64;
  static constexpr LONG of_all = 4 * of_client;

  explicit message_limit(LONG limit) : limit_(limit) {}
  message_limit(const message_limit&) = delete;
  message_limit& operator=(const message_limit&) = delete;

  // False: so much is not left. Nothing is taken then, not even for a moment: one that asks for too much refuses nobody else.
  [[nodiscard]] bool take(LONG bytes) {
    LONG used = InterlockedCompareExchange(&used_, 0, 0);
    for (;;) {
      if (bytes > limit_ - used) return false;
      const LONG found = InterlockedCompareExchange(&used_, used + bytes, used);
      if (found == used) return true;
      used = found;
    }
  }
  void give_back(LONG bytes) { InterlockedExchangeAdd(&used_, -bytes); }

 private:
  const LONG limit_;
  volatile LONG used_ = 0;
};

// A message's share of both limits, or of none.
class message_share {
 public:
  message_share(message_limit& of_client, message_limit& of_all, uint32_t bytes)
      : of_client_(of_client), of_all_(of_all), bytes_(static_cast<LONG>(bytes)) {
    if (!of_client_.take(bytes_)) {
      bytes_ = 0;
      status_ = STATUS_QUOTA_EXCEEDED;
    } else if (!of_all_.take(bytes_)) {
      of_client_.give_back(bytes_);
      bytes_ = 0;
      status_ = STATUS_QUOTA_EXCEEDED;
    }
  }
  ~message_share() {
    if (bytes_ == 0) return;
    of_all_.give_back(bytes_);
    of_client_.give_back(bytes_);
  }
  message_share(const message_share&) = delete;
  message_share& operator=(const message_share&) = delete;

  NTSTATUS status() const { return status_; }

 private:
  message_limit& of_client_;
  message_limit& of_all_;
  LONG bytes_;
  NTSTATUS status_ = STATUS_SUCCESS;
};

}  // namespace sluice
