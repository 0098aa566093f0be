// The file's side of a replay: lines, what they say, the order that could have happened, and where each event is raised.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <system_error>

#include "kernel_port/sources/replay/raise_plan.h"
#include "kernel_port/sources/replay/repaired_recording.h"

namespace sluice::replay {
namespace {

class recording_file {
 public:
  explicit recording_file(const std::string& content) {
    ::close(::mkstemp(name_));
    std::ofstream(name_, std::ios::binary) << content;
  }
  ~recording_file() { ::unlink(name_); }
  std::string path() const { return name_; }

 private:
  char name_[40] = "/tmp/sluice_replay_XXXXXX";
};

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(compressBound(text.size()) + 32, '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::vector<std::string> lines_of(const std::string& content, std::string* fault = nullptr) {
  const recording_file file(content);
  line_reader reader(file.path());
  std::vector<std::string> lines;
  std::string_view line;
  while (reader.next(line)) lines.emplace_back(line);
  if (fault != nullptr) *fault = reader.fault();
  return lines;
}

using texts = std::vector<std::string>;

TEST(replay_lines, are_the_same_plain_and_compressed_and_in_several_members) {
  const std::string text = "one\ntwo\r\n\nlast without an end";
  const texts expected = {"one", "two", "", "last without an end"};
  EXPECT_EQ(lines_of(text), expected);
  EXPECT_EQ(lines_of(gzip(text)), expected);
  EXPECT_EQ(lines_of(gzip("one\ntw") + gzip("o\r\n\nlast without an end")), expected);
  EXPECT_EQ(lines_of(""), texts{});
  EXPECT_EQ(lines_of("\n"), texts{""});
}

TEST(replay_lines, longer_than_the_buffers_come_whole) {
  std::string text;
  texts expected;
  for (int i = 1; i < 40; ++i) expected.push_back(std::string(static_cast<size_t>(i) * 20'000, static_cast<char>('a' + i % 26)));
  for (const std::string& line : expected) text += line + "\n";
  EXPECT_EQ(lines_of(text), expected);
  EXPECT_EQ(lines_of(gzip(text)), expected);
}

TEST(replay_lines, too_long_is_passed_over_and_told) {
  const std::string monster(line_reader::longest_line * 3, 'x');
  const recording_file file("first\n" + monster + "\n" + monster + "\nlast\n");
  line_reader reader(file.path());
  std::string_view line;
  ASSERT_TRUE(reader.next(line));
  EXPECT_FALSE(reader.skipped_long_line());
  ASSERT_TRUE(reader.next(line));
  EXPECT_EQ(line, "last");
  EXPECT_EQ(reader.line_number(), 4u);
  EXPECT_TRUE(reader.skipped_long_line());
  EXPECT_FALSE(reader.next(line));
}

TEST(replay_lines, damaged_gzip_gives_what_is_before_the_damage_and_says_where_it_is) {
  std::string text;
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) text += std::to_string(random()) + "\n";
  const std::string whole = gzip(text);
  const texts all = lines_of(text);
  for (size_t size = 2; size < whole.size(); size += 97) {
    std::string fault;
    const texts got = lines_of(whole.substr(0, size), &fault);
    EXPECT_FALSE(fault.empty()) << size;
    ASSERT_LE(got.size(), all.size());
    // The last line may be half of one: nobody can tell.
    for (size_t i = 0; i + 1 < got.size(); ++i) ASSERT_EQ(got[i], all[i]) << size;
  }
  std::string damaged = whole;
  damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 0x55);
  std::string fault;
  (void)lines_of(damaged, &fault);
  EXPECT_NE(fault.find("byte"), std::string::npos) << fault;
  EXPECT_NE(fault.find("behind line"), std::string::npos) << fault;
}

std::string parse(const std::string& line, recorded_event& event) {
  std::string padded = line;
  padded.reserve(line.size() + line_reader::padding);
  static json_parser parser;
  return parser.parse(std::string_view(padded).substr(0, line.size()), event);
}

TEST(replay_line, says_what_happened) {
  recorded_event event;
  ASSERT_EQ(parse(R"({"t":132,"host":"H","type":"process_create","pid":8,"ppid":4,"guid":"{AB-1}","image":"C:\\a","cmd":"a \"b\"","session":0,"x":{"y":[1,null]}})",
                  event), "");
  EXPECT_EQ(event.time, 132u);
  EXPECT_EQ(event.kind, event_kind::process_create);
  EXPECT_EQ(event.host, "H");
  EXPECT_EQ(event.pid, 8u);
  EXPECT_EQ(event.parent_pid, 4u);
  EXPECT_EQ(event.guid, "{AB-1}");
  EXPECT_EQ(event.image, u"C:\\a");
  EXPECT_EQ(event.command_line, u"a \"b\"");
  ASSERT_EQ(parse(R"({"t":1,"type":"image_load","pid":8,"guid":"00000000-0000-0000-0000-000000000000"})", event), "");
  EXPECT_EQ(event.guid, "") << "Sysmon did not know the process";
  EXPECT_EQ(event.path, std::nullopt);
}

