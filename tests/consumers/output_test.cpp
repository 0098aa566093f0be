// What goes to a descriptor arrives whole, or its failure is told.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "consumers/os/output.h"

namespace sluice {
namespace {

// The other end of what a terminal or a parent process shares may have made it non-blocking.
TEST(output, to_a_pipe_that_does_not_wait_is_written_whole) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  std::string said(1 << 20, '\0');
  for (size_t i = 0; i < said.size(); ++i) said[i] = static_cast<char>(i * 7 >> 3);
  ASSERT_LT(::fcntl(ends[1], F_GETPIPE_SZ), static_cast<int>(said.size()));
  std::string heard;
  std::thread reader([&] {
    char buffer[1000];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) heard.append(buffer, static_cast<size_t>(n));
  });
  EXPECT_EQ(os::write_all(ends[1], said), 0);
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  EXPECT_EQ(heard, said);
}

TEST(output, that_does_not_fit_is_an_error) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  EXPECT_EQ(os::write_all(full, "something"), ENOSPC);
  EXPECT_EQ(os::write_all(full, ""), 0);
  ::close(full);
  EXPECT_EQ(os::write_all(-1, "something"), EBADF);
}

}  // namespace
}  // namespace sluice
