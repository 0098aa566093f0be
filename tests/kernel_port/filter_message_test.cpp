// Checking a filter message: what is right passes, and each thing that can be wrong is found, with its place.
#include "producers/filter_validation.h"

#include <memory>
#include <random>

#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

// In a block of exactly its size, so that a sanitizer sees a byte too many.
filter_check check(const std::vector<uint8_t>& message) {
  const std::unique_ptr<uint64_t[]> exact(new uint64_t[(message.size() + 7) / 8]);
  uint8_t* const end = reinterpret_cast<uint8_t*>(exact.get()) + (message.size() + 7) / 8 * 8;
  uint8_t* const begin = end - (message.size() + 7) / 8 * 8;
  if (!message.empty()) std::memcpy(begin, message.data(), message.size());
  return validate_filter(begin, static_cast<uint32_t>(message.size()));
}

filter_parts everything() {
  return {.repeat_types = 0x100, .repeat_window_ms = 10, .process_rate_types = 0x200, .process_rate = {5, 6},
          .processes = {{4, 0}, {8, filter_rule_exclude | filter_rule_descendants}, {0, filter_rule_exclude}},
          .images = {{u"\\a\\b"}, {u"/usr/bin", true}}, .keys = {{u"\\REGISTRY\\x/y"}},
          .type_rates = {{9, 0, {1, 1}, 0}, {63, 0, {max_events_per_second, max_burst}, 0}}};
}

template <class change>
void expect_error(filter_error error, uint32_t offset, change&& break_it) {
  std::vector<uint8_t> message = everything().message();
  break_it(message);
  const filter_check found = check(message);
  EXPECT_EQ(found.error, error) << name_of(found.error);
  EXPECT_EQ(found.offset, offset) << name_of(error);
}
template <class value>
void put(std::vector<uint8_t>& message, size_t offset, value what) {
  ASSERT_LE(offset + sizeof what, message.size());
  std::memcpy(&message[offset], &what, sizeof what);
}

TEST(filter_message, what_is_right_passes) {
  EXPECT_EQ(check(filter_parts{}.message()).error, filter_error::none);
  EXPECT_EQ(check(everything().message()).error, filter_error::none);
}

TEST(filter_message, every_field_of_the_header_is_checked) {
  const auto header = [](size_t offset, auto value, filter_error error, size_t where) {
    expect_error(error, static_cast<uint32_t>(where), [&](std::vector<uint8_t>& message) { put(message, offset, value); });
  };
  header(0, uint32_t{1}, filter_error::magic, 0);
  header(4, uint16_t{2}, filter_error::version, 4);
  header(6, uint16_t{127}, filter_error::header_bytes, 6);
  header(8, uint32_t{128}, filter_error::total_bytes, 8);
  header(12, uint32_t{1}, filter_error::reserved, 12);
  header(44, uint32_t{1}, filter_error::reserved, 44);
  for (size_t at = 96; at < 128; at += 8) header(at, uint64_t{1} << 63, filter_error::reserved, at);
  header(40, uint32_t{0}, filter_error::repeat_window, 40);
  header(40, uint32_t{max_repeat_window_ms + 1}, filter_error::repeat_window, 40);
  header(32, uint64_t{0}, filter_error::repeat_window, 40);
  header(48, uint64_t{0}, filter_error::process_rate, 48);
  header(56, uint64_t{0}, filter_error::process_rate, 48);
  header(56, uint32_t{0}, filter_error::rate, 56);
  header(56, uint32_t{max_events_per_second + 1}, filter_error::rate, 56);
  header(60, uint32_t{max_burst + 1}, filter_error::rate, 56);
  for (const size_t table : {64, 72, 80, 88}) {
    header(table, uint32_t{0}, filter_error::table_place, table);
    header(table, uint32_t{120}, filter_error::table_place, table);
    header(table, uint32_t{0xfffffff8}, filter_error::table_place, table);
    header(table, uint32_t{132}, filter_error::table_place, table);
    header(table + 4, uint32_t{0}, filter_error::table_place, table);
    header(table + 4, uint32_t{64}, filter_error::table_place, table);
    header(table + 4, uint32_t{0xffffffff}, filter_error::too_many, table);
    header(table + 4, uint32_t{0x20000001}, filter_error::too_many, table);
  }
}

