#include "consumers/recording/block.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>
#include <new>
#include <stdexcept>

namespace sluice::recording {
namespace {

constexpr int compression_level = 3;

ZSTD_CCtx* compressor(void* context) {
  return static_cast<ZSTD_CCtx*>(context);
}
ZSTD_DCtx* decompressor(void* context) {
  return static_cast<ZSTD_DCtx*>(context);
}

}  // namespace

uint32_t crc32(std::span<const uint8_t> bytes) {
  return static_cast<uint32_t>(::crc32_z(0, bytes.data(), bytes.size()));
}

void block_packer::free_context::operator()(void* context) const {
  ZSTD_freeCCtx(compressor(context));
}
void block_unpacker::free_context::operator()(void* context) const {
  ZSTD_freeDCtx(decompressor(context));
}

block_packer::block_packer() : context_(ZSTD_createCCtx()) {
  if (context_ == nullptr) throw std::bad_alloc();
}

std::span<const uint8_t> block_packer::pack(block_header& header, std::span<const uint8_t> content) {
  if (content.size() > max_content_bytes) {
    throw std::runtime_error(
        fmt::format("a block of {} bytes; at most {}", content.size(), max_content_bytes));
  }
  block_.resize(sizeof header + padded(ZSTD_compressBound(content.size())));
  uint8_t* const stored = block_.data() + sizeof header;
  size_t stored_bytes = ZSTD_compressCCtx(compressor(context_.get()), stored, block_.size() - sizeof header,
                                          content.data(), content.size(), compression_level);
  if (ZSTD_isError(stored_bytes)) {
    throw std::runtime_error(fmt::format("compressing a block: {}", ZSTD_getErrorName(stored_bytes)));
  }
  header.flags &= static_cast<uint8_t>(~block_flag_plain);
  if (stored_bytes >= content.size()) {
    header.flags |= block_flag_plain;
    stored_bytes = content.size();
    if (!content.empty()) std::memcpy(stored, content.data(), content.size());
  }
  header.magic = block_magic;
  header.header_bytes = sizeof header;
  header.stored_bytes = static_cast<uint32_t>(stored_bytes);
  header.content_bytes = static_cast<uint32_t>(content.size());
  header.stored_checksum = crc32({stored, stored_bytes});
  header.checksum = checksum_of(header);
  std::memcpy(block_.data(), &header, sizeof header);
  block_.resize(sizeof header + padded(stored_bytes));
  std::memset(stored + stored_bytes, 0, padded(stored_bytes) - stored_bytes);
  return block_;
}

block_unpacker::block_unpacker() : context_(ZSTD_createDCtx()) {
  if (context_ == nullptr) throw std::bad_alloc();
}

std::span<const uint8_t> block_unpacker::unpack(const block_header& header,
                                                std::span<const uint8_t> stored_untrusted,
                                                std::string& error) {
  error.clear();
  if (stored_untrusted.size() != header.stored_bytes) {
    error =
        fmt::format("the file ends after {} of its {} bytes", stored_untrusted.size(), header.stored_bytes);
    return {};
  }
  if (crc32(stored_untrusted) != header.stored_checksum) {
    error = "its bytes do not match their checksum";
    return {};
  }
  if ((header.flags & block_flag_plain) != 0)
    return stored_untrusted;  // wrong_with() has compared the two sizes
  content_.resize(header.content_bytes);
  const size_t bytes = ZSTD_decompressDCtx(decompressor(context_.get()), content_.data(), content_.size(),
                                           stored_untrusted.data(), stored_untrusted.size());
  if (ZSTD_isError(bytes)) {
    error = fmt::format("it does not decompress: {}", ZSTD_getErrorName(bytes));
    return {};
  }
  if (bytes != header.content_bytes) {
    error = fmt::format("it decompresses to {} bytes, not {}", bytes, header.content_bytes);
    return {};
  }
  return content_;
}

std::string wrong_with(const block_header& header_untrusted, uint64_t file_id) {
  const block_header& h = header_untrusted;
  if (h.magic != block_magic) return "there is no block";
  if (checksum_of(h) != h.checksum) return "the block's header does not match its checksum";
  if (h.file_id != file_id) return "the block belongs to another recording";
  // What follows was written so, or is the work of somebody who can compute a checksum.
  if (h.header_bytes != sizeof h) return fmt::format("a block header of {} bytes", h.header_bytes);
  if (h.content_bytes > max_content_bytes || h.stored_bytes > max_content_bytes) {
    return fmt::format("a block of {} bytes ({} stored); at most {}", h.content_bytes, h.stored_bytes,
                       max_content_bytes);
  }
  if ((h.flags & block_flag_plain) != 0 && h.stored_bytes != h.content_bytes) {
    return fmt::format("a plain block of {} bytes, {} stored", h.content_bytes, h.stored_bytes);
  }
  if (h.first_time > h.last_time) return "a block whose first time is after its last";
  return {};
}

}  // namespace sluice::recording
