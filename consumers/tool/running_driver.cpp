#include "consumers/tool/running_driver.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "producers/registry_producer.h"

namespace sluice::tool {
namespace {

constexpr char driver_name[] = "sluice";

// CPU numbers of this host go up to what it can ever have, online or not.
uint32_t host_processors() {
  return static_cast<uint32_t>(std::clamp<long>(::sysconf(_SC_NPROCESSORS_CONF), 1, 256));
}

std::string_view name_of(protocol::registration how) {
  switch (how) {
    case protocol::registration::none:
      return "none";
    case protocol::registration::plain:
      return "plain";
    case protocol::registration::ex:
      return "Ex";
    case protocol::registration::ex2:
      return "Ex2";
  }
  return "unknown";
}

std::unique_ptr<sim::memory_file> make_memory(const std::string& path) {
  if (path.empty()) return nullptr;
  try {
    return std::make_unique<sim::memory_file>(path);
  } catch (const std::system_error& error) {
    throw source_error(error.what());
  }
}

sim::machine_options machine_options_of(const watch_options& options, sim::memory_file* memory_file) {
  sim::machine_options machine;
  machine.memory = memory_file;
  machine.shared_memory = options.shares_memory;
  machine.processors = options.cpus != 0 ? options.cpus : host_processors();
  machine.service_parameters = {{u"sluice", u"RingBytes", options.ring_bytes},
                                {u"sluice", u"Mode", static_cast<uint32_t>(options.mode)},
                                {u"sluice", u"RegistryOperations", registry_operations_all}};
  if (const std::optional<uint32_t> bound = options.order.bound_milliseconds) {
    machine.service_parameters.push_back({u"sluice", u"OverdueMilliseconds", *bound});
  }
  return machine;
}

}  // namespace

running_driver::running_driver(const watch_options& options, PDRIVER_INITIALIZE entry)
    : memory_(make_memory(options.memory_path)), machine_(machine_options_of(options, memory_.get())) {
  const NTSTATUS status = machine_.load_driver(driver_name, entry);
  if (!NT_SUCCESS(status)) {
    const std::string why = memory_ != nullptr && memory_->error() != 0
                                ? fmt::format("{}: {}", memory_->path(), std::strerror(memory_->error()))
                                : fmt::format("rings of {} bytes on {} virtual CPUs", options.ring_bytes, machine_.options().processors);
    throw source_error(fmt::format("the driver did not load: NT status 0x{:08x} ({})", static_cast<uint32_t>(status), why));
  }
}

running_driver::~running_driver() {
  (void)machine_.unload_driver(driver_name);
}

std::string running_driver::describe(const protocol::capabilities& about) const {
  return fmt::format("{} CPUs, rings of {} KiB each; notify routines: process {}, thread {}, image {}, registry {}",
                     about.cpu_count, about.ring_bytes / 1024, name_of(about.process_registration),
                     name_of(about.thread_registration), name_of(about.image_registration),
                     name_of(about.registry_registration));
}

raised_callbacks running_driver::raised() const {
  const sim::raised_counts counts = sim::raised();
  return {{{event_type_process_create, counts.process_create},
           {event_type_process_exit, counts.process_exit},
           {event_type_thread_create, counts.thread_create},
           {event_type_thread_exit, counts.thread_exit},
           {event_type_image_load, counts.image_load},
           {event_type_registry_create_key, counts.registry_create_key},
           {event_type_registry_open_key, counts.registry_open_key},
           {event_type_registry_set_value, counts.registry_set_value},
           {event_type_registry_delete_key, counts.registry_delete_key},
           {event_type_registry_delete_value, counts.registry_delete_value},
           {event_type_registry_rename_key, counts.registry_rename_key}},
          0};
}

}  // namespace sluice::tool
