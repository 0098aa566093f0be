#include "consumers/tool/live_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice::tool {
namespace {

constexpr char driver_name[] = "sluice";

// CPU numbers of this host go up to what it can ever have, online or not.
uint32_t host_processors() { return static_cast<uint32_t>(std::clamp<long>(::sysconf(_SC_NPROCESSORS_CONF), 1, 256)); }

std::string_view name_of(protocol::registration how) {
  switch (how) {
    case protocol::registration::none: return "none";
    case protocol::registration::plain: return "plain";
    case protocol::registration::ex: return "Ex";
    case protocol::registration::ex2: return "Ex2";
  }
  return "unknown";
}

}  // namespace

std::unique_ptr<running_driver> start_driver(uint32_t processors, uint32_t ring_bytes) {
  sim::machine_options options;
  options.processors = processors;
  options.service_parameters = {{u"sluice", u"RingBytes", ring_bytes}};
  std::unique_ptr<running_driver> driver(new running_driver(options));
  const NTSTATUS status = driver->machine_.load_driver(driver_name, &DriverEntry);
  if (!NT_SUCCESS(status)) {
    throw source_error(fmt::format("the driver did not load: NT status 0x{:08x} (rings of {} bytes on {} virtual CPUs)",
                                   static_cast<uint32_t>(status), ring_bytes, processors));
  }
  driver->loaded_ = true;
  return driver;
}

running_driver::~running_driver() {
  if (loaded_) (void)machine_.unload_driver(driver_name);
}

live_session::live_session(const watch_options& options)
    : options_(options),
      processors_(options.cpus != 0 ? options.cpus : host_processors()),
      driver_(start_driver(processors_, options.ring_bytes)),
      source_(driver_->machine(), static_cast<uint32_t>(::getpid())),
      live_(live::live_options{}, driver_->machine()) {}

std::string live_session::title() {
  const protocol::capabilities about = source_.capabilities();
  return fmt::format(
      "this Linux machine's events, through the driver on a simulated NT kernel of {} CPUs; {}\n"
      "sluice: rings of {} KiB per CPU, notify routines: process {}, thread {}, image {}",
      about.cpu_count, options_.duration ? "for " + show(options_.duration) : show(options_.duration),
      about.ring_bytes / 1024, name_of(about.process_registration), name_of(about.thread_registration),
      name_of(about.image_registration));
}

void live_session::start() { live_.start(); }

void live_session::stop() {
  try {
    live_.stop();
  } catch (const live::live_error& error) {
    failure_ = error.what();
  }
}

std::optional<std::string> live_session::failure() { return failure_ ? failure_ : live_.failure(); }

std::optional<raised_callbacks> live_session::raised() {
  const sim::raised_counts counts = sim::raised();
  return raised_callbacks{{{event_type_process_create, counts.process_create},
                           {event_type_process_exit, counts.process_exit},
                           {event_type_thread_create, counts.thread_create},
                           {event_type_thread_exit, counts.thread_exit},
                           {event_type_image_load, counts.image_load}},
                          0};
}

std::vector<std::string> live_session::notes() {
  std::vector<std::string> lines = live_.statistics().summary();
  lines.push_back("Linux has no registry: there are no registry events");
  return lines;
}

}  // namespace sluice::tool
