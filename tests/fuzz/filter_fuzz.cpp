// Reads any bytes as a filter file, and makes the message of it. Errors lie in the file; what compiles is what the driver takes.
#include <cstdlib>
#include <string_view>

#include "consumers/filter/describe.h"
#include "consumers/filter/load.h"
#include "producers/filter_validation.h"
#include "tests/fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::filter;
  const sluice::fuzz::input_file file({data, size});
  diagnostics found;
  sluice::type_names names;
  const configuration said = load(file.path(), found);
  const rules filter = check(said, names, own_types::unknown, found);
  const auto message = found.errors() == 0 ? compile(filter, found) : std::nullopt;
  (void)report(file.path(), found);
  (void)describe(filter, names);
  for (const diagnostic& one : found.sorted()) {
    // A place is one of the file's: a line and a column, or neither.
    if ((one.at.line == 0) != (one.at.column == 0) || one.at.line > size + 1 || one.at.column > size + 2) std::abort();
    if (one.what.empty() || one.what.find('\n') != std::string::npos) std::abort();
  }
  if (message) {
    const auto size_of_message = static_cast<uint32_t>(message->bytes.size());
    if (sluice::validate_filter(message->bytes.data(), size_of_message).error != sluice::filter_error::none) std::abort();
  }
  return 0;
}
