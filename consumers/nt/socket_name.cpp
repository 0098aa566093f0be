#include "consumers/nt/socket_name.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace sluice {
namespace {

const char* set_in_environment(const char* name) {
  const char* const value = ::secure_getenv(name);
  return value != nullptr && *value != 0 ? value : nullptr;
}

std::string runtime_directory() {
  if (const char* const given = set_in_environment("SLUICE_RUNTIME_DIR")) return given;
  if (const char* const given = set_in_environment("XDG_RUNTIME_DIR")) return std::string(given) + "/sluice";
  return "/tmp/sluice-" + std::to_string(::geteuid()) + "/sluice";
}

bool is_path(std::string_view name) { return name.find('/') != std::string_view::npos; }

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return;
  throw std::system_error(errno, std::generic_category(), "the directory of the sockets, " + path);
}

}  // namespace

std::string socket_path(std::string_view name) {
  if (is_path(name)) return std::string(name);
  const auto plain = [](char letter) { return std::isalnum(static_cast<unsigned char>(letter)) != 0; };
  const bool good = !name.empty() && plain(name.front()) && std::ranges::all_of(name, [&](char letter) {
    return plain(letter) || letter == '-' || letter == '_' || letter == '.';
  });
  if (!good) {
    throw std::invalid_argument("\"" + std::string(name) +
                                "\" is no name of a machine: letters, digits, '-', '_' and '.', or a path with a slash");
  }
  return runtime_directory() + "/" + std::string(name) + ".socket";
}

std::string make_socket_path(std::string_view name) {
  const std::string path = socket_path(name);
  if (is_path(name)) return path;
  const std::string directory = path.substr(0, path.rfind('/'));
  if (const size_t above = directory.rfind('/'); above != std::string::npos && above != 0) {
    make_directory(directory.substr(0, above));
  }
  make_directory(directory);
  // In /tmp somebody else may have been there first.
  struct stat found {};
  if (::lstat(directory.c_str(), &found) != 0) {
    throw std::system_error(errno, std::generic_category(), "the directory of the sockets, " + directory);
  }
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077) != 0) {
    throw std::runtime_error("the directory of the sockets, " + directory + ", is not this user's alone: it must be a directory of mode 0700");
  }
  return path;
}

}  // namespace sluice
