#include "consumers/tool/file_session.h"

#include <fmt/format.h>

#include "consumers/stream_clock.h"

namespace sluice::tool {
namespace {

std::optional<uint64_t> utc_of(const std::optional<moment>& chosen, recording::file_source& source) {
  if (!chosen) return std::nullopt;
  if (!chosen->relative) return chosen->value;
  const std::optional<uint64_t> first = source.first_utc();
  if (!first)
    throw recording::recording_error(
        "the recording does not tell the time of its first event: '+' has nothing to count from");
  return *first + chosen->value;
}

}  // namespace

file_session::file_session(const watch_options& options) : path_(options.source.path), source_(path_) {
  if (options.from || options.to)
    source_.select({utc_of(options.from, source_), utc_of(options.to, source_)});
}

std::string file_session::title() {
  const recording::recording_reader& reader = source_.reader();
  return fmt::format("{}, recorded {}: {}", path_, iso8601(reader.header().created_utc), reader.title());
}

std::optional<raised_callbacks> file_session::raised() {
  const std::optional<recording::recording_end>& end = source_.reader().end();
  if (!end || end->raised.by_type.empty()) return std::nullopt;
  return end->raised;
}

std::optional<std::string> file_session::incomparable() {
  const recording::recording_reader& reader = source_.reader();
  if (const uint64_t missing = reader.missing_records(); missing != 0) {
    return fmt::format("{} records that were stored are missing from the file", missing);
  }
  if (!source_.everything_came()) return "this is a part of the recording";
  if (!reader.end()) return "the recording has no end, where they would be";
  if (reader.end()->records_not_stored != 0) {
    return fmt::format("{} records did not fit on the disk when this was recorded",
                       reader.end()->records_not_stored);
  }
  if (!reader.end()->has_statistics) return "the driver could not be asked when the recording ended";
  return std::nullopt;
}

std::string file_session::progress() {
  const recording::recording_reader& reader = source_.reader();
  return fmt::format("{} of {} MiB", reader.position() >> 20, reader.file_bytes() >> 20);
}

std::vector<std::string> file_session::notes() {
  const std::optional<recording::recording_end>& end = source_.reader().end();
  if (!end) return {};
  switch (end->reason) {
    case recording::end_reason::closed:
      return {};
    case recording::end_reason::disk_full:
      return {fmt::format("the recording ended because the disk was full; {} records were not stored",
                          end->records_not_stored)};
    case recording::end_reason::write_failed:
      break;
  }
  return {fmt::format("the recording ended because it could not be written; {} records were not stored",
                      end->records_not_stored)};
}

}  // namespace sluice::tool
