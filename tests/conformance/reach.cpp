#include "tests/conformance/reach.h"

#include <unistd.h>

#include "consumers/nt/simulated_system.h"
#include "tests/consumers/hosted_machine.h"

namespace sluice::test {
namespace {

class in_process : public reach {
 public:
  explicit in_process(sim::machine& machine) : machine_(machine) {}
  std::shared_ptr<nt_system> system() override { return simulated_system(machine_, pid()); }
  uint32_t pid() const override { return 4242; }
  uint32_t handles() const override { return 0; }  // closed when the call that closes has returned

 private:
  sim::machine& machine_;
};

// As another process would: everything but the process is another one's.
class by_socket : public reach {
 public:
  explicit by_socket(sim::machine& machine) {
    sim::host_options options;
    options.path = path_;
    host_ = std::make_unique<sim::machine_host>(machine, std::move(options));
  }
  std::shared_ptr<nt_system> system() override { return connect_system(path_); }
  uint32_t pid() const override { return static_cast<uint32_t>(::getpid()); }
  uint32_t handles() const override { return host_->connections(); }

 private:
  temporary_directory directory_;
  const std::string path_ = directory_.path() + "/machine.socket";
  std::unique_ptr<sim::machine_host> host_;
};

}  // namespace

std::unique_ptr<reach> make_reach(reach_kind how, sim::machine& machine) {
  if (how == reach_kind::by_socket) return std::make_unique<by_socket>(machine);
  return std::make_unique<in_process>(machine);
}

}  // namespace sluice::test
