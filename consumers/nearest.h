// For messages about a word that is not known: which one was probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sluice {

// The one of `known` that is nearest to `word`, if it is near: a slip of the keys. Empty: none is.
std::string_view nearest(std::string_view word, std::span<const std::string> known);

}  // namespace sluice
