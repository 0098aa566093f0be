// Copies of rings that are written to (protocol::code_copy_ring), and the images made of them: what a snapshot shows is whole,
// was written, and leaves nothing out between its first record and its last. C1, C2: pipeline/ring_copy.h.
#include <filesystem>
#include <map>

#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/image/image_source.h"
#include "consumers/snapshot/new_file.h"
#include "tests/consumers/file_on_disk.h"
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

sim::machine_options machine_of(ring_mode mode, uint32_t ring_bytes, uint32_t processors) {
  return {.processors = processors,
          .service_parameters = {{u"Sluice", u"RingBytes", ring_bytes}, {u"Sluice", u"Mode", static_cast<uint32_t>(mode)}}};
}

// Every byte of an event follows from its number, and so does its length.
std::u16string path_of(uint64_t number) {
  return u"\\" + std::u16string(number % 57, static_cast<char16_t>(u'a' + number % 26));
}
void write_event(uint64_t number) {
  const std::u16string path = path_of(number);
  sim::load_image({.base = number, .path = path});
}

// Where a snapshot's image is, for as long as the object lives.
class image_place {
 public:
  explicit image_place(const snapshot& taken) {
    new_file file((std::filesystem::temp_directory_path() / "sluice_snapshot").string());
    write_image(taken, file);
    path_ = file.finish();
  }
  ~image_place() { std::filesystem::remove(path_); }
  image_place(const image_place&) = delete;
  image_place& operator=(const image_place&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct image_content {
  std::vector<received> records;
  image::image_report report;
  std::vector<std::string> faults;
};

image_content read_image(const std::string& path) {
  image::image_source source(path);
  image_content content{{}, source.report(), source.take_faults()};
  std::vector<uint8_t> buffer(source.least_buffer());
  for (;;) {
    const read_result result = source.read(buffer, std::chrono::seconds(1));
    if (result.status == read_status::end) return content;
    for (received& record : parse(buffer, result.bytes)) content.records.push_back(std::move(record));
  }
}

// An event as it was written.
uint64_t check_whole(const received& record) {
  const auto image = record.as<image_load_payload>();
  EXPECT_EQ(record.text(image.path), path_of(image.base));
  return image.base;
}

const image::ring_report& main_ring(const image_content& content, uint32_t cpu) {
  return content.report.rings.at(size_t{cpu} * lanes_per_cpu + lane_main);
}

// Of each CPU: whole events, none missing between the first and the last but what LOSS records tell of. Returns how many.
uint64_t check_content(const image_content& content, uint32_t cpus, ring_mode mode) {
  EXPECT_TRUE(content.faults.empty()) << content.faults.front();
  EXPECT_EQ(content.report.rings.size(), size_t{cpus} * lanes_per_cpu);
  for (const image::ring_report& ring : content.report.rings) {
    EXPECT_EQ(ring.damaged_bytes(), 0u);
    EXPECT_EQ(ring.out_of_order, 0u);
    EXPECT_EQ(ring.mode, mode);
  }
  std::vector<uint64_t> next(cpus, ~uint64_t{0});
  uint64_t events = 0;
  for (const received& record : content.records) {
    if ((record.flags & batch_flag_figures) != 0 || record.lane != lane_main) continue;
    uint64_t& expected = next[record.cpu];
    if (record.type == record_type_loss) {
      expected += expected == ~uint64_t{0} ? 0 : record.as<loss_payload>().events;
      continue;
    }
    if (record.type != event_type_image_load) continue;
    const uint64_t number = check_whole(record);
    if (expected == ~uint64_t{0}) {
      if (mode == ring_mode::overwrite) {
        EXPECT_EQ(main_ring(content, record.cpu).overwritten, number) << "C2: exactly what stood before the first";
      }
    } else {
      EXPECT_EQ(number, expected) << "cpu " << record.cpu;
    }
    expected = number + 1;
    ++events;
  }
  return events;
}

// Writers on every CPU, until the object is told to stop.
class load {
 public:
  load(sim::machine& machine, uint32_t cpus) : written_(cpus) {
    for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
      threads_.emplace_back([&, cpu] {
        sim::activity here(machine, cpu, 700, 704 + 4 * cpu);
        for (uint64_t number = 0; !stop_.load(); ++number) {
          write_event(number);
          written_[cpu].store(number + 1);
        }
      });
    }
  }
  ~load() { finish(); }
  load(const load&) = delete;
  load& operator=(const load&) = delete;

  void finish() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // How many events that CPU has written at least.
  uint64_t written(uint32_t cpu) const { return written_[cpu].load(); }
  void wait_for(uint64_t events) const {
    for (const std::atomic<uint64_t>& each : written_) {
      while (each.load() < events) std::this_thread::yield();
    }
  }

 private:
  std::vector<std::atomic<uint64_t>> written_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// Reads until the object is told to stop.
class background_reader {
 public:
  explicit background_reader(sim::machine& machine) : client_(machine), thread_([this] { run(); }) {}
  ~background_reader() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run() {
    while (!stop_.load()) {
      std::vector<received> records;
      (void)client_.read(records, std::chrono::milliseconds(5));
    }
  }
  client client_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

protocol::ring_copy_request request_of(uint16_t cpu, uint8_t lane = lane_main, uint8_t next = 0) {
  return {protocol::version, cpu, lane, next};
}

NTSTATUS copy_ring(client& by, const protocol::ring_copy_request& request, std::span<uint8_t> out, uint64_t& bytes,
                   size_t in = sizeof(protocol::ring_copy_request)) {
  uint8_t message[sizeof request];
  std::memcpy(message, &request, sizeof request);
  return by.file.control(protocol::code_copy_ring, std::span(message).first(in), out, bytes);
}

protocol::ring_copy header_of(std::span<const uint8_t> answer) {
  protocol::ring_copy piece{};
  std::memcpy(&piece, answer.data(), std::min(sizeof piece, answer.size()));
  return piece;
}

struct driver_snapshot : testing::TestWithParam<ring_mode> {};

TEST_P(driver_snapshot, of_rings_at_rest_shows_what_they_hold) {
  constexpr uint64_t offered = 60;
  loaded_machine on(machine_of(GetParam(), 65536, 2));
  for (uint64_t i = 0; i < offered; ++i) write_event(i);
  device_source source(simulated_system(on.machine, 4000));
  const image_place image(take_snapshot(source));
  const image_content content = read_image(image.path());
  EXPECT_EQ(check_content(content, 2, GetParam()), offered);
  client reader(on.machine);
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), offered) << "nothing was taken by it";
}

TEST_P(driver_snapshot, of_rings_under_load_shows_whole_events_without_gaps) {
  constexpr uint32_t cpus = 3;
  constexpr int snapshots = 15;
  // Large enough for its producer to come past while it is copied.
  loaded_machine on(machine_of(GetParam(), GetParam() == ring_mode::overwrite ? 256 << 10 : 16384, cpus));
  background_reader reader(on.machine);
  device_source source(simulated_system(on.machine, 4000));
  load writers(on.machine, cpus);
  writers.wait_for(5000);  // a lap and more
  uint64_t events = 0;
  for (int i = 0; i < snapshots; ++i) {
    uint64_t before[cpus];
    for (uint32_t cpu = 0; cpu < cpus; ++cpu) before[cpu] = writers.written(cpu);
    const snapshot taken = take_snapshot(source);
    uint64_t after[cpus];
    for (uint32_t cpu = 0; cpu < cpus; ++cpu) after[cpu] = writers.written(cpu);
    const image_place image(taken);
    const image_content content = read_image(image.path());
    events += check_content(content, cpus, GetParam());
    std::map<uint32_t, uint64_t> newest;
    for (const received& record : of_type(content.records, event_type_image_load)) newest[record.cpu] = check_whole(record);
    for (const auto& [cpu, number] : newest) {
      EXPECT_LE(number, after[cpu]) << "one more can have been written than was told";
      const ring_snapshot& ring = taken.rings.at(size_t{cpu} * lanes_per_cpu + lane_main);
      if (GetParam() == ring_mode::discard || ring.missing != 0) continue;
      EXPECT_GE(number + 1, before[cpu]) << "what was written before it is there";
    }
  }
  EXPECT_GT(events, 0u);
}

// Each piece has room for little more than one record: the producers come past between two pieces again and again.
TEST_P(driver_snapshot, in_small_pieces_is_as_good) {
  constexpr uint32_t cpus = 2;
  loaded_machine on(machine_of(GetParam(), 16384, cpus));
  device_source source(simulated_system(on.machine, 4000));
  const uint32_t least = sizeof(protocol::ring_copy) + source.capabilities().max_record_bytes;
  {
    load writers(on.machine, cpus);
    writers.wait_for(1000);
    for (int i = 0; i < 10; ++i) {
      const image_place image(take_snapshot(source, least));
      check_content(read_image(image.path()), cpus, GetParam());
    }
  }
  // At rest: the same as in one piece.
  const image_place small(take_snapshot(source, least)), large(take_snapshot(source));
  const image_content pieces = read_image(small.path()), whole = read_image(large.path());
  EXPECT_GT(check_content(whole, cpus, GetParam()), 50u);
  ASSERT_EQ(pieces.records.size(), whole.records.size());
  for (size_t i = 0; i < whole.records.size(); ++i) {
    EXPECT_EQ(pieces.records[i].position, whole.records[i].position);
    EXPECT_EQ(pieces.records[i].payload, whole.records[i].payload);
  }
}

TEST_P(driver_snapshot, shows_what_is_open_and_holds_nothing_up_for_it) {
  loaded_machine on(machine_of(GetParam(), 65536, 1));
  device_source source(simulated_system(on.machine, 4000));
  for (uint64_t i = 0; i < 5; ++i) write_event(i);
  reservation held;
  ASSERT_TRUE(sensor_under_test->events().reserve_event(event_type_image_load, sizeof(image_load_payload), held));
  for (uint64_t i = 5; i < 9; ++i) write_event(i);
  const image_place image(take_snapshot(source));
  held.discard();
  const image_content content = read_image(image.path());
  EXPECT_EQ(check_content(content, 1, GetParam()), 9u);
  ASSERT_EQ(main_ring(content, 0).open.size(), 1u);
  EXPECT_EQ(main_ring(content, 0).open[0].type, event_type_image_load);
  EXPECT_EQ(main_ring(content, 0).open[0].state, record_state::stamped);
}

TEST_P(driver_snapshot, cut_anywhere_shows_nothing_that_was_not_there) {
  loaded_machine on(machine_of(GetParam(), 16384, 1));
  for (uint64_t i = 0; i < 500; ++i) write_event(i);
  device_source source(simulated_system(on.machine, 4000));
  const image_place image(take_snapshot(source));
  std::map<uint64_t, std::vector<uint8_t>> whole;
  for (const received& record : read_image(image.path()).records) {
    if (record.lane == lane_main && (record.flags & batch_flag_figures) == 0) whole[record.position] = record.payload;
  }
  std::vector<uint8_t> bytes(std::filesystem::file_size(image.path()));
  FILE* const file = std::fopen(image.path().c_str(), "rb");
  ASSERT_EQ(std::fread(bytes.data(), 1, bytes.size(), file), bytes.size());
  std::fclose(file);
  uint64_t shown = 0;
  for (size_t i = 1; i < 100; ++i) {
    const file_on_disk cut(std::span<const uint8_t>(bytes).first(bytes.size() * i / 100 + i % 8));
    try {
      for (const received& record : read_image(cut.path()).records) {
        if (record.lane != lane_main || (record.flags & batch_flag_figures) != 0) continue;
        const auto found = whole.find(record.position);
        ASSERT_NE(found, whole.end()) << "cut at " << i << " %";
        EXPECT_EQ(found->second, record.payload);
        ++shown;
      }
    } catch (const image::image_error&) {  // not even the first region is there
    }
  }
  EXPECT_GT(shown, whole.size()) << "some of the parts hold events";
}

INSTANTIATE_TEST_SUITE_P(modes, driver_snapshot, testing::Values(ring_mode::discard, ring_mode::overwrite),
                         [](const auto& about) { return name_of(about.param); });

TEST(driver_ring_copy, wrong_requests_are_refused) {
  loaded_machine on(machine_of(ring_mode::overwrite, 65536, 2));
  client by(on.machine);
  std::vector<uint8_t> out(sizeof(protocol::ring_copy) + by.capabilities().max_record_bytes);
  uint64_t bytes = 0;
  EXPECT_EQ(copy_ring(by, request_of(0), out, bytes), STATUS_SUCCESS);
  EXPECT_GE(bytes, sizeof(protocol::ring_copy));
  EXPECT_EQ(copy_ring(by, request_of(2), out, bytes), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(copy_ring(by, request_of(0xffff), out, bytes), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(copy_ring(by, request_of(0, lanes_per_cpu), out, bytes), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(copy_ring(by, request_of(0, lane_main, 2), out, bytes), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(copy_ring(by, {protocol::version + 1, 0, 0, 0}, out, bytes), STATUS_REVISION_MISMATCH);
  EXPECT_EQ(copy_ring(by, request_of(0), out, bytes, sizeof(protocol::ring_copy_request) - 1), STATUS_INFO_LENGTH_MISMATCH);
  EXPECT_EQ(copy_ring(by, request_of(0), out, bytes, 0), STATUS_INFO_LENGTH_MISMATCH);
  for (const size_t size : {size_t{0}, sizeof(protocol::ring_copy), out.size() - 1}) {
    EXPECT_EQ(copy_ring(by, request_of(0), std::span(out).first(size), bytes), STATUS_BUFFER_TOO_SMALL) << size;
  }
}

// A handle can ask for the next piece only of what it was given itself; anything else is a first piece.
TEST(driver_ring_copy, goes_on_for_whoever_began_it) {
  loaded_machine on(machine_of(ring_mode::discard, 65536, 2));
  for (uint64_t i = 0; i < 200; ++i) write_event(i);
  client by(on.machine), other(on.machine);
  std::vector<uint8_t> out(sizeof(protocol::ring_copy) + by.capabilities().max_record_bytes);
  uint64_t bytes = 0;
  const auto piece = [&](client& who, uint16_t cpu, uint8_t next) {
    EXPECT_EQ(copy_ring(who, request_of(cpu, lane_main, next), out, bytes), STATUS_SUCCESS);
    const protocol::ring_copy answer = header_of(out);
    EXPECT_EQ(bytes, answer.header_bytes + answer.record_bytes);
    EXPECT_EQ(answer.end - answer.begin, answer.record_bytes);
    return answer;
  };
  const protocol::ring_copy first = piece(by, 0, 1);
  EXPECT_LT(first.end, first.until);
  EXPECT_EQ(piece(by, 0, 1).begin, first.end);
  EXPECT_EQ(piece(other, 0, 1).begin, first.begin) << "of another handle";
  EXPECT_EQ(piece(other, 1, 1).begin, piece(other, 1, 0).begin) << "of another ring";
}

// Nobody reads: the worker has nothing else to do, and answers all the same.
TEST(driver_ring_copy, needs_no_reader_and_takes_nothing) {
  loaded_machine on(machine_of(ring_mode::overwrite, 8192, 1));
  for (uint64_t i = 0; i < 1000; ++i) write_event(i);
  device_source source(simulated_system(on.machine, 4000));
  for (int i = 0; i < 3; ++i) {
    const snapshot taken = take_snapshot(source);
    EXPECT_EQ(taken.rings.at(lane_main).missing, 0u);
    EXPECT_FALSE(taken.rings.at(lane_main).overtaken);
    EXPECT_GT(taken.rings.at(lane_main).records.size(), 4096u);
  }
  client reader(on.machine);
  const auto images = of_type(reader.drain(), event_type_image_load);
  ASSERT_FALSE(images.empty());
  EXPECT_EQ(check_whole(images.back()), 999u);
}

}  // namespace
}  // namespace sluice::test
