#include "stress/deterministic/activity.h"

#include <utility>

#include "kernel_port/sim/scheduler.h"
#include "stress/driver_client.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

constexpr uint32_t pid_of_all = 1'000'000;
constexpr uint32_t deepest = 3;

}  // namespace

void pause_for(uint64_t nanoseconds) {
  sim::parker own;
  const auto until = sim::the_scheduler.now() + std::chrono::nanoseconds(nanoseconds);
  while (sim::the_scheduler.now() < until) sim::the_scheduler.wait(own, until);
}

deterministic_activity::deterministic_activity(sim::machine& machine, const run_plan& plan, const filler& from, uint32_t index,
                                               channel& to, uint16_t own_type)
    : machine_(machine), plan_(plan), filler_(from), index_(index), to_(to), own_type_(own_type),
      random_(plan.seed * 67 + index * 2 + 1), dpc_random_(plan.seed * 67 + index * 2 + 2), dpc_(std::make_unique<KDPC>()) {}

uint32_t deterministic_activity::tid() const { return first_activity_tid + index_; }

void deterministic_activity::run() {
  {
    sim::activity here(machine_, index_ % plan_.cpus, pid_of_all, tid());
    act(here);
  }
  ended_ = true;
}

void deterministic_activity::act(sim::activity& here) {
  KeInitializeDpc(dpc_.get(), &dpc_routine, this);
  for (uint32_t i = 0; i < plan_.steps; ++i) {
    if (random_.one_in(8)) here.migrate(random_.below(machine_.processors()));
    step();
  }
  KeFlushQueuedDpcs();
}

void deterministic_activity::step() {
  switch (random_.below(12)) {
    case 0:
    case 1: return load_image();
    case 2: return live_and_die();
    case 3: return set_value();
    case 4: return come_and_go();
    case 5:
    case 6: return write_own();
    case 7:
    case 8:
    case 9: return reserve_own(0);
    case 10: return let_dpc_write();
    default: return dawdle();
  }
}

void deterministic_activity::load_image() {
  sim::image_loading loading;
  loading.pid = pid_of_all;
  loading.base = image_base_of(index_, images_);
  loading.size = images_ + 1;
  loading.path = image_path_of(index_, images_);
  ++images_;
  sim::load_image(loading);
}

void deterministic_activity::live_and_die() {
  const uint32_t pid = 2'000'000 + index_ * 100'000 + 4 * lives_++;
  sim::process_creation creation;
  creation.pid = pid;
  creation.parent_pid = pid_of_all;
  creation.image_path = u"\\Device\\HarddiskVolume1\\stress\\child.exe";
  creation.command_line = u"child.exe --now";
  if (!NT_SUCCESS(sim::create_process(creation))) broken("set-up", no_cpu, "process {} exists", pid);
  sim::create_thread(pid, pid + 1, 0x1000);
  if (random_.one_in(2)) sim::exit_thread(pid, pid + 1);
  sim::exit_process(pid, 0);
}

void deterministic_activity::set_value() {
  const uint32_t number = values_++;
  const std::vector<uint8_t> data(value_bytes_of(number), value_byte_of(index_, number));
  const std::u16string key = value_key_of(index_);
  sim::registry_set_value({.key = key, .value = u"v", .type = number, .data = data, .outcome = value_status_of(number)});
}

void deterministic_activity::come_and_go() {
  const std::u16string key = u"\\REGISTRY\\USER\\" + std::u16string(index_ + 1, u'k');
  sim::registry_create_key({.key = u"sub", .root = key});
  sim::registry_rename_key({.key = key + u"\\sub", .new_name = u"bus"});
  sim::registry_delete_value({.key = key + u"\\bus", .value = u"v"});
  sim::registry_delete_key({.key = key + u"\\bus"});
}

uint32_t deterministic_activity::begin_event(uint32_t writer, bool keep, event_head& head) {
  head = {};
  head.context = {pid_of_all, tid()};
  head.writer = index_ * writers_per_activity + writer;
  head.payload_length = static_cast<uint32_t>(sizeof head) + (writer == 0 ? random_ : dpc_random_).below(200);
  head.sequence = keep ? tallies_[writer].kept : no_number;
  head.cpu = unknown_cpu;
  ++tallies_[writer].attempted;
  return head.payload_length;
}

void deterministic_activity::write_own() {
  event_head head;
  uint8_t buffer[512];
  begin_event(0, true, head);
  put_event(buffer, head, filler_, false);
  const bool raises = random_.one_in(3);
  KIRQL old = PASSIVE_LEVEL;
  if (raises) KeRaiseIrql(DISPATCH_LEVEL, &old);
  const bool ok = to_.write(own_type_, event_version, buffer, head.payload_length) == reserve_status::ok;
  if (raises) KeLowerIrql(old);
  if (ok) ++tallies_[0].kept;
}

// With reservations inside it; committed and discarded in any order.
void deterministic_activity::reserve_own(uint32_t depth) {
  event_head head;
  const bool keep = !random_.one_in(6);
  const uint32_t length = begin_event(0, keep, head);
  reservation held;
  if (!to_.reserve_event(own_type_, length, held)) return;
  ++(keep ? tallies_[0].kept : tallies_[0].discarded);
  const bool inner_first = random_.one_in(2);
  if (inner_first && depth < deepest && random_.one_in(3)) reserve_own(depth + 1);
  if (random_.one_in(8)) dawdle();
  put_event(held.payload(), head, filler_, true);
  if (random_.one_in(16)) let_dpc_write();
  if (!inner_first && random_.one_in(2)) {
    // The inner one is begun before this one is closed, and closed after it.
    event_head later_head;
    const bool keeps_later = !random_.one_in(6);
    const uint32_t later_length = begin_event(0, keeps_later, later_head);
    reservation later;
    const bool ok = to_.reserve_event(own_type_, later_length, later);
    if (ok) ++(keeps_later ? tallies_[0].kept : tallies_[0].discarded);
    keep ? held.commit() : held.discard();
    if (!ok) return;
    put_event(later.payload(), later_head, filler_, true);
    if (keeps_later) later.commit();
    return;
  }
  if (keep) held.commit();  // or discarded at the end of the scope
}

void deterministic_activity::let_dpc_write() {
  if (std::exchange(dpc_is_out_, true)) return;
  if (random_.one_in(2)) {
    PROCESSOR_NUMBER number;
    KeGetProcessorNumberFromIndex(random_.below(machine_.processors()), &number);
    (void)KeSetTargetProcessorDpcEx(dpc_.get(), &number);
  }
  KeInsertQueueDpc(dpc_.get(), nullptr, nullptr);
}

VOID NTAPI deterministic_activity::dpc_routine(PKDPC, PVOID context, PVOID, PVOID) {
  auto& self = *static_cast<deterministic_activity*>(context);
  event_head head;
  uint8_t buffer[512];
  self.begin_event(1, true, head);
  put_event(buffer, head, self.filler_, false);
  if (self.to_.write(self.own_type_, event_version, buffer, head.payload_length) == reserve_status::ok) ++self.tallies_[1].kept;
  self.dpc_is_out_ = false;
}

void deterministic_activity::dawdle() { pause_for(random_.one_in(4) ? random_.below(20'000'000) : random_.below(100'000)); }

}  // namespace sluice::stress
