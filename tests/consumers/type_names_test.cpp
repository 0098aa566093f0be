#include "consumers/type_names.h"

#include <gtest/gtest.h>

#include "consumers/nearest.h"
#include "tests/consumers/batch_builder.h"

namespace sluice {
namespace {

using namespace test;

bytes two_own_types() {
  bytes all = declaration(40, "heartbeat", {});
  const bytes second = declaration(41, "process", {});
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

TEST(type_names, a_group_is_all_of_its_events) {
  const type_names names;
  EXPECT_EQ(names.find("process"), bit_of(event_type_process_create) | bit_of(event_type_process_exit));
  EXPECT_EQ(names.find("thread"), bit_of(event_type_thread_create) | bit_of(event_type_thread_exit));
  EXPECT_EQ(names.find("image"), bit_of(event_type_image_load));
  EXPECT_EQ(names.find("registry"), uint64_t{0x3f} << event_type_registry_create_key);
  EXPECT_EQ(names.find("own"), ~uint64_t{0} << first_own_type);
}

TEST(type_names, single_events_have_the_names_of_the_output) {
  const type_names names;
  for (uint16_t type = first_event_type; type <= event_type_registry_rename_key; ++type) {
    EXPECT_EQ(names.find(name_of_type(type)), bit_of(type)) << name_of_type(type);
  }
}

TEST(type_names, what_carries_the_stream_is_no_event) {
  const type_names names;
  for (const char* name : {"loss", "anchor", "type_declaration", "overdue", "", "Process", "type_40"}) {
    EXPECT_EQ(names.find(name), 0u) << name;
  }
}

TEST(type_names, own_types_are_found_by_the_name_their_driver_gave_them) {
  const type_names names(two_own_types());
  EXPECT_EQ(names.find("heartbeat"), bit_of(40));
  EXPECT_EQ(names.find("heart"), 0u);
  EXPECT_NE(names.known().find("own types: heartbeat"), std::string::npos) << names.known();
}

TEST(type_names, an_own_type_cannot_take_a_name_of_the_library) {
  EXPECT_EQ(type_names(two_own_types()).find("process"), bit_of(event_type_process_create) | bit_of(event_type_process_exit));
}

TEST(type_names, a_damaged_declaration_ends_what_is_known) {
  bytes all = two_own_types();
  all.resize(all.size() - 1);
  const type_names names(all);
  EXPECT_EQ(names.find("heartbeat"), bit_of(40));
}

TEST(type_names, types_are_shown_as_groups_where_all_of_one_are_meant) {
  const type_names names(two_own_types());
  EXPECT_EQ(names.show(names.find("process") | bit_of(event_type_registry_set_value) | bit_of(40) | bit_of(50)),
            "process, registry_set_value, heartbeat, type 50");
  EXPECT_EQ(names.show(all_events), "process, thread, image, registry, own, " + names.show(all_events & ~names.find("process") &
            ~names.find("thread") & ~names.find("image") & ~names.find("registry") & ~all_own_types));
}

TEST(nearest, finds_a_slip_of_the_keys_and_nothing_else) {
  const std::vector<std::string> known = {"process", "registry", "image"};
  EXPECT_EQ(nearest("proces", known), "process");
  EXPECT_EQ(nearest("porcess", known), "process");
  EXPECT_EQ(nearest("regstry", known), "registry");
  EXPECT_EQ(nearest("files", known), "");
  EXPECT_EQ(nearest("i", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), known), "");
}

}  // namespace
}  // namespace sluice