TEST(filter_message, every_entry_is_checked) {
  filter_header header;
  const std::vector<uint8_t> message = everything().message();
  std::memcpy(&header, message.data(), sizeof header);
  const auto at = [](size_t offset, auto value, filter_error error, size_t where) {
    expect_error(error, static_cast<uint32_t>(where), [&](std::vector<uint8_t>& changed) { put(changed, offset, value); });
  };
  const size_t rule = header.processes.offset + 8, zero = header.processes.offset + 16;
  at(rule, uint32_t{max_filter_process_id + 1}, filter_error::process_id, rule);
  at(rule + 4, uint32_t{4}, filter_error::flags, rule + 4);
  at(zero + 4, uint32_t{filter_rule_descendants}, filter_error::process_id, zero);
  const size_t rate = header.type_rates.offset + 16;
  at(rate, uint16_t{7}, filter_error::rate_type, rate);
  at(rate, uint16_t{64}, filter_error::rate_type, rate);
  at(rate, uint16_t{9}, filter_error::rate_twice, rate);
  at(rate + 2, uint16_t{1}, filter_error::reserved, rate + 2);
  at(rate + 4, uint32_t{0}, filter_error::rate, rate + 4);
  at(rate + 8, uint32_t{0}, filter_error::rate, rate + 4);
  at(rate + 12, uint32_t{1}, filter_error::reserved, rate + 12);
  for (const filter_table& table : {header.images, header.keys}) {
    const size_t entry = table.offset;
    filter_path path;
    std::memcpy(&path, &message[entry], sizeof path);
    at(entry, uint32_t{path.offset + 1}, filter_error::path_place, entry);
    at(entry, uint32_t{126}, filter_error::path_place, entry);
    at(entry, uint32_t{0xfffffffe}, filter_error::path_place, entry);
    at(entry + 4, uint16_t{5}, filter_error::path_place, entry);
    at(entry + 4, uint16_t{0xfffe}, filter_error::path_place, entry);
    at(entry + 6, uint16_t{2}, filter_error::flags, entry + 6);
    at(entry + 4, uint16_t{2}, filter_error::path_form, entry);
    at(entry + 4, uint16_t{0}, filter_error::path_form, entry);
    at(path.offset, u'x', filter_error::path_form, entry);
    at(path.offset + 2, u'\\', filter_error::path_form, entry);
    at(path.offset + 2, u'\0', filter_error::path_form, entry);
    at(path.offset + path.length - 2, u'\\', filter_error::path_form, entry);
  }
}

TEST(filter_message, entries_that_share_their_text_cannot_make_more_work_than_the_message_is_long) {
  const std::u16string text = u"\\" + std::u16string(5000, u'a');
  filter_parts parts{.keys = {{text}}};
  std::vector<uint8_t> message = parts.message();
  // A second table of 1000 entries, all with the same text.
  filter_header header;
  std::memcpy(&header, message.data(), sizeof header);
  filter_path entry;
  std::memcpy(&entry, &message[header.keys.offset], sizeof entry);
  message.resize((message.size() + 7) / 8 * 8);
  header.images = {static_cast<uint32_t>(message.size()), 1000};
  for (int i = 0; i < 1000; ++i) {
    message.insert(message.end(), reinterpret_cast<uint8_t*>(&entry), reinterpret_cast<uint8_t*>(&entry + 1));
  }
  header.total_bytes = static_cast<uint32_t>(message.size());
  std::memcpy(message.data(), &header, sizeof header);
  EXPECT_EQ(check(message).error, filter_error::path_bytes);
}

TEST(filter_message, cut_at_any_byte_it_is_refused) {
  const std::vector<uint8_t> whole = everything().message();
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(check({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)}).error, filter_error::none) << length;
  }
}

// Whatever bytes come, nothing outside of them is read; and what passes can be compiled.
TEST(filter_message, damaged_ones_are_refused_or_can_be_compiled) {
  sim::machine machine;
  sim::activity here(machine, 0, 4, 8);
  kernel_functions functions{};
  resolve_kernel_functions(functions);
  case_table fold;
  std::mt19937 random(7);
  const std::vector<uint8_t> whole = everything().message();
  uint32_t passed = 0;
  for (int i = 0; i < 3000; ++i) {
    std::vector<uint8_t> message = whole;
    for (uint32_t k = random() % 4 + 1; k != 0; --k) {
      const size_t at = random() % 4 == 0 ? random() % message.size() : random() % 200 % message.size();
      message[at] = random() % 2 == 0 ? static_cast<uint8_t>(random()) : static_cast<uint8_t>(message[at] ^ 1u << random() % 8);
    }
    if (check(message).error != filter_error::none) continue;
    ++passed;
    compiled_filter filter;
    filter_check found{};
    ASSERT_EQ(filter.create(functions, fold, message.data(), static_cast<uint32_t>(message.size()), found), STATUS_SUCCESS);
    (void)filter.images().keeps(u"\\a\\b\\c", 12, true);
    (void)filter.keys().keeps(u"\\REGISTRY\\x/y", 26, true);
  }
  EXPECT_GE(passed, 10u) << "nothing was tried";
}

}  // namespace
}  // namespace sluice::test
