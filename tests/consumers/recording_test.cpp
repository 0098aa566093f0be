// Recordings: what is written is what is read, by time and in bounded memory; what a full disk leaves.
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstring>
#include <system_error>
#include <utility>

#include "consumers/event_stream.h"
#include "tests/consumers/recording_support.h"

namespace sluice {
namespace {

using namespace test;
using namespace recording;

struct recorded {
  bytes file;
  std::vector<bytes> batches;
};

// `blocks` blocks of `per_block` events each, closed with accounts.
recorded record_threads(uint32_t blocks, uint32_t per_block) {
  recorded result;
  memory_file file;
  thread_batches threads;
  recording_writer writer(file, about(), 1);
  for (uint32_t i = 0; i < blocks; ++i) {
    result.batches.push_back(threads.next(per_block));
    EXPECT_TRUE(writer.add(result.batches.back()));
  }
  driver_statistics statistics;
  statistics.header.version = protocol::version;
  statistics.rows.push_back({0, event_type_thread_create, 0, {5, 4, 0, 0, {1, 0, 0, 0}}});
  const raised_callbacks raised{{{event_type_thread_create, 5}}, 0x400};
  writer.end(&statistics, &raised);
  EXPECT_EQ(writer.error(), 0);
  EXPECT_EQ(writer.records_stored(), uint64_t{blocks} * per_block);
  result.file = file.content;
  return result;
}

TEST(recording, gives_back_every_batch_byte_for_byte) {
  const recorded made = record_threads(5, 20);
  const read_back got = read_all(made.file);
  EXPECT_EQ(got.batches, made.batches);
  EXPECT_TRUE(got.faults.empty()) << got.faults.front();
  EXPECT_FALSE(got.torn);
  EXPECT_EQ(got.missing, 0u);
}

TEST(recording, gathers_small_batches_into_one_block) {
  memory_file file;
  thread_batches threads;
  recording_writer writer(file, about());
  const uint64_t before = writer.blocks();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(writer.add(threads.next(2)));
  writer.end(nullptr, nullptr);
  EXPECT_EQ(writer.blocks() - before, 3u);  // events, end, index
  EXPECT_EQ(read_all(file.content).times.size(), 100u);
}

TEST(recording, is_smaller_than_its_events) {
  memory_file file;
  thread_batches threads;
  recording_writer writer(file, about());
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(writer.add(threads.next(100)));
  writer.end(nullptr, nullptr);
  EXPECT_LT(writer.file_bytes() * 4, writer.content_bytes());
}

TEST(recording, keeps_what_the_driver_and_the_kernel_counted) {
  const recorded made = record_threads(2, 10);
  const file_on_disk on_disk(made.file);
  file_source source(on_disk.path());
  (void)read_all(source);
  const auto& end = source.reader().end();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->reason, end_reason::closed);
  EXPECT_EQ(end->records_stored, 20u);
  ASSERT_EQ(end->statistics.rows.size(), 1u);
  EXPECT_EQ(end->statistics.rows[0].account.attempted, 5u);
  EXPECT_EQ(end->statistics.rows[0].account.dropped[0], 1u);
  EXPECT_EQ(end->raised.by_type.at(event_type_thread_create), 5u);
  EXPECT_EQ(end->raised.always_on, 0x400u);
  EXPECT_EQ(source.reader().title(), "a test");
  EXPECT_EQ(source.capabilities().anchor_utc, about().capabilities.anchor_utc);
}

// Whoever made the file chose its title; it is shown on terminals and in logs.
TEST(recording, a_hostile_title_stays_in_its_line_and_out_of_the_terminal) {
  const std::pair<const char*, const char*> titles[] = {
      {"a\nsluice: b", "a; b"},
      {"a\nsluice: R3 holds\nx", "a; R3 holds<U+000A>x"},
      {"\x1b]0;owned\x07", "<U+001B>]0;owned<U+0007>"},
      {"\xc2\x9b" "31m\x7f", "<U+009B>31m<U+007F>"},
      {"\xe2\x80\xaegpj.exe", "<U+202E>gpj.exe"},
      {"\xff\xc0\xafx\xe2\x80", "\xef\xbf\xbd"},
      {"na\xc3\xafve", "na\xc3\xafve"}};
  for (const auto& [title, shown] : titles) {
    memory_file file;
    about_recording what = about();
    what.title = title;
    recording_writer(file, what).end(nullptr, nullptr);
    const file_on_disk on_disk(file.content);
    const file_source source(on_disk.path());
    EXPECT_EQ(source.reader().title().substr(0, std::strlen(shown)), shown);
    for (const char c : source.reader().title()) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f) << shown;
  }
}

