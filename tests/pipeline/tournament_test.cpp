// pipeline/tournament.h against std::min_element.
#include "pipeline/tournament.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

using namespace sluice;

namespace {

struct model {
  explicit model(const std::vector<uint64_t>& start)
      : keys(start), nodes(tournament_nodes(static_cast<uint32_t>(start.size()))) {
    tree.attach(nodes.data(), static_cast<uint32_t>(start.size()));
    rebuild();
  }
  void rebuild() {
    for (uint32_t i = 0; i < keys.size(); ++i) tree.set(i, keys[i]);
    tree.rebuild();
  }
  void replace_winner(uint64_t key) {
    keys[tree.winner().leaf] = key;
    tree.replace_winner(key);
  }
  // std::min_element gives the first of equal ones: the lower leaf.
  uint32_t smallest() const {
    return static_cast<uint32_t>(std::min_element(keys.begin(), keys.end()) - keys.begin());
  }
  tournament_node second() const {
    tournament_node best{tournament::never, ~0u};
    for (uint32_t i = 0; i < keys.size(); ++i) {
      if (i != smallest() && tournament::before({keys[i], i}, best)) best = {keys[i], i};
    }
    return best;
  }
  void check() const {
    ASSERT_EQ(tree.winner().leaf, smallest());
    ASSERT_EQ(tree.winner().key, keys[smallest()]);
    const tournament_node runner_up = tree.runner_up();
    ASSERT_EQ(runner_up.key, second().key);
    if (runner_up.key != tournament::never) {
      ASSERT_EQ(runner_up.leaf, second().leaf);
    }
  }

  std::vector<uint64_t> keys;
  std::vector<tournament_node> nodes;
  tournament tree;
};

}  // namespace

TEST(tournament, width_is_the_next_power_of_two) {
  EXPECT_EQ(tournament_width(1), 1u);
  EXPECT_EQ(tournament_width(2), 2u);
  EXPECT_EQ(tournament_width(3), 4u);
  EXPECT_EQ(tournament_width(64), 64u);
  EXPECT_EQ(tournament_width(65), 128u);
}

TEST(tournament, before_is_lexicographic) {
  EXPECT_TRUE(tournament::before({1, 9}, {2, 0}));
  EXPECT_TRUE(tournament::before({2, 0}, {2, 1}));
  EXPECT_FALSE(tournament::before({2, 1}, {2, 1}));
  EXPECT_FALSE(tournament::before({2, 1}, {2, 0}));
}

TEST(tournament, equal_keys_go_to_the_lower_leaf) {
  for (uint32_t leaves : {2u, 3u, 5u, 8u, 13u}) {
    model m(std::vector<uint64_t>(leaves, 7));
    EXPECT_EQ(m.tree.winner().leaf, 0u);
    EXPECT_EQ(m.tree.runner_up().leaf, 1u);
    m.replace_winner(7);
    EXPECT_EQ(m.tree.winner().leaf, 0u) << "the same key wins again";
    for (uint32_t expected = 1; expected < leaves; ++expected) {
      m.replace_winner(8);
      EXPECT_EQ(m.tree.winner().leaf, expected);
    }
    m.replace_winner(8);
    EXPECT_EQ(m.tree.winner().leaf, 0u);
  }
}

TEST(tournament, one_leaf_has_no_runner_up) {
  model m({5});
  EXPECT_EQ(m.tree.winner().key, 5u);
  EXPECT_EQ(m.tree.runner_up().key, tournament::never);
  m.replace_winner(6);
  EXPECT_EQ(m.tree.winner().key, 6u);
}

TEST(tournament, leaves_that_nothing_was_set_for_never_win) {
  std::vector<tournament_node> nodes(tournament_nodes(5));
  tournament tree;
  tree.attach(nodes.data(), 5);
  EXPECT_EQ(tree.winner().key, tournament::never);
  tree.set(4, tournament::never - 1);
  tree.rebuild();
  EXPECT_EQ(tree.winner().leaf, 4u);
}

TEST(tournament, random_keys_agree_with_min_element) {
  std::mt19937_64 random(7);
  for (uint32_t leaves = 1; leaves < 260; leaves = leaves < 20 ? leaves + 1 : leaves * 3 / 2) {
    std::vector<uint64_t> start(leaves);
    for (uint64_t& key : start) key = random() % 9;
    model m(start);
    for (uint32_t step = 0; step < 500; ++step) {
      ASSERT_NO_FATAL_FAILURE(m.check()) << leaves << " leaves, step " << step;
      if (random() % 100 == 0) {
        for (uint64_t& key : m.keys) key = random() % 9;
        m.rebuild();
      } else {
        m.replace_winner(random() % 16 == 0 ? tournament::never : m.tree.winner().key + random() % 20 - random() % 3);
      }
    }
  }
}
