// consumers/image: the rings of a machine that has died, in the files that are left of it.
#include <algorithm>

#include "tests/consumers/image_support.h"

using namespace sluice;
using namespace sluice::test;
using namespace sluice::image;

TEST(image, gives_what_was_complete_in_the_order_of_the_merge) {
  dead_machine machine(3);
  write_in_turn(machine, 90);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  EXPECT_EQ(values_of(events), up_to(90));
  EXPECT_TRUE(std::is_sorted(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.time < b.time; }));
  EXPECT_TRUE(source.take_faults().empty());
  EXPECT_EQ(source.report().complete(), 90u);
  EXPECT_EQ(source.report().open(), 0u);
  EXPECT_EQ(source.report().cpu_count, 3u);
  EXPECT_EQ(source.report().rings.size(), 6u);
  EXPECT_EQ(source.capabilities().clock_frequency, frequency);
  EXPECT_EQ(source.capabilities().anchor_counter, 1u);
  // The same end, however often it is asked.
  std::vector<uint8_t> buffer(source.least_buffer());
  EXPECT_EQ(source.read(buffer, {}).status, read_status::end);
}

// The clock went back by a million ticks, twice, before the machine died: the rings tell, and the stream's times go on.
TEST(image, a_clock_that_stepped_back_begins_an_epoch) {
  dead_machine machine(3);
  machine.time.now = 5'000'000;
  write_in_turn(machine, 30);
  for (uint64_t value = 30; value < 90; ++value) {
    if (value % 30 == 0) machine.time.now -= 1'000'000;
    ASSERT_EQ(machine.write(value % 3, value), reserve_status::ok);
  }
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  std::vector<uint64_t> values, places;
  for (const image_event& event : events) {
    if (event.type == record_type_epoch) {
      places.push_back(values.size());
    } else {
      values.push_back(event.value);
    }
    EXPECT_FALSE(event.late);
  }
  EXPECT_EQ(values, up_to(90));
  EXPECT_EQ(places, (std::vector<uint64_t>{30, 60}));
  EXPECT_TRUE(std::is_sorted(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(image, a_saved_region_alone_is_an_image) {
  dead_machine machine(3);
  write_in_turn(machine, 90);
  const file_on_disk file(dead_machine::region_of(machine.main(1)));
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  ASSERT_EQ(events.size(), 30u);
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].value, 3 * i + 1);
  EXPECT_EQ(source.report().rings.size(), 1u);
}

TEST(image, regions_are_found_on_any_page_between_anything) {
  dead_machine machine(2);
  write_in_turn(machine, 40, 2);
  blob image(3 * 4096, 0x53);  // no header begins with it
  for (uint32_t cpu : {1u, 0u}) {  // in any order
    const blob region = dead_machine::region_of(machine.main(cpu));
    image.insert(image.end(), region.begin(), region.end());
    image.resize(image.size() + 5 * 4096, 0xcc);
  }
  image.resize(image.size() + 100);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(40));
  EXPECT_EQ(ring_of(source, 1).address, 3u * 4096);
}

TEST(image, positions_that_wrap_are_followed) {
  dead_machine machine(1, 0xffffff00);
  for (uint64_t i = 0; i < 40; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<image_event> events = read_all(source);
  EXPECT_EQ(values_of(events), up_to(40));
  EXPECT_EQ(events.front().identity.position, 0xffffff00u);
  EXPECT_EQ(events.back().identity.position, uint64_t{0xffffff00} + 39 * 24);
}

TEST(image, says_what_was_open_and_what_was_discarded) {
  dead_machine machine(2);
  record stamped, discarded, reserved;
  ASSERT_EQ(machine.write(0, 0), reserve_status::ok);
  ASSERT_EQ(machine.rings(0).reserve(event_type_process_create, 1, 64, stamped), reserve_status::ok);
  const event_context holder{17, 18};
  std::memcpy(stamped.payload(), &holder, sizeof holder);
  const uint64_t stamped_at = machine.time.now - 1;
  ASSERT_EQ(machine.write(1, 1), reserve_status::ok);
  ASSERT_EQ(machine.rings(1).reserve(ordinary_type, 1, 8, discarded), reserve_status::ok);
  discarded.close(record_state::discarded);
  ASSERT_EQ(machine.rings(1).reserve(ordinary_type, 1, 8, reserved), reserve_status::ok);
  reserved.close(record_state::reserved);  // as if it had died before the clock was read
  ASSERT_EQ(machine.write(1, 2), reserve_status::ok);
  ASSERT_EQ(machine.write(0, 3), reserve_status::ok);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(4)) << "an open record holds nothing back: it will never be closed";

  const ring_report& first = ring_of(source, 0);
  ASSERT_EQ(first.open.size(), 1u);
  EXPECT_EQ(first.open[0].type, event_type_process_create);
  EXPECT_EQ(first.open[0].state, record_state::stamped);
  EXPECT_EQ(first.open[0].position, 24u);
  EXPECT_EQ(first.open[0].length, 80u);
  EXPECT_EQ(first.open[0].time, stamped_at);
  EXPECT_EQ(first.open[0].pid, 17u);
  EXPECT_EQ(first.open[0].tid, 18u);
  EXPECT_EQ(first.complete, 2u);
  const ring_report& second = ring_of(source, 1);
  ASSERT_EQ(second.open.size(), 1u);
  EXPECT_EQ(second.open[0].state, record_state::reserved);
  EXPECT_EQ(second.discarded, 1u);
  EXPECT_TRUE(source.take_faults().empty()) << "what was open is no damage";
}

