// A directory of this test's own, empty again when the object goes.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

namespace sluice::test {

class temporary_directory {
 public:
  temporary_directory() { EXPECT_NE(::mkdtemp(name_), nullptr); }
  ~temporary_directory() { ::rmdir(name_); }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  std::string path() const { return name_; }

 private:
  char name_[32] = "/tmp/sluice_test_XXXXXX";
};

}  // namespace sluice::test
