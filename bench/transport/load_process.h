// The host of the transport benchmarks as a child of this process: transport_load_host, found beside this program.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::bench {

class load_process {
 public:
  // Waits until it can be connected to; stops the program if it cannot be started.
  explicit load_process(uint64_t ring_bytes = 1 << 20);
  ~load_process();  // and waits for its end
  load_process(const load_process&) = delete;
  load_process& operator=(const load_process&) = delete;

  const std::string& name() const { return name_; }
  void send(const std::string& command);
  // The number that the oldest unanswered command was answered with.
  uint64_t answer();
  bool answered() const;  // answer() will not wait
  double processor_seconds() const;

 private:
  std::string line();

  std::string name_;
  int pid_ = -1;
  int to_ = -1;
  int from_ = -1;
};

// Started when it is first asked for, and kept until the program's end.
load_process& the_load();
// Processor time that it has used so far; 0 if it was not started.
double load_processor_seconds();

}  // namespace sluice::bench
