#include "consumers/tool/snapshot_session.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "consumers/snapshot/new_file.h"

namespace sluice::tool {

snapshot_session::snapshot_session(session& watched, const std::string& path, const snapshot_signal& asked)
    : surrounding_session(watched), path_(path), asked_(asked) {
  if (::access(path.c_str(), F_OK) == 0) throw std::system_error(EEXIST, std::generic_category(), path);
  const new_file can_be_made(path);
  end_ = eventfd(0, EFD_CLOEXEC);
  if (end_ < 0) throw std::system_error(errno, std::generic_category(), "snapshots");
}

snapshot_session::~snapshot_session() {
  end_thread();
  ::close(end_);
}

std::string snapshot_session::title() {
  return watched_.title() + fmt::format("\nsluice: snapshots of the rings: {}, at SIGUSR1 to process {} and at the end", path_, ::getpid());
}

void snapshot_session::start() {
  watched_.start();
  thread_ = std::thread(&snapshot_session::run, this);
}

void snapshot_session::stop() {
  watched_.stop();
  wants_last_ = true;
  end_thread();
}

void snapshot_session::end_thread() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  (void)!::write(end_, &one, sizeof one);
  thread_.join();
}

void snapshot_session::run() {
  for (;;) {
    pollfd ready[2] = {{asked_.descriptor(), POLLIN, 0}, {end_, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;  // EINTR
    if (ready[0].revents != 0 && asked_.take()) write_one();
    if (ready[1].revents == 0) continue;
    if (wants_last_.load()) write_one();
    return;
  }
}

void snapshot_session::write_one() {
  bool written = false;
  const auto tell_of_failure = [&](const char* why) {
    failed_ = true;
    tell(written ? fmt::format("a snapshot was written, and where could not be told: {}", why)
                 : fmt::format("no snapshot was written: {}; everything else goes on", why));
  };
  try {
    const snapshot taken = take_snapshot(source());  // first: the rings go on
    new_file file(path_);
    write_image(taken, file);
    const std::string name = file.finish();
    written = true;
    tell(fmt::format("snapshot in {}: {}", name, describe(taken)));
  } catch (const std::bad_alloc&) {
    tell_of_failure("out of memory");
  } catch (const std::exception& error) {
    tell_of_failure(error.what());
  }
}

void snapshot_session::tell(std::string line) {
  const std::lock_guard lock(mutex_);
  news_.push_back(std::move(line));
}

std::vector<std::string> snapshot_session::take_news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

}  // namespace sluice::tool
