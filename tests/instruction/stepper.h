// Stops before every single instruction of a piece of code, and can take it up again from any of them.
//
//   run(code, argument, visit)   code(argument) runs on a stack of its own with the processor's trap flag set; before each
//                                of its instructions `visit` is called
//   run_the_rest()               inside visit: what is left of the code runs now, without stops. Afterwards the code stands
//                                where it stood: registers and its stack are put back. All other memory is the caller's
//                                to save and put back. So everything that can follow an instruction is tried from it
//   abandon()                    inside visit: the code never continues; its run() returns
//
// Runs nest: visit may run other code with a stepper of its own, and from there run the rest of the outer code.
// A function given to execute_whole() is part of the test, not of the code: it runs at once and is no boundary.
//
// One thread. x86-64 Linux. The code makes no system call, throws nothing, and does not hold what visit needs (a lock).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace sluice::instruction {

// Whether this build and machine can be stepped; otherwise why not.
const char* why_not_stepped();

class stepper {
 public:
  using code = void (*)(void*);
  using whole_function = uint64_t (*)(void*, const void*);

  stepper();
  stepper(const stepper&) = delete;
  stepper& operator=(const stepper&) = delete;

  // Returns the number of boundaries visited: one before each instruction executed, the final return included.
  uint64_t run(code entry, void* argument, const std::function<void()>& visit);
  void run_the_rest();
  [[noreturn]] void abandon();

  // Boundaries visited so far in this run; where it stands, as an offset from the code's entry.
  uint64_t boundary() const { return boundary_; }
  const uint64_t* boundary_address() const { return &boundary_; }
  ptrdiff_t offset() const;

  static void execute_whole(whole_function function);

 private:
  friend struct trap_handler;
  struct stack {
    explicit stack(size_t bytes) : memory(bytes) {}
    uint8_t* end() { return memory.data() + memory.size() / 64 * 64; }
    std::vector<uint8_t> memory;
  };

  stack code_stack_;
  stack signal_stack_;
  std::vector<uint8_t> saved_stack_;
  const std::function<void()>* visit_ = nullptr;
  void* context_ = nullptr;  // ucontext_t of the boundary at hand
  code entry_ = nullptr;
  uint64_t boundary_ = 0;
};

}  // namespace sluice::instruction
