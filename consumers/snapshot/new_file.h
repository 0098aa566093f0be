// A file that is there whole or not at all: written under another name in the same directory, on the disk before it gets
// its own, and never in the place of another file. One thread. Throws std::system_error; then nothing is left behind.
#pragma once

#include <string>

#include "consumers/snapshot/snapshot_image.h"

namespace sluice {

class new_file : public output_place {
 public:
  explicit new_file(const std::string& path);
  ~new_file() override;
  new_file(const new_file&) = delete;
  new_file& operator=(const new_file&) = delete;

  void write(uint64_t offset, std::span<const uint8_t> bytes) override;
  void resize(uint64_t bytes) override;
  // Gives it its name: `path`, or, if a file has that, path.2, path.3 and so on. Returns the name.
  std::string finish();

 private:
  [[noreturn]] void fail() const;
  bool rename_to(const std::string& name) const;

  std::string path_;
  std::string temporary_;
  int descriptor_;
};

}  // namespace sluice
