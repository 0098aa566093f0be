#include "stress/duets.h"

namespace sluice::stress {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr uint32_t length = sizeof(event_head) + 8;

}  // namespace

soloist::soloist(rig& on, uint32_t index)
    : rig_(on), events_(on, index), random_(on.options.seed + 4711), thread_([this] { run(); }) {}

soloist::~soloist() {
  wish_.store(ending, std::memory_order_relaxed);
  wish_.notify_one();
  thread_.join();
}

void soloist::play() {
  while (!attached_.load(std::memory_order_acquire)) std::this_thread::sleep_for(microseconds(50));
  rests_.store(false, std::memory_order_relaxed);
  wish_.store(playing, std::memory_order_release);
  wish_.notify_one();
}

void soloist::rest() {
  wish_.store(resting, std::memory_order_relaxed);
  // acquire: its tally is read next
  while (!rests_.load(std::memory_order_acquire)) std::this_thread::sleep_for(microseconds(20));
}

void soloist::run() {
  const sim::activity here(rig_.machine, rig_.options.cpus - 1, event_pid, tid());
  rig::pin_to(rig_.options.cpus - 1);
  attached_.store(true, std::memory_order_release);
  for (;;) {
    switch (wish_.load(std::memory_order_acquire)) {
      case ending: return;
      case playing:
        if (!rests_.load(std::memory_order_relaxed)) {
          write_one();
          break;
        }
        [[fallthrough]];
      default:
        rests_.store(true, std::memory_order_release);
        wish_.wait(resting, std::memory_order_acquire);
    }
  }
}

void soloist::write_one() {
  if (random_.one_in(2)) {
    (void)events_.write_freely(event_type::free, length);
  } else {
    reservation held;
    event_head head;
    if (events_.reserve_freely(event_type::free, length, true, held, head)) {
      rig_.fill(held.payload(), head, true);
      held.commit();
    }
  }
  // Slowly: the consumer falls asleep in between.
  for (uint32_t i = random_.below(2000); i != 0; --i) YieldProcessor();
}

duets::duets(rig& on, soloist& with, uint32_t writer_index)
    : rig_(on), soloist_(with), events_(on, writer_index), random_(on.options.seed + 13) {}

void duets::wait_drained(const char* after) {
  const auto patience = steady_clock::now() + std::chrono::seconds(60);
  for (uint32_t turn = 0; !rig_.drained(); ++turn) {
    if (turn > 100) std::this_thread::sleep_for(microseconds(20));
    YieldProcessor();
    if (steady_clock::now() > patience) {
      broken("M3", no_cpu, "everything is closed, and the consumer has not taken it for 60 s, after {}", after);
    }
  }
}

void duets::hesitate(uint32_t most) {
  for (uint32_t i = random_.below(most); i != 0; --i) YieldProcessor();
}

void duets::play(uint32_t rounds) {
  // On a busy host each round waits for the scheduler: then fewer of them.
  const auto enough = steady_clock::now() + std::chrono::milliseconds(100);
  for (uint32_t i = 0; i < rounds && (i < 4 || steady_clock::now() < enough); ++i) {
    rig::pin_to(random_.below(rig_.options.cpus));
    // Sometimes the consumer sleeps already, sometimes it is on its way.
    hesitate(600);
    play_one();
    wait_drained("a duet");
    ++rounds_;
  }
  if (rig_.options.suspend) suspend_soloist(enough + std::chrono::milliseconds(100));
}

void duets::play_one() {
  switch (random_.below(7)) {
    case 0: write(event_type::duet); break;
    case 1: write(event_type::duet_critical); break;
    case 2: hold_and_close(true); break;
    case 3: hold_and_close(false); break;
    case 4: hold_under_another(true); break;
    case 5: hold_under_another(false); break;
    case 6: hand_over(); break;
  }
}

void duets::write(uint16_t type) {
  if (!events_.write_in_section(type, length)) broken("R1", no_cpu, "no room in an empty ring");
}

void duets::hold_and_close(bool keep) {
  held_record held;
  if (!events_.reserve_in_section(event_type::duet, length, keep, held)) broken("R1", no_cpu, "no room in an empty ring");
  rig_.fill(held.record.payload(), held.head, false);
  hesitate(600);
  rig_.finish(held);
}

// A final record behind an open one: whoever closes the open one must wake the consumer, whatever becomes of it.
void duets::hold_under_another(bool keep) {
  held_record held;
  if (!events_.reserve_in_section(event_type::duet, length, keep, held)) broken("R1", no_cpu, "no room in an empty ring");
  rig_.fill(held.record.payload(), held.head, false);
  rig::pin_to(random_.below(rig_.options.cpus));
  write(event_type::duet);
  hesitate(1000);
  rig_.finish(held);
}

void duets::hand_over() {
  held_record held;
  if (!events_.reserve_in_section(event_type::duet, length, true, held)) broken("R1", no_cpu, "no room in an empty ring");
  rig_.fill(held.record.payload(), held.head, false);
  if (!rig_.hand_over.push(held)) rig_.finish(held);
}

// A thread that is suspended between the close of its record and the look at the announcement would leave the record lying.
void duets::suspend_soloist(std::chrono::steady_clock::time_point enough) {
  soloist_.play();
  for (uint32_t i = 0; i < 4 && (i == 0 || steady_clock::now() < enough); ++i) {
    std::this_thread::sleep_for(microseconds(200 + random_.below(300)));
    if (!rig_.machine.suspend_thread(soloist_.tid())) broken("suspension", no_cpu, "the machine does not know the soloist");
    rig_.suspensions.fetch_add(1, std::memory_order_relaxed);
    std::this_thread::sleep_for(microseconds(300));  // it stops as soon as it may
    wait_drained("the suspension of the only writer");
    rig_.machine.resume_thread(soloist_.tid());
  }
  soloist_.rest();
  wait_drained("the only writer's rest");
}

void duets::ring_bells() {
  for (uint32_t cpu = 0; cpu < rig_.options.cpus; ++cpu) {
    rig::pin_to(cpu);
    write(event_type::duet);
  }
  wait_drained("one event on every CPU");
}

}  // namespace sluice::stress
