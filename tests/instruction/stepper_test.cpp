// The stepper itself: that it stops before each instruction, once, and continues from there as often as it is asked.
#include "tests/instruction/scenario.h"

using namespace sluice::instruction;

namespace {

struct counters {
  uint64_t a = 0;
  uint64_t b = 0;
};

// Three stores and a return.
__attribute__((naked)) void three_stores(void*) {
  __asm__("movq $1, (%rdi)\n\tmovq $2, 8(%rdi)\n\tmovq $3, (%rdi)\n\tret");
}

// Keeps what it works with in registers, of both kinds, and on its stack.
void sum_up(void* of) {
  counters& mine = *static_cast<counters*>(of);
  volatile uint64_t on_stack = 40;
  double product = 1;
  for (uint64_t i = 1; i <= 4; ++i) {
    product *= static_cast<double>(i);
    on_stack = on_stack + i;
    __asm__ volatile("" : "+x"(product));
  }
  mine.a = on_stack;
  mine.b = static_cast<uint64_t>(product);
}

}  // namespace

TEST(the_stepper, stops_before_each_instruction) {
  SLUICE_NEEDS_SINGLE_STEPS();
  stepper steps;
  counters mine;
  std::vector<std::pair<uint64_t, uint64_t>> seen;
  std::vector<ptrdiff_t> offsets;
  const uint64_t boundaries = steps.run(three_stores, &mine, [&] {
    seen.emplace_back(mine.a, mine.b);
    offsets.push_back(steps.offset());
  });
  EXPECT_EQ(boundaries, 4u);
  const std::vector<std::pair<uint64_t, uint64_t>> wanted{{0, 0}, {1, 0}, {1, 2}, {3, 2}};
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(offsets, (std::vector<ptrdiff_t>{0, 7, 15, 22}));
}

TEST(the_stepper, takes_the_code_up_from_every_instruction_as_often_as_wanted) {
  SLUICE_NEEDS_SINGLE_STEPS();
  stepper steps;
  counters mine;
  uint64_t continued = 0;
  const uint64_t boundaries = steps.run(sum_up, &mine, [&] {
    for (int i = 0; i < 3; ++i) {
      mine = {};
      steps.run_the_rest();
      ++continued;
      EXPECT_TRUE((mine.a == 50 || mine.a == 0) && (mine.b == 24 || mine.b == 0)) << mine.a << ", " << mine.b;
      EXPECT_TRUE(steps.boundary() >= 10 || (mine.a == 50 && mine.b == 24)) << "no store is among the first instructions";
    }
    mine = {};
  });
  EXPECT_GT(boundaries, 20u);
  EXPECT_EQ(continued, 3 * boundaries);
}

TEST(the_stepper, leaves_code_behind) {
  SLUICE_NEEDS_SINGLE_STEPS();
  stepper steps;
  counters mine;
  const uint64_t boundaries = steps.run(three_stores, &mine, [&] {
    if (steps.boundary() == 2) steps.abandon();
  });
  EXPECT_EQ(boundaries, 2u);
  EXPECT_EQ(mine.a, 1u);
  EXPECT_EQ(mine.b, 2u);
}
