#include "stress/deterministic/disturber.h"

#include "producers/filter_message.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

constexpr uint32_t other_pid = 4002;

}  // namespace

deterministic_disturber::deterministic_disturber(sim::machine& machine, const run_plan& plan,
                                                 const std::deque<deterministic_activity>& activities, driver_client& client,
                                                 statistics_reader& statistics, const std::atomic<bool>& stop)
    : machine_(machine), plan_(plan), activities_(activities), client_(client), statistics_(statistics), stop_(stop),
      random_(plan.seed * 73) {}

void deterministic_disturber::run() {
  uint32_t added = 0;
  while (!stop_.load()) {
    pause_for(random_.below(random_.one_in(3) ? 3'000'000 : 30'000));
    if (added < plan_.more_cpus && random_.one_in(4)) {
      const NTSTATUS status = machine_.add_processor();
      // Refused for want of memory: the machine goes on without it.
      if (!NT_SUCCESS(status) && status != STATUS_INSUFFICIENT_RESOURCES) {
        broken("device", no_cpu, "adding a processor gave {:#x}", static_cast<uint32_t>(status));
      }
      ++added;
    }
    step();
  }
  machine_.run_counter();
  if (plan_.filters) change_filter(true);
  if (plan_.switches_types) choose_types(~uint64_t{0});
}

void deterministic_disturber::step() {
  if (plan_.switches_types && random_.one_in(4)) return choose_types(random_.one_in(3) ? ~uint64_t{0} : random_.next());
  protocol::statistics_header header{};
  switch (random_.below(7)) {
    case 0: (void)statistics_.take(header); break;
    case 1:
      if (!plan_.reader_leaves) client_.cancel();
      break;
    case 2:
      if (plan_.moves_counter) move_counter();
      break;
    case 3:
      if (plan_.suspends) suspend_one();
      break;
    case 4: open_and_ask(); break;
    case 5:
      if (plan_.filters) change_filter(random_.one_in(3));
      break;
    default: machine_.set_system_time(machine_.system_time() + random_.below(100'000'000)); break;
  }
}

void deterministic_disturber::move_counter() {
  const auto ticks = static_cast<int64_t>(random_.below(random_.one_in(2) ? 100'000'000 : 100'000));
  switch (random_.below(4)) {
    case 0: return machine_.move_counter(ticks);
    case 1: return machine_.move_counter(-ticks);
    case 2: return machine_.stop_counter();
    default: return machine_.run_counter();
  }
}

void deterministic_disturber::suspend_one() {
  const deterministic_activity& one = activities_[random_.below(plan_.activities)];
  if (!machine_.suspend_thread(one.tid())) return;
  pause_for(random_.below(2'000'000));
  // Meanwhile it may act as another thread, one of a process that ends, and go by its own id again later.
  while (!machine_.resume_thread(one.tid()) && !one.has_ended()) pause_for(1000);
}

void deterministic_disturber::open_and_ask() {
  sim::file other;
  if (!NT_SUCCESS(other.open(machine_, u"Sluice", other_pid))) return;
  uint64_t bytes = 0;
  protocol::capabilities answer;
  const NTSTATUS status =
      other.control(protocol::code_capabilities, {}, {reinterpret_cast<uint8_t*>(&answer), sizeof answer}, bytes);
  if (status != STATUS_SUCCESS) broken("device", no_cpu, "asking for capabilities gave {:#x}", static_cast<uint32_t>(status));
  if (random_.one_in(2)) (void)other.control(protocol::code_flush, {}, {}, bytes);
}

void deterministic_disturber::choose_types(uint64_t types) {
  sim::file other;
  if (!NT_SUCCESS(other.open(machine_, u"Sluice", other_pid))) return;
  uint64_t bytes = 0;
  protocol::capabilities about;
  NTSTATUS status = other.control(protocol::code_capabilities, {}, {reinterpret_cast<uint8_t*>(&about), sizeof about}, bytes);
  if (status != STATUS_SUCCESS) broken("device", no_cpu, "asking for capabilities gave {:#x}", static_cast<uint32_t>(status));
  const protocol::set_types request{protocol::version, 0, types & about.types};
  status = other.control(protocol::code_set_types, {reinterpret_cast<const uint8_t*>(&request), sizeof request}, {}, bytes);
  if (status != STATUS_SUCCESS) broken("device", no_cpu, "a choice of types gave {:#x}", static_cast<uint32_t>(status));
}

// Of some types nothing is wanted for a while.
void deterministic_disturber::change_filter(bool clear) {
  sim::file other;
  if (!NT_SUCCESS(other.open(machine_, u"Sluice", other_pid))) return;
  filter_header header{};
  header.magic = filter_magic;
  header.version = filter_version;
  header.header_bytes = header.total_bytes = sizeof header;
  header.types = random_.one_in(2) ? ~(uint64_t{1} << event_type_image_load) : random_.next() | 0xf;
  header.process_types = ~uint64_t{0};
  uint64_t bytes = 0;
  uint8_t answer[sizeof(filter_answer)];
  const NTSTATUS status = clear ? other.control(protocol::code_clear_filter, {}, answer, bytes)
                                : other.control(protocol::code_set_filter,
                                                {reinterpret_cast<const uint8_t*>(&header), sizeof header}, answer, bytes);
  if (status != STATUS_SUCCESS && status != STATUS_INSUFFICIENT_RESOURCES) {
    broken("device", no_cpu, "a filter gave {:#x}", static_cast<uint32_t>(status));
  }
}

}  // namespace sluice::stress
