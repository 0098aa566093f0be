#include "consumers/tool/simulate_report.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace sluice::tool {
namespace {

TEST(simulate_report, says_that_the_clients_are_not_known_where_the_driver_did_not_answer) {
  const driver_statistics statistics;
  const std::optional<raised_callbacks> raised;
  const type_names names;
  const std::vector<uint8_t> no_answer, nobody(sizeof(protocol::clients_header));
  EXPECT_NE(report({statistics, raised, no_answer, names}, {}).find("clients: not known"), std::string::npos);
  EXPECT_EQ(report({statistics, raised, nobody, names}, {}).find("not known"), std::string::npos);
}

}  // namespace
}  // namespace sluice::tool
