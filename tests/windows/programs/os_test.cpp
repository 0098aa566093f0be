// What is asked of the system besides the kernel's calls: output, files, something to wait for.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <io.h>
#include <windows.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "consumers/os/input_file.h"
#include "consumers/os/output.h"
#include "consumers/os/readiness.h"
#include "consumers/os/windows/wide.h"

namespace sluice::os {
namespace {

struct temporary_file {
  temporary_file() : path(std::filesystem::temp_directory_path() / (L"sluice-\u0444-" + std::to_wstring(::GetCurrentProcessId()))) {}
  ~temporary_file() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  const std::filesystem::path path;
};

TEST(output, is_written_as_it_is) {
  const temporary_file file;
  const int descriptor = ::_wopen(file.path.c_str(), _O_WRONLY | _O_CREAT | _O_TRUNC | _O_TEXT, 0600);
  ASSERT_GE(descriptor, 0);
  EXPECT_EQ(write_all(descriptor, "a\nb\r\n"), 0);
  ::_close(descriptor);
  std::ifstream in(file.path, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "a\nb\r\n");
}

TEST(output, notices_that_its_reader_has_gone) {
  HANDLE reading = nullptr, writing = nullptr;
  ASSERT_TRUE(::CreatePipe(&reading, &writing, nullptr, 0));
  const int descriptor = ::_open_osfhandle(reinterpret_cast<intptr_t>(writing), 0);
  EXPECT_EQ(write_all(descriptor, "taken"), 0);
  ::CloseHandle(reading);
  EXPECT_EQ(write_all(descriptor, "not taken"), EPIPE);
  EXPECT_FALSE(is_terminal(descriptor));
  EXPECT_FALSE(takes_colours(descriptor));
  ::_close(descriptor);
}

TEST(input_file, is_read_whole_whatever_its_name) {
  const temporary_file file;
  std::ofstream(file.path, std::ios::binary) << "one\r\ntwo\x1a three";
  input_file in(from_wide(file.path.wstring()));
  ASSERT_EQ(in.error(), 0);
  std::string text;
  char buffer[4];
  while (const size_t n = in.read(buffer)) text.append(buffer, n);
  EXPECT_EQ(in.error(), 0);
  EXPECT_EQ(text, "one\r\ntwo\x1a three");
}

TEST(input_file, that_is_missing_or_a_directory_says_so) {
  EXPECT_EQ(input_file("Z:\\there\\is\\nothing").error(), ENOENT);
  EXPECT_EQ(input_file(from_wide(std::filesystem::temp_directory_path().wstring())).error(), EISDIR);
}

TEST(readiness, is_shown_until_it_is_taken_back) {
  readiness ready;
  EXPECT_EQ(::WaitForSingleObject(ready.handle(), 0), static_cast<DWORD>(WAIT_TIMEOUT));
  ready.show(true);
  ready.show(true);
  EXPECT_EQ(::WaitForSingleObject(ready.handle(), 0), WAIT_OBJECT_0);
  EXPECT_EQ(::WaitForSingleObject(ready.handle(), 0), WAIT_OBJECT_0) << "looking at it changes nothing";
  ready.show(false);
  EXPECT_EQ(::WaitForSingleObject(ready.handle(), 0), static_cast<DWORD>(WAIT_TIMEOUT));
}

}  // namespace
}  // namespace sluice::os
