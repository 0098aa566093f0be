// Both forms of a snapshot, through the same cases: the driver's on the simulated kernel, and liburcu's in an ordinary process.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "kernel_port/sim/machine.h"
#include "kernel_port/snapshot/nt_snapshot.h"
#include "kernel_port/snapshot/rcu_snapshot.h"

namespace sluice::test {
namespace {

// Two halves that always belong together; gone when its memory may be used again.
struct pair_of_numbers {
  uint64_t first, second;
  std::atomic<bool> alive{true};
};

struct nt_form {
  using snapshot = nt_snapshot<pair_of_numbers>;
  using reader = snapshot_reader<pair_of_numbers>;

  // A thread of the machine; every third visit on another CPU.
  class thread_scope {
   public:
    explicit thread_scope(nt_form& form, uint32_t number) : here_(*form.machine_, number % 3, 500, 600 + 4 * number) {}
    void wander(uint64_t step) { here_.migrate(static_cast<uint32_t>(step % 3)); }

   private:
    sim::activity here_;
  };

  nt_form() {
    machine_.emplace(sim::machine_options{.processors = 3});
    kernel_functions functions{};
    sim::activity here(*machine_, 0, 4, 8);
    resolve_kernel_functions(functions);
    snapshot_.emplace();
    EXPECT_TRUE(snapshot_->create(functions));
  }
  ~nt_form() {
    sim::activity here(*machine_, 0, 4, 8);
    snapshot_.reset();
  }
  snapshot& get() { return *snapshot_; }

 private:
  std::optional<sim::machine> machine_;
  std::optional<snapshot> snapshot_;
};

struct rcu_form {
  using snapshot = rcu_snapshot<pair_of_numbers>;
  using reader = rcu_snapshot_reader<pair_of_numbers>;

  class thread_scope {
   public:
    explicit thread_scope(rcu_form&, uint32_t) { urcu_memb_register_thread(); }
    ~thread_scope() { urcu_memb_unregister_thread(); }
    void wander(uint64_t) {}
  };

  snapshot& get() { return snapshot_; }

 private:
  snapshot snapshot_;
};

template <class form>
class snapshot_test : public testing::Test {
 protected:
  form form_;
};
#ifdef __SANITIZE_THREAD__
using forms = testing::Types<nt_form>;  // ThreadSanitizer knows nothing of what liburcu's library orders
#else
using forms = testing::Types<nt_form, rcu_form>;
#endif
TYPED_TEST_SUITE(snapshot_test, forms);

TYPED_TEST(snapshot_test, a_reader_finds_what_was_put_there_last) {
  typename TypeParam::thread_scope here(this->form_, 0);
  auto& snapshot = this->form_.get();
  EXPECT_FALSE(snapshot.any());
  { EXPECT_EQ(typename TypeParam::reader(snapshot).get(), nullptr); }
  pair_of_numbers one{1, 1}, two{2, 2};
  EXPECT_EQ(snapshot.replace(&one), nullptr);
  EXPECT_TRUE(snapshot.any());
  { EXPECT_EQ(typename TypeParam::reader(snapshot).get(), &one); }
  EXPECT_EQ(snapshot.replace(&two), &one);
  { EXPECT_EQ(typename TypeParam::reader(snapshot).get(), &two); }
  EXPECT_EQ(snapshot.replace(nullptr), &two);
  EXPECT_FALSE(snapshot.any());
  { EXPECT_EQ(typename TypeParam::reader(snapshot).get(), nullptr); }
  EXPECT_EQ(snapshot.replace(nullptr), nullptr);
}

TYPED_TEST(snapshot_test, what_is_replaced_is_given_back_only_when_its_last_reader_has_left) {
  auto& snapshot = this->form_.get();
  pair_of_numbers one{1, 1}, two{2, 2};
  {
    typename TypeParam::thread_scope here(this->form_, 0);
    (void)snapshot.replace(&one);
  }
  std::atomic<bool> inside{false}, may_leave{false}, given_back{false};
  std::thread reader([&] {
    typename TypeParam::thread_scope here(this->form_, 1);
    typename TypeParam::reader reading(snapshot);
    inside = true;
    for (uint64_t i = 0; !may_leave.load(); ++i) {
      here.wander(i);
      EXPECT_TRUE(reading.get()->alive.load());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(reading.get(), &one);
    EXPECT_TRUE(reading.get()->alive.load());
  });
  while (!inside.load()) std::this_thread::yield();
  std::thread writer([&] {
    typename TypeParam::thread_scope here(this->form_, 2);
    EXPECT_EQ(snapshot.replace(&two), &one);
    one.alive = false;
    given_back = true;
  });
  {
    typename TypeParam::thread_scope here(this->form_, 3);
    for (bool seen = false; !seen;) {
      typename TypeParam::reader reading(snapshot);
      seen = reading.get() == &two;
    }
  }
  EXPECT_FALSE(given_back.load());
  may_leave = true;
  reader.join();
  writer.join();
  typename TypeParam::thread_scope here(this->form_, 0);
  EXPECT_EQ(snapshot.replace(nullptr), &two);
}

TYPED_TEST(snapshot_test, readers_see_one_whole_snapshot_while_it_is_replaced_all_the_time) {
  auto& snapshot = this->form_.get();
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> visits{0};
  std::vector<std::thread> readers;
  for (uint32_t i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      typename TypeParam::thread_scope here(this->form_, i);
      uint64_t newest = 0;
      for (uint64_t step = 0; !stop.load(std::memory_order_relaxed); ++step) {
        typename TypeParam::reader reading(snapshot);
        if (reading.get() == nullptr) continue;
        const uint64_t first = reading.get()->first;
        if (step % 16 == 0) here.wander(step / 16);
        EXPECT_TRUE(reading.get()->alive.load(std::memory_order_relaxed));
        EXPECT_EQ(reading.get()->second, first);
        EXPECT_GE(first, newest);
        newest = first;
        visits.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  {
    typename TypeParam::thread_scope here(this->form_, 3);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(200);
    uint64_t replacements = 0;
    for (; (replacements < 300 || visits.load() < 3000) && std::chrono::steady_clock::now() < limit; ++replacements) {
      auto next = std::make_unique<pair_of_numbers>();
      next->first = next->second = replacements + 1;
      pair_of_numbers* const gone = snapshot.replace(replacements % 5 == 4 ? nullptr : next.release());
      if (gone == nullptr) continue;
      gone->alive = false;
      gone->second = 0;
      delete gone;
    }
    EXPECT_GE(replacements, 300u);
    EXPECT_GE(visits.load(), 3000u);
    stop = true;
    for (std::thread& reader : readers) reader.join();
    delete snapshot.replace(nullptr);
  }
}

}  // namespace
}  // namespace sluice::test
