#include "consumers/image/image_memory.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::image {
namespace {

constexpr uint64_t table_step = 4096;  // program headers read at once

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw image_error(fmt::format("{}: {}", path, what));
}

int open_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, std::strerror(errno));
  return descriptor;
}

}  // namespace

image_memory::image_memory(const std::string& path) : path_(path), descriptor_(open_file(path)) {
  try {
    struct stat about {};
    if (::fstat(descriptor_, &about) != 0) fail(path, std::strerror(errno));
    if (S_ISDIR(about.st_mode)) fail(path, std::strerror(EISDIR));
    const off_t end = S_ISREG(about.st_mode) ? about.st_size : ::lseek(descriptor_, 0, SEEK_END);
    if (end < 0) fail(path, "not a file that can be read at any place; an image is");
    file_bytes_ = static_cast<uint64_t>(end);

    unsigned char identification[EI_NIDENT] = {};
    if (read_file(0, identification) == sizeof identification && std::memcmp(identification, ELFMAG, SELFMAG) == 0) {
      if (identification[EI_CLASS] != ELFCLASS64 || identification[EI_DATA] != ELFDATA2LSB) {
        fail(path, "an ELF file that is not 64-bit and little-endian; core files of such processes are read");
      }
      kind_ = image_kind::core;
      Elf64_Ehdr header;
      if (read_file(0, {reinterpret_cast<uint8_t*>(&header), sizeof header}) != sizeof header) {
        fail(path, "a core file that is cut within its first header");
      }
      if (header.e_type != ET_CORE) fail(path, "an ELF file, but not a core file");
      read_core();
    } else if (file_bytes_ != 0) {
      segments_.push_back({0, 0, file_bytes_});
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

image_memory::~image_memory() { ::close(descriptor_); }

void image_memory::read_core() {
  Elf64_Ehdr header;
  (void)read_file(0, {reinterpret_cast<uint8_t*>(&header), sizeof header});
  uint64_t count = header.e_phnum;
  if (count == PN_XNUM) {  // more than fit there: the number stands in the first section header
    Elf64_Shdr section{};
    if (read_file(header.e_shoff, {reinterpret_cast<uint8_t*>(&section), sizeof section}) == sizeof section) {
      count = section.sh_info;
    }
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr)) {
    faults_.push_back(fmt::format("program headers of {} bytes; they have {}", header.e_phentsize, sizeof(Elf64_Phdr)));
    return;
  }
  const uint64_t room = header.e_phoff < file_bytes_ ? (file_bytes_ - header.e_phoff) / sizeof(Elf64_Phdr) : 0;
  if (count > room) {
    faults_.push_back(fmt::format("{} program headers, and room for {} in the file", count, room));
    count = room;
  }

  uint64_t cut_bytes = 0, cut_segments = 0;
  std::vector<Elf64_Phdr> table;
  for (uint64_t done = 0; done < count; done += table.size()) {
    table.resize(std::min(table_step, count - done));
    const std::span<uint8_t> bytes(reinterpret_cast<uint8_t*>(table.data()), table.size() * sizeof(Elf64_Phdr));
    if (read_file(header.e_phoff + done * sizeof(Elf64_Phdr), bytes) != bytes.size()) break;
    for (const Elf64_Phdr& program : table) {
      if (program.p_type != PT_LOAD || program.p_filesz == 0) continue;
      uint64_t size = std::min(program.p_filesz, program.p_memsz);
      if (program.p_vaddr + size < program.p_vaddr) {
        faults_.push_back(fmt::format("a segment at 0x{:x} of {} bytes goes past the last address", program.p_vaddr, size));
        continue;
      }
      const uint64_t here = program.p_offset < file_bytes_ ? file_bytes_ - program.p_offset : 0;
      if (size > here) {
        ++cut_segments;
        cut_bytes += size - here;
        size = here;
      }
      if (size != 0) segments_.push_back({program.p_vaddr, program.p_offset, size});
    }
  }
  if (cut_segments != 0) {
    faults_.push_back(fmt::format("the core file is cut: {} bytes of {} segments are missing", cut_bytes, cut_segments));
  }

  std::stable_sort(segments_.begin(), segments_.end(),
                   [](const segment& a, const segment& b) { return a.address < b.address; });
  uint64_t end = 0, overlapping = 0;
  std::erase_if(segments_, [&](const segment& piece) {
    if (piece.address < end) {
      ++overlapping;
      return true;
    }
    end = piece.address + piece.bytes;
    return false;
  });
  if (overlapping != 0) {
    faults_.push_back(fmt::format("{} segments overlap others at a lower address, and are not read", overlapping));
  }
}

size_t image_memory::read_file(uint64_t offset, std::span<uint8_t> to) const {
  size_t done = 0;
  while (done < to.size() && offset + done < file_bytes_) {
    const ssize_t n = ::pread(descriptor_, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    // Not damage: what stands there is not known.
    if (n < 0) fail(path_, fmt::format("at offset {}: {}", offset + done, std::strerror(errno)));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

void image_memory::read(uint64_t address, std::span<uint8_t> to) const {
  std::vector<byte_range> missing;
  read(address, to, missing);
  for (const byte_range& range : missing) std::memset(to.data() + (range.begin - address), 0, range.end - range.begin);
}

void image_memory::read(uint64_t address, std::span<uint8_t> to, std::vector<byte_range>& missing) const {
  const uint64_t end = to.size() > ~address ? ~uint64_t{0} : address + to.size();
  uint64_t at = address;
  const auto leave_out = [&](uint64_t until) {
    if (until <= at) return;
    if (!missing.empty() && missing.back().end == at) {
      missing.back().end = until;
    } else {
      missing.push_back({at, until});
    }
    at = until;
  };
  auto piece = std::upper_bound(segments_.begin(), segments_.end(), address,
                                [](uint64_t a, const segment& s) { return a < s.address; });
  if (piece != segments_.begin()) --piece;
  for (; piece != segments_.end() && piece->address < end; ++piece) {
    const uint64_t piece_end = std::min(piece->address + piece->bytes, end);
    if (piece_end <= at) continue;
    leave_out(std::max(piece->address, at));
    const size_t n = read_file(piece->offset + (at - piece->address), to.subspan(at - address, piece_end - at));
    at += n;
    leave_out(piece_end);
  }
  leave_out(end);
}

uint64_t image_memory::skip_hole(const segment& piece, uint64_t address) const {
  const uint64_t offset = piece.offset + (address - piece.address);
  const off_t data = ::lseek(descriptor_, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return errno == ENXIO ? piece.address + piece.bytes : address;  // nothing but a hole; or nobody knows
  return std::min(address + (static_cast<uint64_t>(data) - offset), piece.address + piece.bytes);
}

std::string image_memory::guess() const {
  uint8_t first[8] = {};
  (void)read_file(0, first);
  const auto starts = [&](std::initializer_list<uint8_t> bytes) { return std::equal(bytes.begin(), bytes.end(), first); };
  if (starts({0x28, 0xb5, 0x2f, 0xfd})) return "it is compressed (zstd): decompress it first";
  if (starts({0x04, 0x22, 0x4d, 0x18})) return "it is compressed (lz4): decompress it first";
  if (starts({0x1f, 0x8b})) return "it is compressed (gzip): decompress it first";
  if (starts({0xfd, '7', 'z', 'X', 'Z'})) return "it is compressed (xz): decompress it first";
  if (starts({'S', 'L', 'U', 'I', 'C', 'E', 'R', '\n'})) return "it is a recording of sluice: --source file:FILE reads it";
  return {};
}

}  // namespace sluice::image
