// A machine with the driver, served at the path of the first argument, for clients that are no C++: each line on stdin "CPU COUNT"
// loads images there, with rising bases from 1 on, and is answered with "ok". Ends with stdin.
#include <cinttypes>
#include <cstdio>

#include "kernel_port/sim/host/machine_host.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

int main(int count, char** arguments) {
  if (count != 2) return 2;
  sluice::sim::machine_options options;
  options.processors = 2;
  sluice::sim::machine machine(options);
  if (machine.load_driver("sluice", &DriverEntry) != STATUS_SUCCESS) return 1;
  {
    sluice::sim::host_options where;
    where.path = arguments[1];
    const sluice::sim::machine_host host(machine, std::move(where));
    std::puts("serving");
    std::fflush(stdout);
    uint64_t base = 0;
    uint32_t cpu = 0, images = 0;
    while (std::scanf("%" SCNu32 " %" SCNu32, &cpu, &images) == 2 && cpu < options.processors) {
      {
        sluice::sim::activity here(machine, cpu, 4, 8);
        for (uint32_t i = 0; i < images; ++i) {
          sluice::sim::load_image({.base = ++base, .path = u"\\Device\\HarddiskVolume1\\Windows\\some.dll"});
        }
      }
      std::puts("ok");
      std::fflush(stdout);
    }
  }
  return machine.unload_driver("sluice") == STATUS_SUCCESS ? 0 : 1;
}
