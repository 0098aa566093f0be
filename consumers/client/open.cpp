#include "consumers/client/open.h"

#include <fmt/format.h>

#include "consumers/client/system_by_name.h"
#include "consumers/device_source.h"
#include "consumers/mapping_source.h"
#include "consumers/port_source.h"

namespace sluice {
namespace {

std::shared_ptr<event_source> make(const std::shared_ptr<nt_system>& system, const client_options& what, transport by) {
  if (by == transport::port) {
    return std::make_shared<port_source>(
        system, port_source::wishes{what.types, what.without_own_process, what.client_name});
  }
  if (what.without_own_process) {
    throw source_error(fmt::format("leaving the own process out is the port's work; this client asks for {}", name_of(by)));
  }
  if (by == transport::ioctl) return std::make_shared<device_source>(system);
  return std::make_shared<mapping_source>(system);
}

// There is no port, or none that has room for anything but itself: a kernel without a filter manager, a driver that is no filter.
bool has_no_port(nt_status status) {
  return status == nt::object_name_not_found || status == nt::not_supported || status == nt::invalid_device_request;
}

}  // namespace

std::shared_ptr<nt_system> reach_system(const client_options& what) {
  return what.system != nullptr ? what.system : system_by_name(what.name);
}

opened_source open_source(const client_options& what) {
  const std::shared_ptr<nt_system>& system = what.system;
  opened_source opened{nullptr, what.by, {}, {}};
  if (what.by == transport::automatic) {
    try {
      opened.source = make(system, what, transport::port);
      opened.by = transport::port;
    } catch (const nt_error& error) {
      if (!has_no_port(error.status()) || what.without_own_process) throw;
      opened.by = transport::ioctl;
    }
  }
  if (opened.source == nullptr) opened.source = make(system, what, opened.by);
  opened.about = opened.source->capabilities();
  opened.own_types = opened.source->types();
  return opened;
}

}  // namespace sluice
