// What the sinks write, line by line. The expected lines are those of docs/output-formats.md.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "consumers/jsonl_sink.h"
#include "consumers/text_sink.h"
#include "tests/consumers/batch_builder.h"

namespace sluice {
namespace {

using namespace test;

// 2026-11-21T04:30:00Z
constexpr uint64_t utc_at_0 = 134'397'090'000'000'000;

struct pipeline {
  decoder decode;
  stream_clock clock;
  output_writer out{-1};

  pipeline() { clock.set_anchor({0, batch_builder::frequency, utc_at_0}); }

  std::string json(const delivered_record& record) {
    out.buffer().clear();
    jsonl_sink({decode, clock, out}).write(decode.decode(record));
    return std::exchange(out.buffer(), {});
  }
  std::string text(const delivered_record& record, bool colours = false) {
    out.buffer().clear();
    text_sink({decode, clock, out}, colours).write(decode.decode(record));
    return std::exchange(out.buffer(), {});
  }
};

delivered_record at(delivered_record record, uint64_t time) {
  record.time = time;
  return record;
}

TEST(jsonl_sink, writes_a_process_create_with_the_fields_of_the_table) {
  const bytes payload = process_create(42, u"\\Device\\a.exe", u"a \"x\"");
  EXPECT_EQ(pipeline().json(at(delivered(event_type_process_create, payload), 1234567)),
            R"({"type":"process_create","cpu":3,"time":"2026-11-21T04:30:00.1234567Z","context_pid":1000,)"
            R"("context_tid":1001,"pid":42,"parent_pid":7,"creating_pid":1000,"creating_tid":1001,)"
            R"("start_key":1234605616436508552,"flags":["exact_image_path"],"image_path":"\\Device\\a.exe",)"
            R"("command_line":"a \"x\"","lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, writes_a_process_exit) {
  bytes payload;
  append(payload, process_exit_payload{{5, 6}, 5, -1, 99, process_flag_no_start_key, 0});
  EXPECT_EQ(pipeline().json(delivered(event_type_process_exit, payload)),
            R"({"type":"process_exit","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":5,"context_tid":6,)"
            R"("pid":5,"start_key":99,"flags":["no_start_key"],"exit_status":-1,"lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, writes_a_thread_with_its_address_as_a_string) {
  const bytes payload = thread_create(42, 43);
  EXPECT_EQ(pipeline().json(delivered(event_type_thread_create, payload)),
            R"({"type":"thread_create","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":10,"context_tid":11,)"
            R"("pid":42,"tid":43,"creator_pid":10,"creator_tid":11,"remote":true,"start_address":"0x7fff00001000",)"
            R"("flags":[],"lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, writes_an_image_load) {
  const bytes payload = image_load(42, u"x.dll");
  EXPECT_EQ(pipeline().json(delivered(event_type_image_load, payload)),
            R"({"type":"image_load","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":42,"context_tid":43,)"
            R"("pid":42,"base":"0xfffff80000000000","size":8192,"system_image":true,"machine_mismatch":false,)"
            R"("signature_level":12,"signature_type":1,"flags":[],"path":"x.dll","lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, a_missing_string_is_null_with_its_reason) {
  bytes payload = image_load(1, u"");
  put(payload, offsetof(image_load_payload, path), string_field{0, 0, 0, string_flag_unavailable});
  EXPECT_NE(pipeline().json(delivered(event_type_image_load, payload)).find(R"("path":null,"path_missing":"unavailable")"),
            std::string::npos);
  put(payload, offsetof(image_load_payload, path), string_field{0, 0, 0, string_flag_source_gone});
  EXPECT_NE(pipeline().json(delivered(event_type_image_load, payload)).find(R"("path":null,"path_missing":"source_gone")"),
            std::string::npos);
}

TEST(jsonl_sink, a_truncated_string_tells_its_original_length) {
  bytes payload = image_load(1, u"abcd");
  put(payload, offsetof(image_load_payload, path), string_field{48, 8, 5000, string_flag_truncated});
  EXPECT_NE(pipeline().json(delivered(event_type_image_load, payload)).find(R"("path":"abcd","path_truncated":5000)"),
            std::string::npos);
}

TEST(jsonl_sink, late_stands_only_where_it_is_true) {
  const bytes payload = thread_create(42, 43);
  delivered_record record = delivered(event_type_thread_create, payload);
  EXPECT_EQ(pipeline().json(record).find("late"), std::string::npos);
  record.late = true;
  EXPECT_NE(pipeline().json(record).find(R"("late":true)"), std::string::npos);
}

TEST(jsonl_sink, absent_fields_of_an_older_version_are_left_out) {
  bytes payload = thread_create(42, 43);
  payload.resize(16);
  EXPECT_EQ(pipeline().json(delivered(event_type_thread_create, payload, 0)),
            R"({"type":"thread_create","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":10,"context_tid":11,)"
            R"("pid":42,"tid":43,"lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, writes_loss_anchor_and_overdue) {
  bytes payload = loss({{8, 3}, {50, 4}}, 10'000'000, 20'000'000);
  EXPECT_EQ(pipeline().json(delivered(record_type_loss, payload)),
            R"({"type":"loss","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,"context_tid":null,)"
            R"("first_time":"2026-11-21T04:30:01.0000000Z","last_time":"2026-11-21T04:30:02.0000000Z","events":7,)"
            R"("bytes":448,"dropped":[{"type":"process_create","events":3},{"type":"type_50","events":4}],)"
            R"("lane":0,"position":4096})"
            "\n");
  payload.clear();
  append(payload, anchor_payload{1000, batch_builder::frequency, utc_at_0 + 1000});
  EXPECT_EQ(pipeline().json(delivered(record_type_anchor, payload)),
            R"({"type":"anchor","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,"context_tid":null,)"
            R"("counter":1000,"frequency":10000000,"utc":"2026-11-21T04:30:00.0001000Z","boot":45063,)"
            R"("lane":0,"position":4096})"
            "\n");
  payload.clear();
  append(payload, overdue_payload{64, 500, 100, event_type_image_load, 2, 1, 0, 77, 78});
  EXPECT_EQ(pipeline().json(delivered(record_type_overdue, payload)),
            R"({"type":"overdue","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,"context_tid":null,)"
            R"("open_type":"image_load","open_cpu":2,"open_lane":1,"open_position":64,)"
            R"("open_since":"2026-11-21T04:30:00.0000500Z","age_ns":10000,"pid":77,"tid":78,"lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, an_epoch_tells_how_times_stand_to_the_counter_from_here_on) {
  bytes payload;
  append(payload, epoch_payload{2, 0, 36'000'000'000, 5000});
  EXPECT_EQ(pipeline().json(delivered(record_type_epoch, payload)),
            R"({"type":"epoch","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,"context_tid":null,)"
            R"("epoch":2,"offset":36000000000,"first_counter":5000,"lane":0,"position":4096})"
            "\n");
  EXPECT_EQ(pipeline().text(delivered(record_type_epoch, payload)),
            "04:30:00.0001000   3 epoch            epoch=2 offset=36000000000 first_counter=5000\n");
  payload.resize(16);
  EXPECT_NE(pipeline().json(delivered(record_type_epoch, payload)).find(R"("type":"damaged_record")"), std::string::npos);
}

TEST(jsonl_sink, writes_a_declaration_and_an_own_event_by_it) {
  pipeline p;
  const bytes declared = declaration(40, "type", {field("cpu", 0, 4, field_kind::hexadecimal)});
  EXPECT_EQ(p.json(delivered(record_type_type_declaration, declared)),
            R"({"type":"type_declaration","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,)"
            R"("context_tid":null,"name":"type","own_type":40,"version":1,)"
            R"("fields":[{"name":"cpu","kind":"hexadecimal","offset":0,"size":4}],"lane":0,"position":4096})"
            "\n");
  bytes payload;
  append(payload, uint32_t{255});
  // Names that a driver chose cannot hide the event's own.
  EXPECT_EQ(p.json(delivered(40, payload)),
            R"({"type":"type","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,"context_tid":null,)"
            R"("own_type":40,"fields":{"cpu":"0xff"},"lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, unknown_and_damaged_records_are_lines_too) {
  const bytes payload = {0xde, 0xad};
  EXPECT_EQ(pipeline().json(delivered(50, payload, 9)),
            R"({"type":"unknown","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,"context_tid":null,)"
            R"("record_type":50,"version":9,"payload":"dead","lane":0,"position":4096})"
            "\n");
  EXPECT_EQ(pipeline().json(delivered(event_type_thread_exit, payload)),
            R"({"type":"damaged_record","cpu":3,"time":"2026-11-21T04:30:00.0001000Z","context_pid":null,)"
            R"("context_tid":null,"record_type":11,"version":1,"field":"context.pid",)"
            R"("what":"payload of 2 bytes ends before it","payload":"dead","lane":0,"position":4096})"
            "\n");
}

TEST(jsonl_sink, without_an_anchor_the_time_is_null_and_the_ticks_are_given) {
  pipeline p;
  p.clock = stream_clock();
  const bytes payload = thread_create(42, 43);
  EXPECT_NE(p.json(delivered(event_type_thread_create, payload)).find(R"("time":null,"time_ticks":1000,)"),
            std::string::npos);
}

TEST(text_sink, writes_one_line_an_event) {
  const bytes payload = process_create(42, u"\\Device\\a.exe", u"a -x");
  EXPECT_EQ(pipeline().text(at(delivered(event_type_process_create, payload), 1234567)),
            "04:30:00.1234567   3 process_create   [1000/1001] pid=42 parent_pid=7 creating_pid=1000 creating_tid=1001 "
            "start_key=1234605616436508552 flags=exact_image_path image_path=\"\\Device\\a.exe\" command_line=\"a -x\"\n");
}

TEST(text_sink, shows_what_is_missing_truncated_or_late) {
  bytes payload = image_load(1, u"abcd");
  put(payload, offsetof(image_load_payload, path), string_field{48, 8, 5000, string_flag_truncated});
  delivered_record record = delivered(event_type_image_load, payload);
  record.late = true;
  const std::string line = pipeline().text(record);
  EXPECT_NE(line.find(" LATE "), std::string::npos) << line;
  EXPECT_NE(line.find("path=\"abcd\"(truncated from 5000 bytes)"), std::string::npos) << line;
  put(payload, offsetof(image_load_payload, path), string_field{0, 0, 0, string_flag_source_gone});
  EXPECT_NE(pipeline().text(record).find("path=(source gone)"), std::string::npos);
}

TEST(text_sink, a_loss_names_what_was_lost) {
  const bytes payload = loss({{8, 3}}, 10'000'000, 20'000'000);
  EXPECT_EQ(pipeline().text(delivered(record_type_loss, payload)),
            "04:30:00.0001000   3 loss             first_time=2026-11-21T04:30:01.0000000Z "
            "last_time=2026-11-21T04:30:02.0000000Z events=3 bytes=192 dropped=[ { type=process_create events=3 } ]\n");
}

TEST(text_sink, a_duration_is_in_ticks_where_nobody_knows_how_long_they_are) {
  pipeline p;
  bytes payload;
  append(payload, overdue_payload{64, 500, 100, event_type_image_load, 2, 1, 0, 77, 78});
  EXPECT_NE(p.text(delivered(record_type_overdue, payload)).find(" age=0.010ms "), std::string::npos);
  p.clock = stream_clock();
  const std::string line = p.text(delivered(record_type_overdue, payload));
  EXPECT_NE(line.find(" age=100 ticks "), std::string::npos) << line;
}

TEST(text_sink, an_own_event_is_a_line_like_any_other) {
  pipeline p;
  const bytes declared = declaration(40, "request", {field("id", 0, 4, field_kind::unsigned_integer)});
  (void)p.text(delivered(record_type_type_declaration, declared));
  bytes payload;
  append(payload, uint32_t{255});
  EXPECT_EQ(p.text(delivered(40, payload)), "04:30:00.0001000   3 request          own_type=40 id=255\n");
}

// A file name is chosen by whoever is watched.
TEST(text_sink, hostile_names_stay_in_their_line_and_out_of_the_terminal) {
  for (const char16_t* name :
       {u"a\n04:30:00.0000000   0 process_exit forged", u"\x1b]0;owned\x07", u"\x9b" u"31m", u"a\r\x1b[1A\x1b[2K", u"\u2028x",
        u"\u202Egpj.exe", u"\" command_line=\"innocent"}) {
    const bytes payload = image_load(1, name);
    for (const bool colours : {false, true}) {
      std::string line = pipeline().text(delivered(event_type_image_load, payload), colours);
      ASSERT_EQ(line.back(), '\n');
      line.pop_back();
      const std::string shown = line.substr(line.find("path=\""));
      for (const char c : shown) {
        EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f) << shown;
      }
      EXPECT_EQ(shown.find("\xc2\x9b"), std::string::npos);
      EXPECT_EQ(shown.find("\xe2\x80"), std::string::npos);
      EXPECT_EQ(shown.find("\" command_line="), shown.find("\"\" command_line=") == std::string::npos
                                                    ? std::string::npos
                                                    : shown.find("\"\" command_line=") + 1);
    }
    const std::string json = pipeline().json(delivered(event_type_image_load, payload));
    EXPECT_EQ(json.find('\n'), json.size() - 1);
    for (const char c : json) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 && c != '\n') << json;
  }
}

TEST(text_sink, colours_are_there_only_when_asked_for) {
  const bytes payload = thread_create(1, 2);
  EXPECT_EQ(pipeline().text(delivered(event_type_thread_create, payload)).find('\x1b'), std::string::npos);
  EXPECT_NE(pipeline().text(delivered(event_type_thread_create, payload), true).find('\x1b'), std::string::npos);
}

TEST(text_sink, colours_need_a_terminal_and_no_NO_COLOR) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  const int file = ::open("/dev/null", O_WRONLY);
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("NO_COLOR");
  EXPECT_FALSE(wants_colours(file));
  EXPECT_TRUE(wants_colours(terminal));
  ::setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(wants_colours(terminal)) << "an empty NO_COLOR does not count";
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(wants_colours(terminal));
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(wants_colours(terminal));
  ::close(terminal);
  ::close(file);
}

TEST(stream_clock, converts_by_the_anchor_in_128_bits) {
  stream_clock clock;
  EXPECT_FALSE(clock.utc(5).has_value());
  // A counter of a machine that has been up for 50 years at 10 GHz: 64 bits would overflow at the first multiplication.
  const uint64_t counter = 15'768'000'000'000'000'000u;
  clock.set_anchor({counter, 10'000'000'000, utc_at_0});
  EXPECT_EQ(clock.utc(counter), utc_at_0);
  EXPECT_EQ(clock.utc(counter + 10'000'000'000), utc_at_0 + 10'000'000);
  EXPECT_EQ(clock.utc(counter - 10'000'000'000), utc_at_0 - 10'000'000);
  EXPECT_EQ(clock.utc(counter - 1), utc_at_0 - 1) << "rounded towards the past, on both sides of the anchor";
  EXPECT_EQ(clock.utc(counter + 999), utc_at_0);
  EXPECT_EQ(clock.utc(counter + 1000), utc_at_0 + 1);
}

TEST(stream_clock, times_outside_the_calendar_are_none) {
  stream_clock clock;
  clock.set_anchor({1'000, 1, 10'000'000});
  EXPECT_EQ(clock.utc(999), 0u);
  EXPECT_FALSE(clock.utc(998).has_value());
  EXPECT_FALSE(clock.utc(~uint64_t{0}).has_value());
}

TEST(stream_clock, writes_the_ends_of_the_calendar) {
  EXPECT_EQ(iso8601(0), "1601-01-01T00:00:00.0000000Z");
  EXPECT_EQ(iso8601(utc_at_0 + 1234567), "2026-11-21T04:30:00.1234567Z");
  EXPECT_EQ(iso8601(133'537'247'999'999'999), "2024-02-29T23:59:59.9999999Z");
  const uint64_t end = 2'650'467'744'000'000'000;  // 10000-01-01
  EXPECT_EQ(iso8601(end - 1), "9999-12-31T23:59:59.9999999Z");
  EXPECT_EQ(iso8601(end), "");
}

TEST(output_writer, writes_everything_in_order) {
  char name[] = "/tmp/sluice_output_XXXXXX";
  const int file = ::mkstemp(name);
  ASSERT_GE(file, 0);
  std::string expected;
  {
    output_writer out(file);
    for (int i = 0; i < 20000; ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      out.buffer() += line;
      expected += line;
      out.line_done();
    }
  }
  std::ifstream in(name);
  std::stringstream content;
  content << in.rdbuf();
  EXPECT_EQ(content.str(), expected);
  ::close(file);
  ::unlink(name);
}

TEST(output_writer, notices_that_the_reader_has_gone) {
  ::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  output_writer out(ends[1]);
  out.buffer() = "x";
  EXPECT_EQ(out.flush(), output_status::closed);
  out.buffer() = "more";
  EXPECT_EQ(out.flush(), output_status::closed) << "and goes on taking what nobody reads";
  EXPECT_TRUE(out.buffer().empty());
  ::close(ends[1]);
}

TEST(output_writer, notices_a_full_disk_and_a_closed_descriptor) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  output_writer out(full);
  out.buffer() = "x";
  EXPECT_EQ(out.flush(), output_status::failed);
  EXPECT_EQ(out.error(), ENOSPC);
  ::close(full);
  output_writer closed(-1);
  closed.buffer() = "x";
  EXPECT_EQ(closed.flush(), output_status::failed);
  EXPECT_EQ(closed.error(), EBADF);
}

TEST(output_writer, waits_for_a_descriptor_that_was_made_non_blocking) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK), 0);
  ::fcntl(ends[0], F_SETFL, 0);
  output_writer out(ends[1]);
  out.buffer().assign(1 << 20, 'x');
  size_t taken = 0;
  std::thread reader([&] {
    char buffer[4096];
    ssize_t n;
    while ((n = ::read(ends[0], buffer, sizeof buffer)) > 0) taken += static_cast<size_t>(n);
  });
  EXPECT_EQ(out.flush(), output_status::ok);
  ::close(ends[1]);
  reader.join();
  EXPECT_EQ(taken, size_t{1} << 20);
  ::close(ends[0]);
}

}  // namespace
}  // namespace sluice
