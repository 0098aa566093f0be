#include <gtest/gtest.h>
#include <unistd.h>

#include "consumers/nt/simulated_system.h"
#include "tests/conformance/machine.h"
#include "tests/consumers/hosted_machine.h"

namespace sluice::test {
namespace {

constexpr uint32_t processors = 2;

class in_process : public machine {
 public:
  explicit in_process(const machine_choice& what)
      : machine_([&] {
          sim::machine_options options;
          options.processors = processors;
          options.service_parameters = {{u"sluice", u"RingBytes", what.ring_bytes}};
          options.shared_memory = what.maps;
          return options;
        }()) {}

  bool load() override {
    const NTSTATUS status = machine_.load_driver("sluice", &DriverEntry);
    EXPECT_EQ(status, STATUS_SUCCESS);
    return status == STATUS_SUCCESS;
  }
  nt_status unload() override { return machine_.unload_driver("sluice"); }
  bool open_handles_keep_the_driver() const override { return true; }
  std::shared_ptr<nt_system> system() override { return simulated_system(machine_, pid()); }
  uint32_t pid() const override { return 4242; }
  uint32_t clients() override { return 0; }  // closed when the call that closes has returned
  uint32_t cpus() const override { return processors; }

  void load_images(uint64_t first_base, uint32_t count, uint32_t cpu, uint32_t pid) override {
    sim::activity here(machine_, cpu, pid, 8);
    for (uint32_t i = 0; i < count; ++i) {
      sim::load_image({.pid = pid, .base = first_base + i, .path = u"\\Device\\HarddiskVolume1\\Windows\\System32\\some.dll"});
    }
  }
  uint64_t raised_images() override { return sim::raised().image_load; }

 protected:
  sim::machine machine_;
};

// As another process would: everything but the process is another one's.
class by_socket : public in_process {
 public:
  explicit by_socket(const machine_choice& what) : in_process(what) {
    sim::host_options options;
    options.path = path_;
    host_ = std::make_unique<sim::machine_host>(machine_, std::move(options));
  }
  std::shared_ptr<nt_system> system() override { return connect_system(path_); }
  uint32_t pid() const override { return static_cast<uint32_t>(::getpid()); }
  uint32_t clients() override { return host_->connections(); }

 private:
  temporary_directory directory_;
  const std::string path_ = directory_.path() + "/machine.socket";
  std::unique_ptr<sim::machine_host> host_;
};

}  // namespace

std::vector<reach_kind> all_reaches() { return {reach_kind::in_process, reach_kind::by_socket}; }

std::unique_ptr<machine> make_machine(reach_kind how, const machine_choice& what) {
  if (how == reach_kind::by_socket) return std::make_unique<by_socket>(what);
  return std::make_unique<in_process>(what);
}

}  // namespace sluice::test
