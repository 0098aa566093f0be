#include <fcntl.h>
#include <lttng/lttng.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "bench/curve/lttng.h"

extern char** environ;

namespace sluice::bench {
namespace {

constexpr char session_name[] = "sluice-curve";
constexpr char channel_name[] = "events";
constexpr char event_name[] = "sluice_curve:event";
constexpr char home_prefix[] = "/tmp/sluice-curve-lttng-";

struct free_memory {
  void operator()(void* memory) const { std::free(memory); }
};
struct destroy_handle {
  void operator()(lttng_handle* handle) const { lttng_destroy_handle(handle); }
};
using handle = std::unique_ptr<lttng_handle, destroy_handle>;

lttng_domain user_space() {
  lttng_domain domain{};
  domain.type = LTTNG_DOMAIN_UST;
  domain.buf_type = LTTNG_BUFFER_PER_UID;
  return domain;
}

void require(int status, const char* what) {
  if (status < 0) throw std::runtime_error(std::string("LTTng: ") + what + ": " + lttng_strerror(status));
}

template <class condition>
bool wait_for(condition&& holds) {
  for (int i = 0; i < 2000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

bool sees_our_tracepoint() {
  lttng_domain domain = user_space();
  const handle all(lttng_create_handle(nullptr, &domain));
  lttng_event* found = nullptr;
  const int count = all ? lttng_list_tracepoints(all.get(), &found) : 0;
  const std::unique_ptr<lttng_event, free_memory> kept(found);
  for (int i = 0; i < count; ++i) {
    if (found[i].pid == ::getpid() && std::strcmp(found[i].name, event_name) == 0) return true;
  }
  return false;
}

// Of a process: its parent and its name.
pid_t parent_of(pid_t pid, std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string word, state;
  std::getline(file, word, '(');
  std::getline(file, name, ')');
  pid_t parent = 0;
  file >> state >> parent;
  return parent;
}

}  // namespace

void lttng_daemon::prepare(char** arguments) {
  if (std::getenv("LTTNG_HOME") != nullptr) return;
  std::string home = std::string(home_prefix) + "XXXXXX";
  if (::mkdtemp(home.data()) == nullptr) return;
  ::setenv("LTTNG_HOME", home.c_str(), 1);
  // What an interrupted measurement could wait for.
  ::setenv("LTTNG_UST_REGISTER_TIMEOUT", "0", 1);
  ::execv("/proc/self/exe", arguments);
}

lttng_daemon::lttng_daemon() {
  if (lttng_session_daemon_alive() == 1) {
    why_not_ = "another LTTng session daemon is running";
    return;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  // It ends with this process, however that ends.
  char with[] = "setpriv", signal[] = "--pdeathsig=TERM", name[] = "lttng-sessiond", no_kernel[] = "--no-kernel";
  char* arguments[] = {with, signal, name, no_kernel, nullptr};
  const int failed = ::posix_spawnp(&pid_, with, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    pid_ = 0;
    why_not_ = "lttng-sessiond (lttng-tools) does not start";
  } else if (!wait_for([] { return lttng_session_daemon_alive() == 1; })) {
    why_not_ = "lttng-sessiond does not answer";
  } else if (!wait_for(&sees_our_tracepoint)) {
    why_not_ = "lttng-sessiond does not see this process's tracepoint";
  }
}

lttng_daemon::~lttng_daemon() {
  if (pid_ != 0) {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  const char* const home = std::getenv("LTTNG_HOME");
  std::error_code ignored;
  if (home != nullptr && std::string(home).starts_with(home_prefix)) std::filesystem::remove_all(home, ignored);
}

pid_t lttng_daemon::consumer() const {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    std::string name;
    if (pid > 0 && parent_of(pid, name) == pid_ && name.starts_with("lttng-consumer")) return pid;
  }
  return 0;
}

lttng_session::lttng_session(uint64_t bytes_per_cpu) {
  const char* const memory = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
  output_ = std::string(memory) + "/sluice-curve-trace-" + std::to_string(::getpid());
  require(lttng_create_session(session_name, ("file://" + output_).c_str()), "create a session");
  running_ = true;
  lttng_domain domain = user_space();
  const handle session(lttng_create_handle(session_name, &domain));
  if (!session) throw std::runtime_error("LTTng: no handle");
  const std::unique_ptr<lttng_channel, void (*)(lttng_channel*)> channel(lttng_channel_create(&domain), &lttng_channel_destroy);
  if (!channel) throw std::runtime_error("LTTng: no channel");
  std::strcpy(channel->name, channel_name);
  channel->attr.overwrite = 0;
  channel->attr.subbuf_size = bytes_per_cpu / sub_buffers;
  channel->attr.num_subbuf = sub_buffers;
  require(lttng_enable_channel(session.get(), channel.get()), "enable a channel");
  const std::unique_ptr<lttng_event, void (*)(lttng_event*)> event(lttng_event_create(), &lttng_event_destroy);
  if (!event) throw std::runtime_error("LTTng: no event");
  event->type = LTTNG_EVENT_TRACEPOINT;
  event->loglevel_type = LTTNG_EVENT_LOGLEVEL_ALL;
  std::strcpy(event->name, event_name);
  require(lttng_enable_event(session.get(), event.get(), channel_name), "enable the tracepoint");
  require(lttng_start_tracing(session_name), "start");
}

uint64_t lttng_session::stop() {
  require(lttng_stop_tracing(session_name), "stop");
  lttng_domain domain = user_space();
  const handle session(lttng_create_handle(session_name, &domain));
  lttng_channel* channels = nullptr;
  const int count = lttng_list_channels(session.get(), &channels);
  const std::unique_ptr<lttng_channel, free_memory> kept(channels);
  require(count, "list the channels");
  uint64_t discarded = 0;
  for (int i = 0; i < count; ++i) {
    if (std::strcmp(channels[i].name, channel_name) == 0) require(lttng_channel_get_discarded_event_count(&channels[i], &discarded), "count");
  }
  return discarded;
}

lttng_session::~lttng_session() {
  if (running_) lttng_destroy_session(session_name);
  std::error_code ignored;
  std::filesystem::remove_all(output_, ignored);
}

}  // namespace sluice::bench