TEST(recording, that_nobody_closed_keeps_what_was_read) {
  memory_file file;
  thread_batches threads;
  {
    recording_writer writer(file, about());
    EXPECT_TRUE(writer.add(threads.next(10)));
  }
  const read_back got = read_all(file.content);
  EXPECT_EQ(got.times.size(), 10u);
  EXPECT_TRUE(got.has_end);
}

TEST(recording, a_window_gives_the_events_in_it_and_reads_no_block_outside) {
  const recorded made = record_threads(50, 10);  // times 1000 to 1499
  const file_on_disk on_disk(made.file);
  file_source source(on_disk.path());
  source.select({utc_of(1234), utc_of(1257)});
  const read_back got = read_all(source);
  std::vector<uint64_t> expected;
  for (uint64_t t = 1234; t < 1257; ++t) expected.push_back(t);
  EXPECT_EQ(got.times, expected);
  EXPECT_FALSE(source.everything_came());
  EXPECT_EQ(source.capabilities().anchor_utc, about().capabilities.anchor_utc);

  // Damage outside the window is not met.
  bytes damaged = made.file;
  const size_t events_begin = recording_reader(on_disk.path()).next()->offset + 96 + 112;
  damaged[events_begin + 200] ^= 1;
  const file_on_disk second(damaged);
  file_source other(second.path());
  other.select({utc_of(1234), utc_of(1257)});
  const read_back again = read_all(other);
  EXPECT_EQ(again.times, expected);
  EXPECT_TRUE(again.faults.empty()) << again.faults.front();
}

TEST(recording, a_window_is_found_without_an_index_too) {
  recorded made = record_threads(50, 10);
  made.file.resize(made.file.size() - 40);  // the trailer, and the end of the index
  const file_on_disk on_disk(made.file);
  file_source source(on_disk.path());
  source.select({utc_of(1234), std::nullopt});
  EXPECT_EQ(read_all(source).times.size(), 266u);
  source.select({std::nullopt, utc_of(1234)});
  EXPECT_EQ(read_all(source).times.size(), 234u);
  source.select({utc_of(5000), std::nullopt});
  EXPECT_TRUE(read_all(source).times.empty());
  source.select({});
  EXPECT_EQ(read_all(source).times.size(), 500u);
}

TEST(recording, more_blocks_than_an_index_block_holds_are_all_found) {
  const recorded made = record_threads(entries_per_index + 10, 1);
  const file_on_disk on_disk(made.file);
  file_source source(on_disk.path());
  source.select({utc_of(1003), utc_of(1005)});  // named by the first index block, not by the last
  EXPECT_EQ(read_all(source).times, (std::vector<uint64_t>{1003, 1004}));
  EXPECT_EQ(source.first_utc(), utc_of(1000));
}

TEST(recording, types_that_were_not_asked_for_are_left_out) {
  memory_file file;
  recording_writer writer(file, about());
  batch_builder builder;
  builder.add({event_type_thread_create, thread_create(1, 2), 1});
  builder.add({event_type_image_load, image_load(1, u"\\a.dll"), 2});
  builder.add({record_type_loss, loss({{event_type_image_load, 3}}), 3});
  EXPECT_TRUE(writer.add(builder.finish()));
  writer.end(nullptr, nullptr);
  const file_on_disk on_disk(file.content);
  file_source source(on_disk.path());
  source.set_types(uint64_t{1} << event_type_image_load);
  EXPECT_EQ(read_all(source).times, (std::vector<uint64_t>{2, 3}));
  EXPECT_FALSE(source.everything_came());
}

