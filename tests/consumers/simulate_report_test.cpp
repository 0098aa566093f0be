#include "consumers/tool/simulate_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
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

// An account that holds; each test breaks one thing of it.
struct simulate_account_test : testing::Test {
  driver_statistics driver;
  std::optional<raised_callbacks> raised = raised_callbacks{};
  protocol::clients_header header{};
  protocol::client_row client{};
  const type_names names;

  simulate_account_test() {
    protocol::statistics_row row{};
    row.cpu = 3;
    row.type = event_type_image_load;
    row.account.attempted = 10;
    row.account.committed = 6;
    row.account.dropped[0] = 3;
    row.filtered[0] = 1;
    driver.rows.push_back(row);
    driver.header.switched_off = 2;
    raised->by_type[event_type_image_load] = 12;
    std::memcpy(client.name, "reader", 6);
    client.pid = 77;
    client.offered = 5;
    client.delivered = 3;
    client.lost = 1;
    client.waiting = 1;
    header.gone_clients = 2;
    header.gone_offered = 9;
    header.gone_delivered = 5;
    header.gone_lost = 3;
    header.gone_undelivered = 1;
  }

  std::vector<uint8_t> clients() const {
    std::vector<uint8_t> answer(sizeof header + sizeof client);
    std::memcpy(answer.data(), &header, sizeof header);
    std::memcpy(answer.data() + sizeof header, &client, sizeof client);
    return answer;
  }
  std::vector<std::string> broken() const { return find_broken({driver, raised, clients(), names}); }
  // What is broken is one thing, whose sentence has these words, and the report has it, too.
  void expect_broken(std::initializer_list<const char*> words) const {
    const std::vector<std::string> found = broken();
    ASSERT_EQ(found.size(), 1u);
    for (const char* word : words) EXPECT_NE(found[0].find(word), std::string::npos) << found[0];
    EXPECT_NE(report({driver, raised, clients(), names}, found).find(found[0]), std::string::npos);
  }
};

TEST_F(simulate_account_test, that_holds_is_not_said_to_be_broken) {
  EXPECT_EQ(broken(), std::vector<std::string>());
  const std::string said = report({driver, raised, clients(), names}, {});
  EXPECT_NE(said.find("client reader (process 77): offered 5, delivered 3, lost 1, waiting 1"), std::string::npos) << said;
  EXPECT_NE(said.find("2 clients that have left: offered 9, delivered 5, lost 3, not taken 1"), std::string::npos) << said;
}

TEST_F(simulate_account_test, a_cpu_that_has_lost_an_event_without_a_word_is_named) {
  ++driver.rows[0].account.attempted;
  ++raised->by_type[event_type_image_load];
  expect_broken({"R3 BROKEN", "image on cpu 3", "attempted 11", "committed 6", "dropped 3", "filtered 1"});
}

TEST_F(simulate_account_test, callbacks_that_the_driver_never_met_are_missed) {
  ++raised->by_type[event_type_image_load];
  expect_broken({"R3 BROKEN", "raised 13", "12 were attempted or met a type switched off"});
}

TEST_F(simulate_account_test, a_client_whose_account_does_not_add_up_is_named) {
  --client.waiting;
  expect_broken({"BROKEN", "the client reader"});
}

TEST_F(simulate_account_test, clients_that_have_left_are_still_accounted_for) {
  --header.gone_undelivered;
  expect_broken({"BROKEN", "clients that have left"});
}

}  // namespace
}  // namespace sluice::tool
