// One run of socket_peer (socket_peer.cpp), killed and waited for when the object goes.
#pragma once

#include <gtest/gtest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

extern char** environ;

namespace sluice::test {

class peer_process {
 public:
  explicit peer_process(std::vector<std::string> words) {
    words.insert(words.begin(), SLUICE_SOCKET_PEER);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    EXPECT_EQ(::posix_spawn(&pid_, SLUICE_SOCKET_PEER, &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    out_ = ::fdopen(ends[0], "r");
  }
  ~peer_process() {
    kill();
    std::fclose(out_);
  }
  peer_process(const peer_process&) = delete;
  peer_process& operator=(const peer_process&) = delete;

  pid_t pid() const { return pid_; }
  // Waits for it. Empty: it has ended.
  std::string line() {
    char text[256];
    if (std::fgets(text, sizeof text, out_) == nullptr) return {};
    std::string read = text;
    while (!read.empty() && read.back() == '\n') read.pop_back();
    return read;
  }
  // Its exit code, when it has ended by itself.
  int join() {
    int how = 0;
    EXPECT_EQ(::waitpid(pid_, &how, 0), pid_);
    running_ = false;
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
  }
  // Returns when it has stopped itself.
  void wait_until_stopped() {
    int how = 0;
    EXPECT_EQ(::waitpid(pid_, &how, WUNTRACED), pid_);
    EXPECT_TRUE(WIFSTOPPED(how));
  }
  void kill() {
    if (!running_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    running_ = false;
  }

 private:
  pid_t pid_ = -1;
  bool running_ = true;
  std::FILE* out_ = nullptr;
};

}  // namespace sluice::test
