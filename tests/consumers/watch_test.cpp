// The watch loop over a source that the test wrote: what goes where, and how it ends.
#include "consumers/tool/watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "consumers/type_names.h"
#include "tests/consumers/scripted_source.h"

namespace sluice::tool {
namespace {

using namespace test;

class scripted_session : public session {
 public:
  scripted_source script;
  std::optional<raised_callbacks> callbacks;
  std::optional<std::string> failed;
  std::function<void()> on_stop;
  int started = 0, stopped = 0;

  event_source& source() override { return script; }
  std::string title() override { return "a script"; }
  void start() override { ++started; }
  void stop() override {
    if (++stopped == 1 && on_stop) on_stop();
  }
  std::optional<std::string> failure() override { return failed; }
  std::optional<raised_callbacks> raised() override { return callbacks; }
  std::vector<std::string> notes() override { return {"a note"}; }
};

class temporary_file {
 public:
  temporary_file() { descriptor_ = ::mkstemp(name_); }
  ~temporary_file() {
    ::close(descriptor_);
    ::unlink(name_);
  }
  int descriptor() const { return descriptor_; }
  std::string content() const {
    std::ifstream in(name_);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
  }

 private:
  char name_[32] = "/tmp/sluice_watch_XXXXXX";
  int descriptor_;
};

size_t lines(const std::string& text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

watch_options options(duration_limit duration = std::chrono::milliseconds(20)) {
  watch_options o;
  o.format = output_format::jsonl;
  o.duration = duration;
  return o;
}

// A source with one batch of `count` threads, and figures that agree.
void prepare(scripted_session& session, uint32_t count) {
  batch_builder builder;
  for (uint32_t i = 0; i < count; ++i) builder.add({event_type_thread_create, thread_create(1, 2 + i), 100 + i});
  session.script.batches.push_back(builder.finish());
  session.script.committed(0, event_type_thread_create, count);
  session.callbacks = raised_callbacks{{{event_type_thread_create, count}}, 0};
}

struct run {
  temporary_file events, messages;
  int code;
  run(scripted_session& session, const watch_options& o, const std::function<bool()>& stop = [] { return false; })
      : code(watch(session, o, stop, {events.descriptor(), messages.descriptor()})) {}
};

TEST(watch, events_go_to_stdout_and_everything_else_to_stderr) {
  scripted_session session;
  prepare(session, 3);
  const run r(session, options());
  EXPECT_EQ(r.code, exit_ok);
  EXPECT_EQ(lines(r.events.content()), 3u);
  EXPECT_EQ(r.events.content().rfind("{\"type\":\"thread_create\"", 0), 0u);
  const std::string messages = r.messages.content();
  for (const char* part : {"a script", "thread_create", "attempted", "latency: p50", "R3 holds", "a note"}) {
    EXPECT_NE(messages.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(messages.find('\x1b'), std::string::npos);
  EXPECT_EQ(session.started, 1);
  EXPECT_GE(session.stopped, 1);
}

TEST(watch, what_was_raised_before_the_end_is_still_delivered) {
  scripted_session session;
  session.on_stop = [&] { prepare(session, 5); };
  const run r(session, options());
  EXPECT_EQ(r.code, exit_ok);
  EXPECT_EQ(lines(r.events.content()), 5u);
}

TEST(watch, stops_when_it_is_told_to) {
  scripted_session session;
  int asked = 0;
  const run r(session, options(duration_limit()), [&] { return ++asked > 3; });
  EXPECT_EQ(r.code, exit_ok);
}

TEST(watch, a_broken_account_ends_with_2) {
  scripted_session session;
  prepare(session, 3);
  session.script.row(0, event_type_thread_create).attempted += 1;
  const run r(session, options());
  EXPECT_EQ(r.code, exit_broken_invariant);
  EXPECT_NE(r.messages.content().find("R3 BROKEN: thread_create on cpu 0"), std::string::npos);
  EXPECT_EQ(r.messages.content().find("R3 holds"), std::string::npos);
}

TEST(watch, a_callback_without_an_event_ends_with_2) {
  scripted_session session;
  prepare(session, 3);
  session.callbacks->by_type[event_type_thread_create] = 4;
  EXPECT_EQ(run(session, options()).code, exit_broken_invariant);
}

TEST(watch, callbacks_of_types_that_were_not_asked_for_are_no_loss) {
  scripted_session session;
  prepare(session, 3);
  session.callbacks->by_type[event_type_image_load] = 9;
  session.script.figures.header.switched_off = 9;
  watch_options o = options();
  o.types = {"thread"};
  o.types_given = true;
  EXPECT_EQ(run(session, o).code, exit_ok);
  EXPECT_EQ(session.script.selected >> event_type_image_load & 1, 0u);
  EXPECT_EQ(session.script.selected >> event_type_thread_exit & 1, 1u);
  EXPECT_EQ(session.script.selected >> record_type_anchor & 1, 1u) << "what carries the stream is never switched off";
}

TEST(watch, single_events_and_own_types_can_be_asked_for_by_name) {
  scripted_session session;
  prepare(session, 1);
  session.script.declarations = declaration(40, "heartbeat", {});
  watch_options o = options();
  o.types = {"thread_create", "heartbeat"};
  o.types_given = true;
  EXPECT_EQ(run(session, o).code, exit_ok);
  EXPECT_EQ(session.script.selected & all_events, bit_of(event_type_thread_create) | bit_of(40));
}

TEST(watch, a_type_that_is_not_known_is_an_error_that_lists_those_that_are) {
  scripted_session session;
  session.script.declarations = declaration(40, "heartbeat", {});
  watch_options o = options();
  o.types = {"thread", "heartbaet"};
  try {
    const run r(session, o);
    FAIL() << "it ran";
  } catch (const source_error& error) {
    const std::string what = error.what();
    EXPECT_EQ(what.rfind("'heartbaet' is not an event type, is 'heartbeat' meant? there are: process, thread, image", 0), 0u) << what;
    EXPECT_NE(what.find("own types: heartbeat"), std::string::npos) << what;
  }
  EXPECT_EQ(session.started, 0);
}

TEST(watch, types_that_the_driver_lacks_are_named_and_not_asked_for) {
  scripted_session session;
  prepare(session, 1);
  session.script.types_available = 0x1f1e & ~(1u << event_type_image_load);
  const run r(session, options());
  EXPECT_EQ(r.code, exit_ok);
  EXPECT_NE(r.messages.content().find("this driver has no image events"), std::string::npos);
  EXPECT_EQ(session.script.selected & ~session.script.types_available, 0u);
}

TEST(watch, a_broken_batch_is_named_and_ends_with_2) {
  scripted_session session;
  prepare(session, 3);
  session.script.batches.push_back(bytes(100, 0xff));
  const run r(session, options());
  EXPECT_EQ(r.code, exit_broken_invariant);
  EXPECT_NE(r.messages.content().find("batch 2: not a batch (wrong magic) at offset 0"), std::string::npos);
}

TEST(watch, a_damaged_record_is_named_and_ends_with_2) {
  scripted_session session;
  session.script.batches.push_back(batch_builder().add({event_type_thread_create, bytes(4)}).finish());
  session.script.committed(0, event_type_thread_create, 1);
  const run r(session, options());
  EXPECT_EQ(r.code, exit_broken_invariant);
  EXPECT_NE(r.messages.content().find("damaged thread_create record on cpu 0, lane 0, position 0, field"), std::string::npos);
  EXPECT_NE(r.events.content().find("\"type\":\"damaged_record\""), std::string::npos);
}

TEST(watch, a_loss_that_was_announced_is_no_broken_invariant) {
  scripted_session session;
  session.script.batches.push_back(batch_builder().add({record_type_loss, loss({{event_type_image_load, 4}})}).finish());
  session.script.committed(0, record_type_loss, 1);
  session.script.row(0, event_type_image_load) = {4, 0, 0, 0, {4, 0, 0, 0}};
  const run r(session, options());
  EXPECT_EQ(r.code, exit_ok);
  EXPECT_NE(r.messages.content().find("ring_full 4"), std::string::npos);
}

TEST(watch, a_reader_that_went_away_ends_the_run_well) {
  ::signal(SIGPIPE, SIG_IGN);
  scripted_session session;
  prepare(session, 3);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const temporary_file messages;
  // No limit: only the broken pipe ends it. What comes after is still accounted.
  session.on_stop = [&] {
    batch_builder more;
    session.script.batches.push_back(
        more.add({event_type_thread_create, thread_create(1, 9), 500, 1}).finish());
    session.script.committed(1, event_type_thread_create, 1);
    session.callbacks->by_type[event_type_thread_create] += 1;
  };
  EXPECT_EQ(watch(session, options(duration_limit()), [] { return false; }, {ends[1], messages.descriptor()}), exit_ok);
  ::close(ends[1]);
  EXPECT_NE(messages.content().find("R3 holds"), std::string::npos);
  EXPECT_EQ(messages.content().find("could not be written"), std::string::npos);
}

TEST(watch, a_full_disk_ends_with_1_and_says_so) {
  scripted_session session;
  prepare(session, 3);
  const int full = ::open("/dev/full", O_WRONLY);
  const temporary_file messages;
  EXPECT_EQ(watch(session, options(duration_limit()), [] { return false; }, {full, messages.descriptor()}), exit_wrong_use);
  ::close(full);
  EXPECT_NE(messages.content().find("events could not be written to stdout: No space left on device"), std::string::npos);
}

TEST(watch, a_source_that_fails_ends_the_run_with_what_it_had) {
  scripted_session session;
  prepare(session, 3);
  session.script.on_idle = [&] { session.failed = "the sky fell"; };
  const run r(session, options(duration_limit()));
  EXPECT_EQ(r.code, exit_wrong_use);
  EXPECT_EQ(lines(r.events.content()), 3u);
  EXPECT_NE(r.messages.content().find("the run ended early: the sky fell"), std::string::npos);
}

}  // namespace
}  // namespace sluice::tool
