#include "consumers/tool/progress.h"

#include <unistd.h>

namespace sluice::tool {

progress::progress(int descriptor) : descriptor_(descriptor), terminal_(::isatty(descriptor) == 1) {}

bool progress::due() const {
  return terminal_ && std::chrono::steady_clock::now() - last_ >= std::chrono::milliseconds(500);
}

void progress::show(const std::string& line) {
  const std::string text = "\r\x1b[K" + line;
  last_ = std::chrono::steady_clock::now();
  shown_ = ::write(descriptor_, text.data(), text.size()) > 0;
}

void progress::clear() {
  if (!shown_) return;
  shown_ = false;
  (void)!::write(descriptor_, "\r\x1b[K", 4);
}

}  // namespace sluice::tool
