#include "kernel_port/sim/memory_file.h"

#include <fcntl.h>
#include <ntifs.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace sluice::sim {

memory_file::memory_file(const std::string& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), path);
}

memory_file::~memory_file() {
  for (const auto& [block, where] : blocks_) ::munmap(block, where.bytes);
  ::close(descriptor_);
  ::unlink(path_.c_str());
}

void* memory_file::allocate(size_t bytes) {
  const uint64_t rounded = (bytes + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
  internal_lock lock(mutex_);
  const uint64_t offset = find_room(rounded);
  if (const int error = ::posix_fallocate(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(rounded)); error != 0) {
    error_.store(error, std::memory_order_relaxed);
    give_back({offset, rounded});
    return nullptr;
  }
  void* const block = ::mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, static_cast<off_t>(offset));
  if (block == MAP_FAILED) {
    error_.store(errno, std::memory_order_relaxed);
    give_back({offset, rounded});
    return nullptr;
  }
  blocks_[block] = {offset, rounded};
  return block;
}

bool memory_file::free(void* block) {
  internal_lock lock(mutex_);
  const auto found = blocks_.find(block);
  if (found == blocks_.end()) return false;
  const place where = found->second;
  blocks_.erase(found);
  // Nothing of it is taken for something that lives, and the next owner finds zeros. Where holes cannot be made, by storing.
  if (::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(where.offset),
                  static_cast<off_t>(where.bytes)) != 0) {
    ::memset(block, 0, where.bytes);
  }
  ::munmap(block, where.bytes);
  give_back(where);
  return true;
}

// First fit; otherwise at the end.
uint64_t memory_file::find_room(uint64_t bytes) {
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    const auto [offset, size] = *it;
    if (size < bytes) continue;
    free_.erase(it);
    if (size > bytes) free_.emplace(offset + bytes, size - bytes);
    return offset;
  }
  const uint64_t offset = end_;
  end_ += bytes;
  return offset;
}

void memory_file::give_back(place room) {
  auto next = free_.lower_bound(room.offset);
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == room.offset) {
      room = {before->first, before->second + room.bytes};
      free_.erase(before);
    }
  }
  if (next != free_.end() && room.offset + room.bytes == next->first) {
    room.bytes += next->second;
    free_.erase(next);
  }
  free_.emplace(room.offset, room.bytes);
}

}  // namespace sluice::sim
