// A machine with the driver loaded, served on a socket of its own, in this process.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "consumers/nt/socket_system.h"
#include "kernel_port/sim/host/machine_host.h"
#include "tests/consumers/temporary_directory.h"
#include "tests/eventually.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice::test {

struct hosted_machine : testing::Test {
  explicit hosted_machine(const sim::machine_options& of_machine = {}, sim::host_options of_host = {})
      : machine(of_machine), path(directory.path() + "/machine.socket") {
    EXPECT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS);
    of_host.path = path;
    host = std::make_unique<sim::machine_host>(machine, std::move(of_host));
  }
  ~hosted_machine() override {
    host.reset();
    if (loaded) {
      EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS);
    }
  }

  std::shared_ptr<nt_system> connect() const { return connect_system(path); }
  void load_images(uint32_t count, uint32_t pid = 4) {
    sim::activity here(machine, 0, pid, 8);
    for (uint32_t i = 0; i < count; ++i) sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
  }

  temporary_directory directory;
  sim::machine machine;
  const std::string path;
  bool loaded = true;
  std::unique_ptr<sim::machine_host> host;
};

}  // namespace sluice::test