TEST(recording, own_types_are_known_wherever_reading_begins) {
  memory_file file;
  about_recording early = about();
  early.types = declaration(40, "at_start", {field("a", 0, 4, field_kind::unsigned_integer)});
  recording_writer writer(file, early, 1);
  batch_builder builder;
  const auto add = [&](record r) { EXPECT_TRUE(writer.add(builder.add(r).finish())); };
  bytes four;
  append(four, uint32_t{77});
  add({record_type_type_declaration,
       declaration(41, "later", {field("b", 0, 4, field_kind::unsigned_integer)}), 2000});
  for (uint64_t t = 2001; t < 2050; ++t) add({41, four, t});
  add({40, four, 2050});
  writer.end(nullptr, nullptr);

  const file_on_disk on_disk(file.content);
  file_source source(on_disk.path());
  source.select({utc_of(2040), std::nullopt});
  event_stream stream(source);
  std::vector<std::string> names;
  while (stream.last_read() != read_status::end) {
    while (const decoded_event* event = stream.next(std::chrono::seconds(1))) {
      const auto* own = std::get_if<own_event>(&event->body);
      ASSERT_NE(own, nullptr);
      EXPECT_EQ(std::get<uint64_t>(own->values.at(0)), 77u);
      names.push_back(own->layout->name);
    }
  }
  ASSERT_EQ(names.size(), 11u);
  EXPECT_EQ(names.front(), "later");
  EXPECT_EQ(names.back(), "at_start");
  EXPECT_TRUE(stream.take_faults().empty());
}

TEST(recording, times_follow_the_clock_that_was_in_force) {
  memory_file file;
  recording_writer writer(file, about(), 1);
  batch_builder builder;
  const auto add = [&](record r) { EXPECT_TRUE(writer.add(builder.add(r).finish())); };
  add({event_type_thread_create, thread_create(1, 2), 2000});
  bytes anchor;
  append(anchor,
         anchor_payload{3000, batch_builder::frequency, utc_of(3000) + 1'000'000});  // UTC was set forward
  add({record_type_anchor, anchor, 3000});
  add({event_type_thread_create, thread_create(1, 3), 4000});
  add({event_type_thread_create, thread_create(1, 4), 5000});
  writer.end(nullptr, nullptr);
  const file_on_disk on_disk(file.content);
  file_source source(on_disk.path());
  source.select({utc_of(4000) + 1'000'000, std::nullopt});
  event_stream stream(source);
  std::vector<std::optional<uint64_t>> moments;
  while (stream.last_read() != read_status::end) {
    while (const decoded_event* event = stream.next(std::chrono::seconds(1))) {
      if (event->type == event_type_thread_create) moments.push_back(stream.clock().utc(event->time));
    }
  }
  EXPECT_EQ(moments,
            (std::vector<std::optional<uint64_t>>{utc_of(4000) + 1'000'000, utc_of(5000) + 1'000'000}));
}

// The clock stepped back by an hour, and the machine had slept for a day. Times rise all the same, and so do the blocks'.
TEST(recording, a_window_finds_what_stands_before_a_late_record_of_its_block) {
  memory_file file;
  {
    recording_writer writer(file, about());
    batch_builder builder;
    for (const uint64_t time : {1000u, 3000u, 2000u}) builder.add({event_type_thread_create, thread_create(1, 2), time});
    ASSERT_TRUE(writer.add(builder.finish()));
  }
  const file_on_disk on_disk(file.content);
  file_source source(on_disk.path());
  source.select({utc_of(2500), std::nullopt});
  EXPECT_EQ(read_all(source).times, (std::vector<uint64_t>{3000}));
}

