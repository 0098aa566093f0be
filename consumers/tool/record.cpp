#include "consumers/tool/record.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <random>

#include "consumers/recording/recorder.h"
#include "consumers/tool/select_types.h"
#include "consumers/tool/watch.h"

namespace sluice::tool {
namespace {

using namespace recording;

constexpr uint64_t utc_of_unix_epoch =
    116'444'736'000'000'000;  // 1970-01-01 in 100 ns units since 1601-01-01

uint64_t utc_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return utc_of_unix_epoch +
         static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() / 100);
}

about_recording describe(session& watched) {
  std::random_device random;
  about_recording about;
  about.capabilities = watched.source().capabilities();
  about.types = watched.source().types();
  about.title = watched.title();
  about.file_id = uint64_t{random()} << 32 | random();
  about.created_utc = utc_now();
  return about;
}

// The session that is recorded, with the recorder in front of its source.
class record_session : public surrounding_session {
 public:
  record_session(session& watched, const record_options& options)
      : surrounding_session(watched),
        path_(options.path),
        file_(path_, options.replace),
        writer_(file_, describe(watched)),
        source_(watched.source(), writer_) {}

  event_source& source() override { return source_; }
  std::string title() override { return watched_.title() + fmt::format("\nsluice: recorded in {}", path_); }
  std::optional<std::string> failure() override {
    if (writer_.error() != 0) return fmt::format("writing to {}: {}", path_, std::strerror(writer_.error()));
    return watched_.failure();
  }
  std::vector<std::string> notes() override {
    std::vector<std::string> lines = watched_.notes();
    lines.push_back(fmt::format("recorded: {} records in {} bytes ({} before compression)",
                                writer_.records_stored(), writer_.file_bytes(), writer_.content_bytes()));
    if (writer_.records_not_stored() != 0) {
      lines.push_back(fmt::format("not recorded: {} records; what was recorded before them can be read",
                                  writer_.records_not_stored()));
    }
    return lines;
  }
  void concluded(const driver_statistics* statistics, const raised_callbacks* raised) override {
    writer_.end(statistics, raised);
    watched_.concluded(statistics, raised);
  }

 private:
  std::string path_;
  posix_output_file file_;
  recording_writer writer_;
  recorder source_;
};

}  // namespace

int record(session& watched, const record_options& options, const std::function<bool()>& stop_requested) {
  // Before the file is made.
  (void)find_types(type_names(watched.source().types()), options.watch.types);
  record_session session(watched, options);
  return watch(session, options.watch, stop_requested);
}

}  // namespace sluice::tool
