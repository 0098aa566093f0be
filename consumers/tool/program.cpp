#include "consumers/tool/program.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <system_error>

#include "consumers/os/output.h"
#include "consumers/tool/command_line.h"

namespace sluice::tool {
namespace {

constexpr int standard_error = 2;

// Allocates nothing.
void say_plainly(std::string_view what) {
  (void)os::write_all(standard_error, "sluice: ");
  (void)os::write_all(standard_error, what);
  (void)os::write_all(standard_error, "\n");
}

// std::thread says no more than that.
const char* what_could_not(const std::system_error& error) {
  return error.code() == std::errc::resource_unavailable_try_again ? "a thread could not be started: " : "";
}

[[noreturn]] void end_at_once() {
  if (const std::exception_ptr current = std::current_exception()) {
    try {
      std::rethrow_exception(current);
    } catch (const std::bad_alloc&) {
      say_plainly("out of memory");
      std::_Exit(exit_wrong_use);
    } catch (const std::system_error& error) {
      (void)os::write_all(standard_error, "sluice: ");
      (void)os::write_all(standard_error, what_could_not(error));
      (void)os::write_all(standard_error, error.what());
      (void)os::write_all(standard_error, "\n");
      std::_Exit(exit_wrong_use);
    } catch (const std::exception& error) {
      say_plainly(error.what());
    } catch (...) {
    }
  }
  std::abort();  // a defect
}

// 0, or the error number; what was printed is out.
int flush_stdout() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  return errno != 0 ? errno : EIO;
}

}  // namespace

int run_program(const std::function<int()>& run, const std::function<std::string(const std::exception&)>& explain) {
  std::set_terminate(&end_at_once);
  int exit_code = exit_wrong_use;
  try {
    exit_code = run();
  } catch (const std::bad_alloc&) {
    say_plainly("out of memory");
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) != 0 && error.code().value() == EPIPE) return exit_ok;  // by fmt::print
    std::fprintf(stderr, "sluice: %s%s\n", what_could_not(error), error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: %s%s\n", error.what(), explain ? explain(error).c_str() : "");
  }
  const int error = flush_stdout();
  if (error == 0 || error == EPIPE || exit_code != exit_ok) return exit_code;
  std::fprintf(stderr, "sluice: stdout could not be written: %s\n", std::strerror(error));
  return exit_wrong_use;
}

}  // namespace sluice::tool