TEST(recording, a_window_finds_what_stands_behind_an_anchor_of_its_block) {
  memory_file file;
  const uint64_t later = utc_of(1'000'000'000);
  {
    recording_writer writer(file, about());
    batch_builder builder;
    builder.add({event_type_thread_create, thread_create(1, 2), 2000});
    bytes anchor;
    append(anchor, anchor_payload{3000, batch_builder::frequency, later});
    builder.add({record_type_anchor, anchor, 3000});
    builder.add({event_type_thread_create, thread_create(1, 2), 4000});  // UTC: later + 1000
    ASSERT_TRUE(writer.add(builder.finish()));
  }
  const file_on_disk on_disk(file.content);
  file_source source(on_disk.path());
  source.select({later, std::nullopt});
  EXPECT_EQ(read_all(source).times, (std::vector<uint64_t>{3000, 4000}));
}

TEST(recording, what_a_cut_takes_away_of_a_block_is_missing) {
  recorded made = record_threads(50, 10);
  std::vector<block_place> blocks;
  {
    const file_on_disk on_disk(made.file);
    recording_reader reader(on_disk.path());
    while (const auto place = reader.next()) {
      if (place->header.kind == block_kind::events) blocks.push_back(*place);
    }
  }
  ASSERT_GT(blocks.size(), 2u);
  const block_place& cut = blocks[blocks.size() - 2];
  made.file.resize(cut.offset + cut.header.header_bytes + cut.header.stored_bytes / 2);
  const read_back got = read_all(made.file);
  EXPECT_EQ(got.times.size(), cut.header.records_before);
  EXPECT_EQ(got.missing, cut.header.record_count);
}

TEST(recording, the_end_of_another_recording_is_not_its_own) {
  recorded made = record_threads(5, 10);
  const recorded same = made;
  ASSERT_TRUE(read_all(same.file).faults.empty());
  trailer last;
  const size_t at = made.file.size() - sizeof last;
  std::memcpy(&last, made.file.data() + at, sizeof last);
  ++last.file_id;
  last.checksum = checksum_of(last);
  std::memcpy(made.file.data() + at, &last, sizeof last);
  EXPECT_FALSE(read_all(made.file).faults.empty());
}

TEST(recording, a_window_is_found_across_a_clock_epoch) {
  memory_file file;
  recording_writer writer(file, about(), 1);
  batch_builder builder;
  const auto add = [&](record r) { EXPECT_TRUE(writer.add(builder.add(r).finish())); };
  constexpr uint64_t day = 864'000'000'000;
  for (uint64_t time = 2000; time < 2010; ++time) add({event_type_thread_create, thread_create(1, 2), time});
  bytes epoch, anchor;
  append(epoch, epoch_payload{1, 0, 36'000'000'000, 2011 - uint64_t{36'000'000'000}});
  append(anchor, anchor_payload{2011, batch_builder::frequency, utc_of(2011) + day});
  add({record_type_epoch, epoch, 2011, 0, 0, 1, batch_flag_stream, 0});
  add({record_type_anchor, anchor, 2011, 0, 0, 1, batch_flag_stream, 0});
  for (uint64_t time = 2011; time < 2030; ++time) add({event_type_thread_create, thread_create(1, 2), time});
  writer.end(nullptr, nullptr);
  const file_on_disk on_disk(file.content);
  file_source source(on_disk.path());
  const auto times = [&](recording::time_window window) {
    source.select(window);
    std::vector<uint64_t> found;
    std::vector<uint8_t> buffer(source.least_buffer());
    for (read_result got; (got = source.read(buffer, std::chrono::seconds(1))).status == read_status::batch;) {
      batch_reader batch({buffer.data(), got.bytes});
      delivered_record record;
      while (batch.next(record) == batch_status::ok) {
        if (!record.of_stream) found.push_back(record.time);
      }
    }
    return found;
  };
  EXPECT_EQ(times({utc_of(2008), utc_of(2013)}), (std::vector<uint64_t>{2008, 2009})) << "before the machine slept";
  EXPECT_EQ(times({utc_of(2000) + day, utc_of(2013) + day}), (std::vector<uint64_t>{2011, 2012}));
  EXPECT_EQ(times({utc_of(2028) + day, std::nullopt}), (std::vector<uint64_t>{2028, 2029}));
}

