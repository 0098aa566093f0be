// A recording as the source of a watch.
#include "consumers/tool/file_session.h"

#include "tests/consumers/recording_support.h"

namespace sluice::tool {
namespace {

using namespace test;

bytes recorded(const recording::about_recording& about, uint32_t threads) {
  memory_file file;
  recording::recording_writer writer(file, about);
  if (threads != 0) {
    EXPECT_TRUE(writer.add(thread_batches().next(threads)));
  }
  writer.end(nullptr, nullptr);
  return file.content;
}

// What counts from the first event, at a distance of 100 ticks of 100 ns.
watch_options from_a_distance(const file_on_disk& file) {
  watch_options options;
  options.source = {source_kind::file, file.path()};
  options.from = moment{true, 100};
  return options;
}

TEST(file_session, a_distance_counts_from_the_first_event) {
  const file_on_disk file(recorded(about(), 150));
  file_session session(from_a_distance(file));
  std::vector<uint8_t> buffer(session.source().least_buffer());
  const read_result got = session.source().read(buffer, std::chrono::seconds(1));
  ASSERT_EQ(got.status, read_status::batch);
  batch_reader batch({buffer.data(), got.bytes});
  delivered_record first;
  do {
    ASSERT_EQ(batch.next(first), batch_status::ok);
  } while (first.of_stream || first.type != event_type_thread_create);
  EXPECT_EQ(first.time, 1100u);
}

TEST(file_session, a_distance_has_nothing_to_count_from_where_the_first_event_has_no_time) {
  recording::about_recording without_a_clock = about();
  without_a_clock.capabilities.anchor_counter = 0;
  without_a_clock.capabilities.anchor_utc = 0;
  for (const bytes& content : {recorded(without_a_clock, 150), recorded(about(), 0)}) {
    const file_on_disk file(content);
    watch_options options = from_a_distance(file);
    try {
      file_session session(options);
      FAIL() << "it counted from something";
    } catch (const recording::recording_error& error) {
      EXPECT_NE(std::string(error.what()).find("'+' has nothing to count from"), std::string::npos) << error.what();
    }
    options.from = moment{false, 0};
    EXPECT_NO_THROW(file_session{options}) << "UTC needs no first event";
  }
}

}  // namespace
}  // namespace sluice::tool
