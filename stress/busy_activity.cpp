#include "stress/busy_activity.h"

namespace sluice::stress {

void busy_activity::run() {
  sim::activity here(world_.machine, index_ % world_.machine.processors(), 1'000'000, tid());
  attached_.store(true);
  while (!world_.stop.load(std::memory_order_relaxed) && world_.parks.pass([] {})) {
    if (world_.options.migrate && random_.one_in(32)) here.migrate(random_.below(world_.machine.processors()));
    const uint32_t choice = random_.below(10);
    if (choice < 4) {
      load_image();
    } else if (choice < 5) {
      live_and_die();
    } else if (choice < 6) {
      set_value();
    } else if (choice < 7) {
      come_and_go();
    } else {
      own_event(choice == 7);
    }
    // The worker and the client share the host's processors with us.
    if (world_.options.back_off && random_.one_in(16)) std::this_thread::yield();
  }
}

void busy_activity::load_image() {
  sim::image_loading loading;
  loading.pid = 1'000'000;
  loading.base = image_base_of(index_, images_);
  loading.size = images_ + 1;
  loading.path = image_path_of(index_, images_);
  ++images_;
  sim::load_image(loading);
  world_.raised.fetch_add(1, std::memory_order_relaxed);
}

// A process with two threads.
void busy_activity::live_and_die() {
  const uint32_t pid = 2'000'000 + index_ * 100'000 + 4 * (lives_++ % 20'000);
  sim::process_creation creation;
  creation.pid = pid;
  creation.parent_pid = 1'000'000;
  creation.image_path = u"\\Device\\HarddiskVolume1\\stress\\child.exe";
  creation.command_line = u"child.exe --now";
  if (!NT_SUCCESS(sim::create_process(creation))) broken("set-up", no_cpu, "process {} exists", pid);
  sim::create_thread(pid, pid + 1, 0x1000);
  sim::create_thread(pid, pid + 2, 0x2000);
  sim::exit_thread(pid, pid + 2);
  sim::exit_process(pid, 0);
  world_.raised.fetch_add(6, std::memory_order_relaxed);
}

void busy_activity::set_value() {
  const uint32_t number = values_++;
  const std::vector<uint8_t> data(value_bytes_of(number), value_byte_of(index_, number));
  const std::u16string key = value_key_of(index_);
  sim::registry_set_value({.key = key, .value = u"v", .type = number, .data = data, .outcome = value_status_of(number)});
  world_.raised.fetch_add(1, std::memory_order_relaxed);
}

// A key that is created, read, renamed and deleted.
void busy_activity::come_and_go() {
  const std::u16string key = u"\\REGISTRY\\USER\\" + std::u16string(index_ + 1, u'k');
  sim::registry_create_key({.key = u"sub", .root = key});
  sim::registry_query_value({.key = key, .value = u"v"});
  sim::registry_rename_key({.key = key + u"\\sub", .new_name = u"bus"});
  sim::registry_delete_value({.key = key + u"\\bus", .value = u"v"});
  sim::registry_delete_key({.key = key + u"\\bus"});
  world_.raised.fetch_add(4, std::memory_order_relaxed);
}

void busy_activity::own_event(bool reserved) {
  world_.driver.lend([&](sensor& driver, uint16_t own_type) {
    event_head head{};
    const bool keep = !reserved || !world_.options.discards || !random_.one_in(8);
    head.context = {1'000'000, tid()};
    head.writer = index_;
    head.payload_length = static_cast<uint32_t>(sizeof head) + random_.below(200);
    head.sequence = keep ? own_kept_ : no_number;
    head.cpu = unknown_cpu;
    ++own_attempted_;
    bool ok = false;
    if (reserved) {
      reservation held;
      ok = driver.events().reserve_event(own_type, head.payload_length, held);
      if (ok) {
        put_event(held.payload(), head, world_.from, true);
        if (random_.one_in(64)) std::this_thread::yield();
        if (keep) held.commit();  // or discarded at the end of the scope
      }
    } else {
      put_event(buffer_, head, world_.from, false);
      ok = driver.events().write(own_type, event_version, buffer_, head.payload_length) == reserve_status::ok;
    }
    if (ok) ++(keep ? own_kept_ : own_discarded_);
    world_.raised.fetch_add(1, std::memory_order_relaxed);
  });
}

}  // namespace sluice::stress
