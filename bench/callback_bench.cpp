// What a callback costs on the simulated NT kernel, part by part. These are figures of a simulation: raising IRQL, the
// performance counter and the current process are functions of kernel_port/sim, and checks of its own are in
// them; only our own parts cost the same in a driver.
//
//   callback/chain/N_PART   one part more than the one before, up to channel::write: what an own event costs
//   callback/alone/PART     parts of a notify callback, each alone
//   callback/whole/NAME     channel::write, a reservation, and the image-load callback as the kernel calls it, from its
//                           first to its last instruction; 64 bytes of payload each
//
// The ring is followed as in the write benchmark. Paged memory is not watched: that is a debugging aid of the simulation.
#include <optional>
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/machine.h"
#include "producers/image_producer.h"
#include "producers/payload_strings.h"

namespace sluice::bench {
namespace {

constexpr uint32_t length = 64;
constexpr uint32_t stride = record_stride(record_header_size + length);

// The smallest driver with a channel and one notify routine.
struct small_driver {
  channel events;
  image_producer images;
};
std::optional<small_driver> driver;

VOID NTAPI unload(PDRIVER_OBJECT) {
  driver->images.stop();
  driver.reset();
}

NTSTATUS NTAPI enter(PDRIVER_OBJECT object, PUNICODE_STRING) {
  object->DriverUnload = &unload;
  static kernel_functions functions{};  // lives as long as the channel
  resolve_kernel_functions(functions);
  driver.emplace();
  NTSTATUS status = driver->events.create(functions, {main_geometry, spare_geometry, 1, 0, main_geometry.capacity / 4});
  if (NT_SUCCESS(status)) {
    driver->events.set_types(~uint64_t{0});
    status = driver->images.start(driver->events, functions);
  }
  if (!NT_SUCCESS(status)) driver.reset();
  return status;
}

// A machine, the driver loaded, and the calling thread on its CPU 0.
class stage {
 public:
  stage() : machine_(options()) {
    if (!NT_SUCCESS(machine_.load_driver("bench", &enter))) throw std::runtime_error("the driver did not load");
    here_.emplace(machine_, 0, 4000, 4004);
    sim::the_machine().notify.image.for_each([this](sim::notify_slot&, void* routine) {
      image_routine = reinterpret_cast<PLOAD_IMAGE_NOTIFY_ROUTINE>(routine);
    });
  }
  ~stage() {
    here_.reset();
    machine_.unload_driver("bench");
  }
  channel& events() { return driver->events; }
  PLOAD_IMAGE_NOTIFY_ROUTINE image_routine = nullptr;

