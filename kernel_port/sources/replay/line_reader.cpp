#include "kernel_port/sources/replay/line_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace sluice::replay {
namespace {

constexpr size_t input_bytes = 64 * 1024;
constexpr size_t piece_bytes = 256 * 1024;  // inflated at a time
constexpr int gzip_window = 15 + 16;        // zlib: the largest window, gzip wrapping

}  // namespace

struct line_reader::inflater {
  z_stream stream{};
  bool between_members = true;
  inflater() {
    if (inflateInit2(&stream, gzip_window) != Z_OK) throw std::bad_alloc();
  }
  ~inflater() { inflateEnd(&stream); }
};

line_reader::line_reader(const std::string& path) : input_(input_bytes) {
  const auto fail = [&](int error) {
    throw std::system_error(error, std::generic_category(), fmt::format("cannot read {}", path));
  };
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail(errno);
  struct stat about {};
  const int error = ::fstat(descriptor_, &about) != 0 ? errno : S_ISREG(about.st_mode) ? 0 : S_ISDIR(about.st_mode) ? EISDIR : ESPIPE;
  if (error != 0) {
    ::close(descriptor_);
    fail(error);
  }
  file_bytes_ = static_cast<uint64_t>(about.st_size);
  if (read_file() && input_end_ >= 2 && input_[0] == 0x1f && input_[1] == 0x8b) {
    inflater_ = std::make_unique<inflater>();
  }
}

line_reader::~line_reader() { ::close(descriptor_); }

// False: nothing is left, or the file cannot be read.
bool line_reader::read_file() {
  ssize_t n;
  do {
    n = ::read(descriptor_, input_.data(), input_.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) fault_ = fmt::format("at byte {}: {}", bytes_read_, std::strerror(errno));
  input_begin_ = 0;
  input_end_ = n > 0 ? static_cast<size_t>(n) : 0;
  bytes_read_ += input_end_;
  return n > 0;
}

// Appends to text_. False: nothing more comes.
bool line_reader::fill() {
  if (ended_) return false;
  if (begin_ != 0) {
    text_.erase(0, begin_);
    begin_ = 0;
  }
  if (input_begin_ == input_end_ && !read_file()) {
    ended_ = true;
    if (fault_.empty() && inflater_ && !inflater_->between_members) {
      fault_ = fmt::format("the gzip data ends in the middle, at byte {}, behind line {}", bytes_read_, line_number_);
    }
    return false;
  }
  if (!inflater_) {
    text_.append(reinterpret_cast<const char*>(input_.data()) + input_begin_, input_end_ - input_begin_);
    input_begin_ = input_end_;
    return true;
  }
  z_stream& stream = inflater_->stream;
  stream.next_in = input_.data() + input_begin_;
  stream.avail_in = static_cast<uInt>(input_end_ - input_begin_);
  const size_t before = text_.size();
  text_.resize(before + piece_bytes);
  stream.next_out = reinterpret_cast<Bytef*>(text_.data()) + before;
  stream.avail_out = piece_bytes;
  inflater_->between_members = false;
  const int status = inflate(&stream, Z_NO_FLUSH);
  text_.resize(before + piece_bytes - stream.avail_out);
  input_begin_ = input_end_ - stream.avail_in;
  if (status == Z_STREAM_END) {
    // Another member may follow; its header is checked as the first one's was.
    inflater_->between_members = true;
    inflateReset(&stream);
  } else if (status != Z_OK && status != Z_BUF_ERROR) {
    fault_ = fmt::format("damaged gzip data before byte {}, behind line {}: {}", bytes_read_ - stream.avail_in, line_number_,
                         stream.msg != nullptr ? stream.msg : "it cannot be inflated");
    ended_ = true;
  }
  return true;
}

bool line_reader::next(std::string_view& line) {
  for (size_t searched = begin_;;) {
    const size_t end = text_.find('\n', searched);
    if (end != std::string::npos) {
      ++line_number_;
      const size_t start = std::exchange(begin_, end + 1);
      if (std::exchange(skipping_, false)) {
        skipped_long_line_ = true;
        searched = begin_;
        continue;
      }
      text_.reserve(text_.size() + padding);
      line = std::string_view(text_).substr(start, end - start);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      return true;
    }
    if (text_.size() - begin_ > longest_line) {
      skipping_ = true;
      begin_ = text_.size();
    }
    const size_t kept = text_.size() - begin_;
    if (!fill()) break;
    searched = kept;
  }
  if (begin_ == text_.size()) {
    skipped_long_line_ = skipping_;
    return false;
  }
  // The last line has no end.
  ++line_number_;
  text_.reserve(text_.size() + padding);
  line = std::string_view(text_).substr(std::exchange(begin_, text_.size()));
  return true;
}

}  // namespace sluice::replay
