// The process tree and the verdicts that follow it, against a plain model.
#include <algorithm>
#include <map>
#include <memory>
#include <random>

#include "producers/process_tree.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

class filter_processes : public testing::Test {
 protected:
  void SetUp() override {
    resolve_kernel_functions(functions_);
    ASSERT_TRUE(tree_.create(functions_));
  }
  std::unique_ptr<process_verdicts> follow(const std::vector<filter_process>& rules) {
    auto made = std::make_unique<process_verdicts>();
    EXPECT_TRUE(made->create(functions_, process_tree::capacity + static_cast<uint32_t>(rules.size())));
    EXPECT_EQ(tree_.follow(*made, rules.data(), static_cast<uint32_t>(rules.size())), rules.size());
    return made;
  }

  sim::machine machine_;
  sim::activity here_{machine_, 0, 4, 8};
  kernel_functions functions_{};
  process_tree tree_;
};

TEST_F(filter_processes, verdicts_that_come_and_go_stay_findable) {
  process_verdicts table;
  ASSERT_TRUE(table.create(functions_, 100));
  std::map<uint32_t, process_verdict> expected;
  std::mt19937 random(3);
  for (int i = 0; i < 30000; ++i) {
    const uint32_t pid = random() % 300 * 4;
    if (random() % 2 == 0) {
      const auto verdict = random() % 2 == 0 ? process_verdict::include : process_verdict::exclude;
      const bool fits = expected.size() < 100 || expected.count(pid) != 0;
      ASSERT_EQ(table.put(pid, {verdict, process_verdict::none}), fits);
      if (fits) expected[pid] = verdict;
    } else {
      table.remove(pid);
      expected.erase(pid);
    }
    const uint32_t asked = random() % 300 * 4;
    const auto it = expected.find(asked);
    ASSERT_EQ(table.find(asked).own, it == expected.end() ? process_verdict::none : it->second);
  }
  EXPECT_FALSE(table.put(max_filter_process_id + 1, {process_verdict::include, process_verdict::none}));
}

TEST_F(filter_processes, two_rules_for_one_process_are_found) {
  process_verdicts table;
  ASSERT_TRUE(table.create(functions_, 3));
  const filter_process rules[] = {{8, 0}, {12, 0}, {8, 0}};
  EXPECT_EQ(tree_.follow(table, rules, 3), 2u);
}

// A plain tree of maps: each living process has a parent and a verdict for itself and for its children.
TEST_F(filter_processes, it_agrees_with_a_plain_tree) {
  struct entry {
    uint32_t parent = 0;
    process_verdict own = process_verdict::none;
    process_verdict inherited = process_verdict::none;
  };
  std::map<uint32_t, entry> model;
  std::mt19937 random(5);
  std::unique_ptr<process_verdicts> following;
  const auto any = [&] { return std::next(model.begin(), static_cast<ptrdiff_t>(random() % model.size()))->first; };
  const auto exit = [&](uint32_t pid) {
    for (auto& [child, of] : model) {
      if (of.parent == pid) of.parent = model[pid].parent;
    }
    model.erase(pid);
  };
  for (int step = 0; step < 4000; ++step) {
    const uint32_t what = random() % 100;
    if (what < 55 || model.empty()) {
      const uint32_t pid = (random() % 400 + 1) * 4;
      uint32_t parent = model.empty() || random() % 10 == 0 ? (random() % 400 + 1) * 4 : any();
      if (parent == pid) parent = 0;
      if (model.count(pid) != 0) exit(pid);  // the number is used again, and nobody told of the end
      if (parent != 0 && model.count(parent) == 0) {
        // Older than the tree. What a rule says of it was said when it was set.
        model[parent] = {0, following ? following->find(parent).own : process_verdict::none,
                         following ? following->find(parent).inherited : process_verdict::none};
      }
      const process_verdict inherited = parent != 0 ? model[parent].inherited : process_verdict::none;
      tree_.started(pid, parent);
      model[pid] = {parent, inherited, inherited};
    } else if (what < 95) {
      const uint32_t pid = any();
      tree_.exited(pid);
      exit(pid);
    } else {
      std::vector<filter_process> rules;
      for (uint32_t i = random() % 12; i != 0; --i) {
        const uint32_t pid = any();
        if (std::any_of(rules.begin(), rules.end(), [&](const filter_process& rule) { return rule.pid == pid; })) continue;
        rules.push_back({pid, static_cast<uint32_t>(random() % 4)});
      }
      auto next = follow(rules);
      if (following) tree_.forget(*following);
      following = std::move(next);
      const auto rule_of = [&](uint32_t pid) -> const filter_process* {
        for (const filter_process& rule : rules) {
          if (rule.pid == pid) return &rule;
        }
        return nullptr;
      };
      const auto verdict_of = [](const filter_process& rule) {
        return (rule.flags & filter_rule_exclude) != 0 ? process_verdict::exclude : process_verdict::include;
      };
      for (auto& [pid, of] : model) {
        of.own = of.inherited = process_verdict::none;
        for (uint32_t at = pid; at != 0 && of.inherited == process_verdict::none; at = model[at].parent) {
          const filter_process* const rule = rule_of(at);
          if (rule != nullptr && (rule->flags & filter_rule_descendants) != 0) of.inherited = verdict_of(*rule);
        }
        const filter_process* const rule = rule_of(pid);
        of.own = rule != nullptr ? verdict_of(*rule) : of.inherited;
      }
    }
    if (!following || step % 29 != 0) continue;
    for (const auto& [pid, of] : model) {
      ASSERT_EQ(following->find(pid).own, of.own) << "step " << step << " process " << pid;
      ASSERT_EQ(following->find(pid).inherited, of.inherited) << "step " << step << " process " << pid;
    }
  }
  EXPECT_EQ(tree_.untracked(), 0u);
  if (following) tree_.forget(*following);
}

TEST_F(filter_processes, what_finds_no_room_is_counted_and_harms_nobody) {
  auto verdicts = follow({{4, filter_rule_descendants}});
  for (uint32_t i = 1; i <= process_tree::capacity + 100; ++i) tree_.started(4 + 4 * i, 4);
  EXPECT_GE(tree_.untracked(), 100u);
  EXPECT_EQ(verdicts->find(8).own, process_verdict::include);
  for (uint32_t i = 1; i <= process_tree::capacity + 100; ++i) tree_.exited(4 + 4 * i);
  tree_.started(8, 4);
  tree_.started(12, 8);
  EXPECT_EQ(verdicts->find(12).own, process_verdict::include);
  tree_.forget(*verdicts);
}

}  // namespace
}  // namespace sluice::test
