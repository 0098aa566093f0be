#include "kernel_port/sources/live/machine_sink.h"

#include "kernel_port/sources/live/live_source.h"
#include "kernel_port/sources/live/utf16_text.h"

namespace sluice::live {
namespace {

constexpr uint32_t system_process = 4;

std::optional<std::u16string> converted(const std::optional<std::string>& bytes) {
  if (!bytes) return std::nullopt;
  return to_utf16(*bytes).text;
}

sim::process_creation converted(const process_description& process) {
  sim::process_creation creation;
  creation.pid = process.pid;
  creation.parent_pid = process.parent_pid;
  creation.image_path = converted(process.image_path);
  creation.command_line = converted(process.command_line);
  return creation;
}

}  // namespace

machine_sink::machine_sink(sim::machine& machine)
    : processors_(machine.options().processors), activity_(machine, 0, 0, 0) {}

void machine_sink::enter(const activity_place& place) { activity_.become(place.cpu % processors_, place.pid, place.tid); }

bool machine_sink::has_room_for(uint32_t pid) {
  if (pid != system_process) return true;
  ++refused_;
  return false;
}

void machine_sink::check(NTSTATUS status) {
  if (!NT_SUCCESS(status)) ++refused_;
}

void machine_sink::add_existing_process(const process_description& process) {
  // Not counted: nothing of it would have been raised.
  if (process.pid != system_process) check(sim::add_existing_process(converted(process)));
}

void machine_sink::add_existing_thread(uint32_t pid, uint32_t tid) {
  if (pid != system_process) check(sim::add_existing_thread(pid, tid));
}

void machine_sink::create_process(const activity_place& place, const process_description& process) {
  if (!has_room_for(process.pid)) return;
  enter(place);
  check(sim::create_process(converted(process)));
}

void machine_sink::exit_process(const activity_place& place, uint32_t pid) {
  if (!has_room_for(pid)) return;
  enter(place);
  // perf tells no exit status: docs/live-source.md.
  check(sim::exit_process(pid, 0));
}

void machine_sink::create_thread(const activity_place& place, uint32_t pid, uint32_t tid) {
  if (!has_room_for(pid)) return;
  enter(place);
  check(sim::create_thread(pid, tid, 0));
}

void machine_sink::exit_thread(const activity_place& place, uint32_t pid, uint32_t tid) {
  if (!has_room_for(pid)) return;
  enter(place);
  check(sim::exit_thread(pid, tid));
}

void machine_sink::load_image(const activity_place& place, const image_description& image) {
  if (!has_room_for(image.pid)) return;
  enter(place);
  sim::image_loading loading;
  loading.pid = image.pid;
  loading.base = image.base;
  loading.size = image.size;
  loading.path = converted(image.path);
  sim::load_image(loading);
}

live_source::live_source(const live_options& options, sim::machine& machine)
    : live_source(options, [&machine] { return std::make_unique<machine_sink>(machine); }) {}

}  // namespace sluice::live
