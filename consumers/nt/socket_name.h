// Where the socket of a simulated machine is, by the machine's name.
//
//   with a slash     the path itself
//   otherwise        ${SLUICE_RUNTIME_DIR:-${XDG_RUNTIME_DIR:-/tmp/sluice-UID}/sluice}/NAME.socket
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Throws std::invalid_argument: a name has letters, digits, '-', '_' and '.', and begins with a letter or a digit.
std::string socket_path(std::string_view name);

// For who serves: the same, and the directory is there, is this user's, and is nobody else's to enter. Throws std::system_error,
// std::runtime_error, std::invalid_argument.
std::string make_socket_path(std::string_view name);

}  // namespace sluice
