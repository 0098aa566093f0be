// One block of a recording: packed and checksummed for writing, checked and unpacked for reading. One thread
// at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "consumers/recording/format.h"

namespace sluice::recording {

uint32_t crc32(std::span<const uint8_t> bytes);

template <class layout>
std::span<const uint8_t> bytes_of(const layout& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

// Of any layout that ends in `uint32_t checksum`.
template <class layout>
uint32_t checksum_of(const layout& value) {
  return crc32(bytes_of(value).first(offsetof(layout, checksum)));
}

class block_packer {
 public:
  block_packer();
  // The whole block, ready to be written. Sets the sizes, flags and checksums of `header`; the rest is the
  // caller's. Valid until the next call. Throws std::bad_alloc, std::runtime_error (zstd).
  std::span<const uint8_t> pack(block_header& header, std::span<const uint8_t> content);

 private:
  struct free_context {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, free_context> context_;  // ZSTD_CCtx
  std::vector<uint8_t> block_;
};

class block_unpacker {
 public:
  block_unpacker();
  // The content, valid until the next call. `error` says what is wrong with the stored bytes; then the result
  // is empty.
  std::span<const uint8_t> unpack(const block_header& header, std::span<const uint8_t> stored_untrusted,
                                  std::string& error);

 private:
  struct free_context {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, free_context> context_;  // ZSTD_DCtx
  std::vector<uint8_t> content_;
};

// What is wrong with a header that was read; empty: it may be used.
std::string wrong_with(const block_header& header_untrusted, uint64_t file_id);

}  // namespace sluice::recording