TEST(image, what_was_published_last_is_the_last_record) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  // A record whose producer died before it published: never accepted.
  blob image = machine.memory();
  const record_header unpublished{make_state_and_length(record_state::reserved, 24), ordinary_type, 1, 0, 0, 0};
  std::memcpy(&image[4096 + 240], &unpublished, sizeof unpublished);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(10));
  EXPECT_EQ(source.report().open(), 0u);
}

TEST(image, of_a_ring_that_is_there_twice_the_newer_is_read) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  for (uint64_t i = 10; i < 20; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob later = machine.memory();
  image.insert(image.end(), later.begin(), later.end());
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(20));
  EXPECT_EQ(source.take_faults().size(), 2u);
}

TEST(image, of_several_boots_the_newest_is_read_unless_one_is_asked_for) {
  dead_machine older(1, 0, boot), newer(1, 0, boot + 5);
  ASSERT_EQ(older.write(0, 1), reserve_status::ok);
  ASSERT_EQ(newer.write(0, 2), reserve_status::ok);
  blob image = older.memory();
  const blob rest = newer.memory();
  image.insert(image.end(), rest.begin(), rest.end());
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), std::vector<uint64_t>{2});
  EXPECT_EQ(source.report().other_boots, std::vector<uint64_t>{boot});
  image_source chosen(file.path(), {{}, boot, {}});
  EXPECT_EQ(values_of(read_all(chosen)), std::vector<uint64_t>{1});
  EXPECT_NE(message_of(file.path(), {{}, 7, {}}).find("no rings of boot 7; there are:"), std::string::npos);
}

TEST(image, tells_of_losses_that_no_record_tells_of) {
  dead_machine machine(1);
  uint64_t written = 0, dropped = 0;
  while (machine.write(0, written) == reserve_status::ok) ++written;
  for (dropped = 1; dropped < 5; ++dropped) ASSERT_EQ(machine.write(0, 0), reserve_status::dropped);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  std::vector<image_event> events = read_all(source);
  ASSERT_EQ(events.size(), written + 1);
  EXPECT_EQ(events.back().type, record_type_loss);
  EXPECT_TRUE(events.back().figures);

  // Once a LOSS record tells of it, it is told of once.
  machine.main(0).claim(24);
  reader passing;
  ASSERT_EQ(machine.write(0, 1, 8, critical_type), reserve_status::ok);
  const file_on_disk later(machine.memory());
  image_source again(later.path());
  events = read_all(again);
  EXPECT_EQ(std::count_if(events.begin(), events.end(), [](const image_event& e) { return e.type == record_type_loss; }), 1);
  EXPECT_EQ(std::count_if(events.begin(), events.end(), [](const image_event& e) { return e.figures; }), 0);
}

TEST(image, types_that_were_not_asked_for_are_left_out) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i, 8, i % 2 ? critical_type : ordinary_type), reserve_status::ok);
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  source.set_types(uint64_t{1} << critical_type);
  EXPECT_EQ(values_of(read_all(source)), (std::vector<uint64_t>{1, 3, 5, 7, 9}));
}

TEST(image, own_types_are_known_by_the_catalog) {
  dead_machine machine(1);
  ASSERT_EQ(machine.write(0, 42), reserve_status::ok);
  auto catalog = std::make_unique<type_catalog>();
  create_catalog(*catalog, boot);
  type_entry& entry = catalog->entries[0];
  entry.head = {ordinary_type, 1, 0, 1, "sample"};
  entry.fields[0] = {"value", 0, 8, field_kind::unsigned_integer, {}};
  catalog->header.count = 1;
  blob image = machine.memory();
  const auto* const from = reinterpret_cast<const uint8_t*>(catalog.get());
  image.insert(image.end(), from, from + sizeof *catalog);
  const file_on_disk file(image);
  image_source source(file.path());
  type_registry types;
  std::string error;
  EXPECT_EQ(types.learn_all(source.types(), error), 1u) << error;
  ASSERT_NE(types.find(ordinary_type), nullptr);
  EXPECT_EQ(types.find(ordinary_type)->name, "sample");
  EXPECT_EQ(source.report().own_types, 1u);
}
