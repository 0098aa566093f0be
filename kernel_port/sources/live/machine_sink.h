// Raises the live source's activity on a simulated machine: each call becomes the matching call of
// kernel_port/sim/machine.h, in the context of the Linux task and on the virtual CPU with the number of the CPU it happened
// on (modulo the machine's processors). PASSIVE_LEVEL.
//
// Linux pid 4 is left out, and counted as refused: on NT that number is the System process, which the machine has already.
// (On a Linux host it is a kernel thread that never ends.)
//
// Made, used and destroyed by one thread, which must not belong to the machine otherwise: the sink holds its activity.
#pragma once

#include "kernel_port/sim/machine.h"
#include "kernel_port/sources/live/activity_sink.h"

namespace sluice::live {

class machine_sink : public activity_sink {
 public:
  explicit machine_sink(sim::machine& machine);

  void add_existing_process(const process_description& process) override;
  void add_existing_thread(uint32_t pid, uint32_t tid) override;
  void create_process(const activity_place& place, const process_description& process) override;
  void exit_process(const activity_place& place, uint32_t pid) override;
  void create_thread(const activity_place& place, uint32_t pid, uint32_t tid) override;
  void exit_thread(const activity_place& place, uint32_t pid, uint32_t tid) override;
  void load_image(const activity_place& place, const image_description& image) override;
  uint64_t refused() const override { return refused_; }

 private:
  bool has_room_for(uint32_t pid);
  void enter(const activity_place& place);
  void check(NTSTATUS status);

  uint32_t processors_;
  sim::activity activity_;
  uint64_t refused_ = 0;
};

}  // namespace sluice::live
