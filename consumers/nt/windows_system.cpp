#include "consumers/nt/windows_system.h"

#include <windows.h>

#include "consumers/nt/windows_device.h"
#include "consumers/nt/windows_port.h"

namespace sluice {
namespace {

class this_machine : public nt_system {
 public:
  nt_status open_device(std::u16string_view name, std::unique_ptr<nt_device>& opened) override {
    return open_windows_device(name, opened);
  }
  nt_status connect_port(std::u16string_view name, std::span<const uint8_t> context,
                         std::unique_ptr<nt_port>& connected) override {
    return connect_windows_port(name, context, connected);
  }
  uint64_t counter() override {
    LARGE_INTEGER now{};
    ::QueryPerformanceCounter(&now);
    return static_cast<uint64_t>(now.QuadPart);
  }
};

}  // namespace

std::shared_ptr<nt_system> windows_system() { return std::make_shared<this_machine>(); }

}  // namespace sluice