 private:
  static sim::machine_options options() {
    sim::machine_options chosen;
    chosen.check_paged_access = false;
    return chosen;
  }
  sim::machine machine_;
  std::optional<sim::activity> here_;
};

// Where the parts that stand for a ring write to.
struct plain_buffer {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(main_geometry.capacity + main_geometry.max_record, 1);
  uint32_t position = 0;
  SLUICE_ALWAYS_INLINE uint8_t* next() {
    uint8_t* const at = bytes.data() + (position & (main_geometry.capacity - 1));
    position += stride;
    return at;
  }
};

// The chain, first to last: each contains the one before.
void section(benchmark::State& state) {
  stage on;
  for (auto _ : state) {
    const dispatch_section in;
    benchmark::ClobberMemory();
  }
}

void section_processor(benchmark::State& state) {
  stage on;
  for (auto _ : state) benchmark::DoNotOptimize(dispatch_section().cpu());
}

void section_clock(benchmark::State& state) {
  stage on;
  for (auto _ : state) {
    const dispatch_section in;
    benchmark::DoNotOptimize(in.cpu());
    benchmark::DoNotOptimize(kernel_clock().now());
  }
}

void section_clock_copy(benchmark::State& state) {
  stage on;
  const std::vector<uint8_t> payload(length, 7);
  plain_buffer buffer;
  for (auto _ : state) {
    const dispatch_section in;
    benchmark::DoNotOptimize(in.cpu());
    uint8_t* const to = buffer.next();
    const uint64_t time = kernel_clock().now();
    std::memcpy(to, &time, sizeof time);
    copy_bytes(to + record_header_size, payload.data(), length);
    benchmark::ClobberMemory();
  }
}

// The ring without account, critical types and type check.
void section_ring(benchmark::State& state) {
  stage on;
  const std::vector<uint8_t> payload(length, 7);
  lane memory(main_geometry, 0, lane_main);
  ring<native_seam> to;
  ledger<native_seam> account;
  to.attach(memory.view);
  account.attach(&memory.view.producer->loss);
  follower consumer(memory.view);
  const record_shape shape{record_header_size + length, ordinary_type, 1, false};
  bool refused = false;
  for (auto _ : state) {
    const dispatch_section in;
    benchmark::DoNotOptimize(in.cpu());
    open_record<native_seam> record;
    open_record<native_seam> loss;
    if (!to.place_at_once(shape, record)) refused |= !to.place(shape, account, record, loss);
    record.data.copy_in(record.offset + record_header_size, payload.data(), length);
    to.publish();
    to.put_time(record, kernel_clock().now());
    record.close(record_state::committed);
    consumer.follow();
  }
  if (refused) state.SkipWithError("an event was dropped");
}

struct no_scope {};

// Runs step(channel, payload) until the time is up, all of it in one scope, with the ring followed. False from a step: an
// event was dropped.
template <typename scope = no_scope, typename step_type>
void follow_steps(benchmark::State& state, step_type step) {
  const std::vector<uint8_t> payload(length, 7);
  stage on;
  [[maybe_unused]] const scope around;
  follower consumer(on.events().region(0, lane_main));
  bool refused = false;
  for (auto _ : state) {
    refused |= !step(on.events(), payload.data());
    consumer.follow();
  }
  if (refused) state.SkipWithError("an event was dropped");
}

void section_account(benchmark::State& state) {
  follow_steps(state, [](channel& events, const uint8_t* payload) {
    const dispatch_section in;
    return events.rings(in.cpu()).write(ordinary_type, 1, payload, length) == reserve_status::ok;
  });
}

void channel_write(benchmark::State& state) {
  follow_steps(state, [](channel& events, const uint8_t* payload) {
    return events.write(ordinary_type, 1, payload, length) == reserve_status::ok;
  });
}

// The write without a section, on the simulated kernel's clock: what the whole is compared with.
void rings_write(benchmark::State& state) {
  follow_steps<dispatch_section>(state, [](channel& events, const uint8_t* payload) {
    return events.rings(0).write(ordinary_type, 1, payload, length) == reserve_status::ok;
  });
}

void channel_reserve(benchmark::State& state) {
  follow_steps(state, [](channel& events, const uint8_t* payload) {
    reservation held;
    if (!events.reserve_event(ordinary_type, length, held)) return false;
    copy_bytes(held.payload() + sizeof(event_context), payload, length - sizeof(event_context));
    held.commit();
    return true;
  });
}

void image_callback(benchmark::State& state) {
  stage on;
  char16_t text[] = u"\\a\\b.dll";  // 8 units: 48 bytes of payload and 16 of path
  UNICODE_STRING path{16, 18, reinterpret_cast<PWCHAR>(text)};
  IMAGE_INFO info{};
  info.ImageBase = reinterpret_cast<PVOID>(uintptr_t{0x7ff000000000});
  info.ImageSize = 0x20000;
  follower consumer(on.events().region(0, lane_main));
  for (auto _ : state) {
    on.image_routine(&path, reinterpret_cast<HANDLE>(uintptr_t{4000}), &info);
    consumer.follow();
  }
  dispatch_section in;
  if (on.events().rings(0).row(event_type_image_load).dropped_total() != 0) state.SkipWithError("an event was dropped");
}

// Parts alone.
void clock_alone(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(kernel_clock().now());
}
void rundown_reference_alone(benchmark::State& state) {
  stage on;
  rundown protection;
  protection.start();
  for (auto _ : state) {
    const rundown_reference reference(protection);
    benchmark::DoNotOptimize(static_cast<bool>(reference));
  }
  protection.end();
}
void type_switch(benchmark::State& state) {
  stage on;
  for (auto _ : state) benchmark::DoNotOptimize(on.events().is_on(event_type_image_load));
}
void context(benchmark::State& state) {
  stage on;
  for (auto _ : state) {
    benchmark::DoNotOptimize(PsGetCurrentProcessId());
    benchmark::DoNotOptimize(PsGetCurrentThreadId());
  }
}
void region(benchmark::State& state) {
  stage on;
  for (auto _ : state) {
    benchmark::DoNotOptimize(KeGetCurrentIrql());
    const critical_region in;
    benchmark::ClobberMemory();
  }
}
void string_capture(benchmark::State& state) {
  stage on;
  char16_t text[] = u"\\a\\b.dll";
  UNICODE_STRING path{16, 18, reinterpret_cast<PWCHAR>(text)};
  uint8_t to[64];
  for (auto _ : state) {
    benchmark::DoNotOptimize(&path);
    const kernel_string name(&path, 1024);
    string_field field;
    benchmark::DoNotOptimize(name.copy(to, 16, field));
    benchmark::DoNotOptimize(&field);
    benchmark::ClobberMemory();
  }
}

}  // namespace

void add_callback(const settings& with) {
  const uint64_t calls = with.scale(100000);
  add("callback/chain/1_section", calls, section);
  add("callback/chain/2_processor", calls, section_processor);
  add("callback/chain/3_clock", calls, section_clock);
  add("callback/chain/4_copy", calls, section_clock_copy);
  add("callback/chain/5_ring", calls, section_ring);
  add("callback/chain/6_account", calls, section_account);
  add("callback/chain/7_wake", calls, channel_write);
  add("callback/alone/clock", calls, clock_alone);
  add("callback/alone/rundown", calls, rundown_reference_alone);
  add("callback/alone/type_switch", calls, type_switch);
  add("callback/alone/context", calls, context);
  add("callback/alone/critical_region", calls, region);
  add("callback/alone/string", calls, string_capture);
  add("callback/whole/write", calls, rings_write);
  add("callback/whole/channel_reserve", calls, channel_reserve);
  add("callback/whole/image_load", calls, image_callback);
}

}  // namespace sluice::bench
