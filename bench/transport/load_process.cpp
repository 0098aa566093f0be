#include "bench/transport/load_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

extern char** environ;

namespace sluice::bench {
namespace {

[[noreturn]] void give_up(const char* why) {
  std::fprintf(stderr, "sluice_bench: transport_load_host: %s\n", why);
  std::exit(1);
}

}  // namespace

load_process::load_process(uint64_t ring_bytes)
    : name_(std::filesystem::temp_directory_path() / ("sluice-bench-" + std::to_string(::getpid()) + ".socket")) {
  ::signal(SIGPIPE, SIG_IGN);
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) give_up("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "transport_load_host";
  std::string bytes = std::to_string(ring_bytes);
  char* arguments[] = {program.data(), name_.data(), bytes.data(), nullptr};
  const int failed = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  to_ = in[1];
  from_ = out[0];
  if (failed != 0 || line() != "ready") give_up("did not start");
}

load_process::~load_process() {
  ::close(to_);
  ::close(from_);
  int status = 0;
  ::waitpid(pid_, &status, 0);
}

void load_process::send(const std::string& command) {
  const std::string text = command + "\n";
  if (::write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) give_up("has gone");
}

uint64_t load_process::answer() {
  const std::string text = line();
  if (!text.starts_with("done ")) give_up("does not answer");
  return std::strtoull(text.c_str() + 5, nullptr, 10);
}

bool load_process::answered() const {
  pollfd waiting{from_, POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

std::string load_process::line() {
  std::string text;
  for (char byte; ::read(from_, &byte, 1) == 1 && byte != '\n';) text += byte;
  return text;
}

double load_process::processor_seconds() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  std::string word;
  std::getline(file, word, ')');
  for (int field = 3; field < 14; ++field) file >> word;
  double user = 0, system = 0;
  file >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

namespace {

std::unique_ptr<load_process> load;

}  // namespace

load_process& the_load() {
  if (!load) load = std::make_unique<load_process>();
  return *load;
}

double load_processor_seconds() { return load ? load->processor_seconds() : 0; }

}  // namespace sluice::bench