TEST(recording, a_full_disk_keeps_what_was_accepted_and_says_so) {
  for (const bool promises : {true, false}) {
    thread_batches threads;
    memory_file file;
    file.promises = promises;
    uint64_t stored = 0, refused = 0;
    {
      recording_writer writer(file, about(), 1);
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(writer.add(threads.next(50)));
      file.capacity = file.content.size() + 10'000;
      while (writer.error() == 0) (void)writer.add(threads.next(50));
      EXPECT_EQ(writer.error(), ENOSPC);
      stored = writer.records_stored();
      EXPECT_GT(stored, 150u) << "some of it still fitted";
      EXPECT_FALSE(writer.add(threads.next(50)));
      refused = writer.records_not_stored();
      EXPECT_EQ(stored + refused, threads.count());
      if (!promises) file.capacity += 4096;  // somebody deletes something before the end
      writer.end(nullptr, nullptr);
      EXPECT_EQ(writer.error(), ENOSPC) << "the user is told";
    }
    const file_on_disk on_disk(file.content);
    file_source source(on_disk.path());
    const read_back got = read_all(source);
    ASSERT_EQ(got.times.size(), stored);
    for (uint64_t i = 0; i < stored; ++i) EXPECT_EQ(got.times[i], 1000 + i);
    EXPECT_TRUE(got.faults.empty()) << got.faults.front();
    ASSERT_TRUE(got.has_end) << "its room had been reserved";
    EXPECT_EQ(source.reader().end()->reason, end_reason::disk_full);
    EXPECT_EQ(source.reader().end()->records_not_stored, refused);
  }
}

TEST(recording, a_disk_that_is_full_at_any_byte_leaves_a_readable_file) {
  size_t whole = ~size_t{0};
  for (uint64_t capacity = 48; capacity <= whole; ++capacity) {
    thread_batches threads;
    memory_file file;
    file.promises = false;
    if (whole != ~size_t{0}) file.capacity = capacity;
    uint64_t stored = 0;
    try {
      recording_writer writer(file, about(), 1);
      for (int i = 0; i < 3; ++i) (void)writer.add(threads.next(5));
      writer.end(nullptr, nullptr);
      stored = writer.records_stored();
      if (whole == ~size_t{0}) whole = file.content.size();  // the first time there is room for everything
      EXPECT_EQ(writer.error() != 0, file.capacity < whole) << capacity;
    } catch (const std::system_error&) {
      continue;  // it could not even begin, and said so
    }
    EXPECT_EQ(read_all(file.content).times.size(), stored) << capacity;
  }
}

TEST(recording, does_not_replace_a_file_unless_told_to) {
  const file_on_disk there(bytes{1, 2, 3});
  EXPECT_THROW(posix_output_file(there.path(), false), std::system_error);
  posix_output_file replaced(there.path(), true);
  EXPECT_EQ(replaced.write(0, bytes{9}), 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(recording, larger_than_memory_is_read_within_bounds) {
  char name[] = "/tmp/sluice_large_XXXXXX";
  ::close(::mkstemp(name));
  constexpr uint64_t memory = 64u << 20;
  uint64_t content = 0, records = 0;
  {
    posix_output_file file(name, true);
    recording_writer writer(file, about());
    thread_batches threads;
    while (writer.content_bytes() < 4 * memory) EXPECT_TRUE(writer.add(threads.next(2000)));
    writer.end(nullptr, nullptr);
    content = writer.content_bytes();
    records = writer.records_stored();
  }
  EXPECT_GT(content, 4 * memory - 1);
  const pid_t child = ::fork();
  if (child == 0) {
    // The address space of now and 64 MiB more.
    std::ifstream maps("/proc/self/statm");
    uint64_t pages = 0;
    maps >> pages;
    const rlimit limit{pages * 4096 + memory, pages * 4096 + memory};
    ::setrlimit(RLIMIT_AS, &limit);
    file_source source(name);
    std::vector<uint8_t> buffer(source.least_buffer());
    uint64_t seen = 0;
    for (read_result got = source.read(buffer, {}); got.status == read_status::batch;
         got = source.read(buffer, {})) {
      seen += batch_reader({buffer.data(), got.bytes}).record_count();
    }
    ::_exit(seen == records ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ::unlink(name);
}
#endif

}  // namespace
}  // namespace sluice