TEST(replay_line, turns_registry_data_into_what_the_value_held) {
  recorded_event event;
  const auto data = [&](const char* type, const char* text) {
    EXPECT_EQ(parse(std::string(R"({"t":1,"type":"registry_set_value","pid":8,"key_nt":"\\REGISTRY","val":"v","dtype":")") + type +
                        R"(","data":")" + text + "\"}", event), "");
    return event.data;
  };
  using bytes = std::vector<uint8_t>;
  EXPECT_EQ(data("dword", "DWORD (0x01020304)"), (bytes{4, 3, 2, 1}));
  EXPECT_EQ(event.value_type, 4u);
  EXPECT_EQ(data("qword", "QWORD (0x01020304-0x05060708)"), (bytes{8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(event.value_type, 11u);
  EXPECT_EQ(data("string", "\xc3\xa4"), (bytes{0xe4, 0, 0, 0}));
  EXPECT_EQ(event.value_type, 1u);
  EXPECT_EQ(data("binary", ""), bytes{});
  EXPECT_EQ(event.value_type, 3u);
}

TEST(replay_line, keeps_every_16_bit_unit) {
  std::u16string text;
  EXPECT_TRUE(unescape(R"(a\ud83d b \ude00 \ud83d\ude00)", text));
  EXPECT_EQ(text, (std::u16string{u'a', 0xd83d, u' ', u'b', u' ', 0xde00, u' ', 0xd83d, 0xde00}));
  EXPECT_TRUE(unescape("\xf0\x9f\x98\x80\xe4\xb8\xad\xc3\xa4", text));
  EXPECT_EQ(text, (std::u16string{0xd83d, 0xde00, 0x4e2d, 0xe4}));
  EXPECT_TRUE(unescape(R"(\"\\\/\b\f\n\r\t\u0000)", text));
  EXPECT_EQ(text, (std::u16string{u'"', u'\\', u'/', 8, 12, 10, 13, 9, 0}));
  for (const char* wrong : {"\\", "\\x", "\\u12", "\\u12g4", "\\u+123", "\\u-123", "a\"b", "a\nb", "\xf0\x9f", "\xc3"}) {
    EXPECT_FALSE(unescape(wrong, text)) << wrong;
  }
}

TEST(replay_line, of_any_bytes_is_an_event_or_a_fault) {
  const std::string good = R"({"t":132,"host":"H","type":"remote_thread","pid":8,"tid":12,"tpid":16,"start":"0x7FF"})";
  std::mt19937 random(5);
  recorded_event event;
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(parse(good.substr(0, size), event), "") << size;
  for (int round = 0; round < 20'000; ++round) {
    std::string line = good;
    for (uint32_t i = 0, count = random() % 4 + 1; i < count; ++i) line[random() % line.size()] = static_cast<char>(random());
    (void)parse(line, event);
  }
  for (int round = 0; round < 2'000; ++round) {
    std::string line(random() % 200, '\0');
    for (char& c : line) c = static_cast<char>(random());
    EXPECT_NE(parse(line, event), "");
  }
}

std::string line(const char* type, uint64_t t, uint32_t pid, const char* guid, const std::string& more = "") {
  return "{\"t\":" + std::to_string(t) + ",\"host\":\"H\",\"type\":\"" + type + "\",\"pid\":" + std::to_string(pid) + ",\"guid\":\"" +
         guid + "\"" + more + "}\n";
}
std::string created(uint64_t t, uint32_t pid, const char* guid) { return line("process_create", t, pid, guid, ",\"ppid\":4"); }
std::string exited(uint64_t t, uint32_t pid, const char* guid) { return line("process_exit", t, pid, guid); }
std::string loaded(uint64_t t, uint32_t pid, const char* guid) { return line("image_load", t, pid, guid); }

// Line numbers in the order in which the repaired recording gives them.
std::vector<uint64_t> order_of(const std::string& content, repair_counts* counts = nullptr) {
  const recording_file file(content);
  repaired_recording recording(file.path());
  std::vector<uint64_t> order;
  repaired_event event;
  while (recording.next(event)) order.push_back(event.event.line);
  if (counts != nullptr) *counts = recording.counts();
  return order;
}

using order = std::vector<uint64_t>;

TEST(repair, leaves_alone_what_could_have_happened) {
  EXPECT_EQ(order_of(created(10, 8, "a-1") + loaded(10, 8, "a-1") + loaded(20, 12, "b-1") + exited(30, 8, "a-1")), (order{1, 2, 3, 4}));
}

TEST(repair, creates_a_process_before_everything_it_does) {
  EXPECT_EQ(order_of(loaded(5, 12, "b-1") + loaded(10, 8, "a-1") + loaded(20, 12, "b-1") + created(30, 8, "a-1")), (order{1, 4, 2, 3}));
}

TEST(repair, ends_a_process_after_everything_it_does) {
  EXPECT_EQ(order_of(exited(10, 8, "a-1") + loaded(15, 12, "b-1") + loaded(20, 8, "a-1")), (order{3, 1, 2}));
  EXPECT_EQ(order_of(exited(10, 8, "a-1") + loaded(10, 8, "a-1") + loaded(10, 12, "b-1")), (order{2, 3, 1})) << "exits last at one time";
}

TEST(repair, an_exit_before_the_creation_makes_both_one_moment) {
  EXPECT_EQ(order_of(exited(10, 8, "a-1") + loaded(12, 12, "b-1") + created(20, 8, "a-1")), (order{3, 1, 2}));
}

TEST(repair, the_last_of_two_exits_counts) {
  EXPECT_EQ(order_of(exited(10, 8, "a-1") + loaded(15, 8, "a-1") + exited(20, 8, "a-1") + loaded(30, 8, "a-1")), (order{1, 2, 4, 3}));
}

TEST(repair, does_not_touch_processes_that_nobody_knows) {
  EXPECT_EQ(order_of(exited(10, 8, "00-0") + loaded(20, 8, "00-0")), (order{1, 2}));
}

TEST(repair, sorts_what_is_not_sorted) {
  repair_counts counts;
  EXPECT_EQ(order_of(loaded(30, 8, "a-1") + loaded(10, 8, "a-1") + loaded(20, 8, "a-1"), &counts), (order{2, 3, 1}));
  EXPECT_EQ(counts.moved, 2u);
}

TEST(repair, begins_anew_where_time_jumps_back) {
  const uint64_t far = 10 * repaired_recording::jump;
  repair_counts counts;
  // The same recording twice, one behind the other.
  const std::string once = loaded(far, 8, "a-1") + created(far + 5, 8, "a-1") + exited(far + 9, 8, "a-1") + loaded(3 * far, 12, "b-1");
  EXPECT_EQ(order_of(once + once, &counts), (order{2, 1, 3, 4, 6, 5, 7, 8}));
  EXPECT_EQ(counts.jumps_back, 1u);
}

TEST(repair, tells_host_and_processes_of_other_hosts_apart) {
  std::string other = exited(10, 8, "a-1");
  other.replace(other.find("\"H\""), 3, "\"X\"");
  EXPECT_EQ(order_of(other + loaded(20, 8, "a-1")), (order{1, 2}));
}

TEST(repair, an_empty_recording_is_refused) {
  for (const char* empty : {"", "\n\n"}) {
    const recording_file file(empty);
    EXPECT_THROW(repaired_recording recording(file.path()), replay_error);
  }
  EXPECT_THROW(repaired_recording recording("/nonexistent"), std::system_error);
  EXPECT_THROW(repaired_recording recording("/tmp"), std::system_error);
}

TEST(repair, names_file_and_line_of_what_it_cannot_read) {
  const recording_file file(loaded(1, 8, "a-1") + "nonsense\n" + loaded(2, 8, "a-1") + std::string(line_reader::longest_line + 5, 'x') + "\n");
  repaired_recording recording(file.path());
  ASSERT_EQ(recording.faults().size(), 2u);
  EXPECT_EQ(recording.faults()[0].rfind(file.path() + ": line 2: ", 0), 0u) << recording.faults()[0];
  EXPECT_EQ(recording.faults()[1].rfind(file.path() + ": line 4: ", 0), 0u) << recording.faults()[1];
  EXPECT_EQ(recording.counts().lines, 2u);
}

// More than is read ahead.
TEST(repair, a_recording_that_is_cut_after_it_was_looked_through_is_not_taken_for_whole) {
  std::string content;
  for (uint64_t i = 0; i < 5000; ++i) content += loaded(i, 8, "a-1");
  const recording_file file(content);
  repaired_recording recording(file.path());
  ASSERT_EQ(::truncate(file.path().c_str(), static_cast<off_t>(content.size() / 2)), 0);
  repaired_event event;
  uint64_t came = 0;
  try {
    while (recording.next(event)) ++came;
    ADD_FAILURE() << "it ended well after " << came << " events";
  } catch (const replay_error& error) {
    EXPECT_EQ(error.what(), file.path() + ": 5000 events when it was looked through, only " + std::to_string(came) + " now");
  }
  EXPECT_GT(came, 2000u);
}

TEST(repair, what_is_appended_after_it_was_looked_through_is_left_for_another_replay) {
  const recording_file file(loaded(1, 8, "a-1") + loaded(2, 8, "a-1"));
  repaired_recording recording(file.path());
  std::ofstream(file.path(), std::ios::app) << loaded(3, 8, "a-1");
  repaired_event event;
  uint64_t came = 0;
  while (recording.next(event)) ++came;
  EXPECT_EQ(came, 2u);
}

TEST(repair, is_given_up_when_asked) {
  std::string content;
  for (int i = 0; i < 10'000; ++i) content += loaded(1, 8, "a-1");
  const recording_file file(content);
  EXPECT_THROW(repaired_recording(file.path(), [](const reading_progress&) { return false; }), replay_error);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(repair, a_recording_larger_than_memory_streams) {
  char name[] = "/tmp/sluice_large_XXXXXX";
  ::close(::mkstemp(name));
  constexpr uint64_t memory = 48u << 20, events = 200'000;
  {
    gzFile file = gzopen(name, "wb1");
    const std::string path = ",\"load\":\"" + std::string(600, 'x') + "\"";
    for (uint64_t i = 0; i < events; ++i) {
      const std::string text = line("image_load", i, 8 + 4 * (i % 100), "a-1", path);
      ASSERT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
    }
    gzclose(file);
  }
  const pid_t child = ::fork();
  if (child == 0) {
    std::ifstream statm("/proc/self/statm");
    uint64_t pages = 0;
    statm >> pages;
    const rlimit limit{pages * 4096 + memory, pages * 4096 + memory};
    ::setrlimit(RLIMIT_AS, &limit);
    repaired_recording recording(name);  // 130 MB of text
    repaired_event event;
    uint64_t count = 0;
    while (recording.next(event)) ++count;
    ::_exit(count == events ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ::unlink(name);
}
#endif

repaired_event event_of(event_kind kind, uint32_t pid, uint32_t other = 0, const std::string& guid = "a-0001", const std::string& host = "H") {
  repaired_event event;
  event.event.kind = kind;
  event.event.pid = pid;
  event.event.parent_pid = event.event.target_pid = other;
  event.event.guid = guid;
  event.event.host = host;
  return event;
}

struct plan_test : testing::Test {
  const std::vector<std::string> hosts = {"H", "X"};
  raise_plan plan{4, 64, 1, hosts};
};

TEST_F(plan_test, a_process_stays_in_one_lane_and_wanders_over_the_cpus) {
  std::map<uint32_t, uint32_t> cpus;
  const uint32_t lane = plan.next(event_of(event_kind::image_load, 8)).lane;
  uint32_t last = ~0u, moves = 0;
  for (int i = 0; i < 5000; ++i) {
    const planned_event planned = plan.next(event_of(event_kind::image_load, 8));
    EXPECT_EQ(planned.lane, lane);
    if (last != ~0u) {
      EXPECT_EQ(planned.moves, planned.cpu != last) << i;
    }
    moves += planned.moves;
    last = planned.cpu;
    ++cpus[planned.cpu];
  }
  EXPECT_GT(moves, 20u);
  EXPECT_GT(cpus.size(), 10u);
}

TEST_F(plan_test, a_creation_waits_for_the_parent_and_the_parent_for_it) {
  // Two processes of different lanes.
  uint32_t parent = 8, child = 12;
  const uint32_t parent_lane = plan.next(event_of(event_kind::image_load, parent)).lane;
  while (plan.next(event_of(event_kind::image_load, child)).lane == parent_lane) child += 4;
  const planned_event creation = plan.next(event_of(event_kind::process_create, child, parent));
  EXPECT_NE(creation.lane, parent_lane);
  EXPECT_EQ(creation.pid, parent) << "it happens in the parent";
  EXPECT_EQ(creation.subject, child);
  EXPECT_TRUE(creation.moves);
  const auto waits_for = [](const planned_event& planned, uint32_t lane, uint64_t ticket) {
    return std::any_of(planned.after.begin(), planned.after.end(),
                       [&](const lane_step& step) { return step.lane == lane && step.ticket == ticket && ticket != 0; });
  };
  EXPECT_TRUE(waits_for(creation, parent_lane, plan.steps(parent_lane)));
  const uint64_t ticket = plan.steps(creation.lane);
  const planned_event next = plan.next(event_of(event_kind::image_load, parent));
  EXPECT_TRUE(waits_for(next, creation.lane, ticket));
  EXPECT_TRUE(next.moves);
  EXPECT_FALSE(waits_for(plan.next(event_of(event_kind::image_load, parent)), creation.lane, ticket)) << "once is enough";
}

TEST_F(plan_test, the_creations_of_one_parent_follow_one_another_whatever_their_lanes) {
  std::map<uint32_t, lane_step> last;  // by lane: what it has raised
  lane_step previous{};
  const uint32_t parent_lane = plan.next(event_of(event_kind::image_load, 8)).lane;
  for (uint32_t child = 100; child < 400; child += 4) {
    const planned_event planned = plan.next(event_of(event_kind::process_create, child, 8));
    if (previous.ticket != 0 && previous.lane != planned.lane) {
      // Directly, or through the parent's lane, which had waited for it.
      const bool direct = std::any_of(planned.after.begin(), planned.after.end(), [&](const lane_step& step) {
        return step.lane == previous.lane && step.ticket >= previous.ticket;
      });
      EXPECT_TRUE(direct || previous.lane == parent_lane) << child;
    }
    previous = {planned.lane, plan.steps(planned.lane)};
  }
}

TEST_F(plan_test, an_id_that_is_used_again_without_an_exit_is_forgotten_first) {
  EXPECT_FALSE(plan.next(event_of(event_kind::process_create, 8, 4)).forget_subject);
  EXPECT_TRUE(plan.next(event_of(event_kind::process_create, 8, 4)).forget_subject);
  EXPECT_FALSE(plan.next(event_of(event_kind::process_exit, 8)).subject_is_new);
  EXPECT_TRUE(plan.next(event_of(event_kind::process_exit, 8)).subject_is_new) << "a second exit needs a process, too";
  EXPECT_FALSE(plan.next(event_of(event_kind::process_create, 8, 4)).forget_subject);
}

TEST_F(plan_test, a_restart_forgets_the_processes_of_that_host_alone) {
  (void)plan.next(event_of(event_kind::process_create, 8, 4));
  const uint32_t other = plan.next(event_of(event_kind::process_create, 8, 4, "a-0001", "X")).subject;
  EXPECT_NE(other, 8u) << "ids of several hosts are told apart";
  const planned_event first = plan.next(event_of(event_kind::image_load, 12, 0, "b-0002"));
  EXPECT_EQ(first.forget, std::vector<uint32_t>{8});
  EXPECT_EQ(plan.counts().restarts, 1u);
  EXPECT_FALSE(plan.next(event_of(event_kind::process_create, 8, 4, "c-0002")).forget_subject);
  EXPECT_TRUE(plan.next(event_of(event_kind::process_create, 8, 4, "d-0001", "X")).forget_subject);
}

}  // namespace
}  // namespace sluice::replay
