// A file of given content, there as long as the object.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

namespace sluice::test {

class file_on_disk {
 public:
  explicit file_on_disk(std::span<const uint8_t> content) {
    const int descriptor = ::mkstemp(name_);
    size_t done = 0;
    while (done < content.size()) {
      const ssize_t n = ::write(descriptor, content.data() + done, content.size() - done);
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    EXPECT_EQ(done, content.size());
    ::close(descriptor);
  }
  ~file_on_disk() { ::unlink(name_); }
  file_on_disk(const file_on_disk&) = delete;
  file_on_disk& operator=(const file_on_disk&) = delete;
  std::string path() const { return name_; }

 private:
  char name_[32] = "/tmp/sluice_test_XXXXXX";
};

}  // namespace sluice::test
