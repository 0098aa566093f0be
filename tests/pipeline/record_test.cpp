// pipeline/record.h: the format of a record, bit by bit, written out by hand: a change of format must fail here.
#include "pipeline/record.h"

#include <gtest/gtest.h>

#include "pipeline/account.h"

using namespace sluice;

TEST(record, state_stands_in_the_top_four_bits_and_length_in_the_rest) {
  EXPECT_EQ(make_state_and_length(record_state::reserved, 16), 0x10000010u);
  EXPECT_EQ(make_state_and_length(record_state::discarded, record_length_mask), 0x4fffffffu);
  for (auto state : {record_state::none, record_state::reserved, record_state::stamped, record_state::committed,
                     record_state::discarded}) {
    for (uint32_t length : {0u, 16u, 17u, 4096u, record_length_mask}) {
      EXPECT_EQ(state_of(make_state_and_length(state, length)), state);
      EXPECT_EQ(length_of(make_state_and_length(state, length)), length);
    }
  }
}

TEST(record, only_committed_and_discarded_are_closed) {
  EXPECT_FALSE(is_closed(record_state::none));
  EXPECT_FALSE(is_closed(record_state::reserved));
  EXPECT_FALSE(is_closed(record_state::stamped));
  EXPECT_TRUE(is_closed(record_state::committed));
  EXPECT_TRUE(is_closed(record_state::discarded));
}

TEST(record, stride_rounds_up_to_eight) {
  EXPECT_EQ(record_stride(16), 16u);
  for (uint32_t length = 17; length <= 24; ++length) EXPECT_EQ(record_stride(length), 24u) << length;
  EXPECT_EQ(record_stride(25), 32u);
}

TEST(record, time_is_two_words_low_first) {
  const record_header header{0, 0, 0, 0, 0x55667788, 0x11223344};
  EXPECT_EQ(time_of(header), 0x1122334455667788u);
}

// R3 is what this predicate says; a row that is off by one in any column must not pass.
TEST(record, r3_a_row_balances_only_if_every_column_is_counted) {
  account_row row{10, 4, 3, 1, {1, 1, 0, 0}};
  EXPECT_TRUE(row.balances());
  ++row.attempted;
  EXPECT_FALSE(row.balances());
  for (uint32_t reason = 0; reason < drop_reason_count; ++reason) {
    account_row other = row;
    ++other.dropped[reason];
    EXPECT_TRUE(other.balances()) << name_of(static_cast<drop_reason>(reason));
  }
  account_row sum{};
  sum.add(row);
  sum.add(row);
  EXPECT_EQ(sum.attempted, 22u);
  EXPECT_EQ(sum.committed, 8u);
  EXPECT_EQ(sum.discarded, 6u);
  EXPECT_EQ(sum.open, 2u);
  EXPECT_EQ(sum.dropped_total(), 4u);
}
