// The words for statuses and reasons.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "pipeline/batch.h"
#include "pipeline/region.h"
#include "producers/filter_message.h"

namespace sluice {
namespace {

// A text for each value there is, and none twice.
template <class value>
void expect_names(uint32_t count) {
  std::set<std::string> names;
  for (uint32_t i = 0; i < count; ++i) names.insert(std::string(name_of(static_cast<value>(i))));
  EXPECT_EQ(names.size(), count);
  const std::string none(name_of(static_cast<value>(count)));
  EXPECT_FALSE(names.contains(none)) << none;
  EXPECT_NE(none.find("unknown"), std::string::npos) << none;
}

TEST(names, each_reason_has_its_own) {
  expect_names<filter_error>(static_cast<uint32_t>(filter_error::not_for_clients) + 1);
  expect_names<batch_status>(static_cast<uint32_t>(batch_status::wrong_record) + 1);
  expect_names<region_status>(static_cast<uint32_t>(region_status::wrong_checksum) + 1);
}

}  // namespace
}  // namespace sluice
