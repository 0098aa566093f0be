// Path entries against a plain reading of the rule.
#include <algorithm>
#include <memory>
#include <random>

#include "producers/filter_paths.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

class filter_paths_test : public testing::Test {
 protected:
  void make(std::vector<filter_parts::path> entries, bool images = true) {
    message_ = (images ? filter_parts{.images = std::move(entries)} : filter_parts{.keys = std::move(entries)}).message();
    filter_header header;
    std::memcpy(&header, message_.data(), sizeof header);
    ASSERT_EQ(validate_filter(message_.data(), static_cast<uint32_t>(message_.size())).error, filter_error::none);
    ASSERT_TRUE(fold_.create(functions_));
    paths_ = std::make_unique<filter_paths>();
    filter_check check{};
    ASSERT_TRUE(paths_->create(functions_, fold_, message_.data(), images ? header.images : header.keys, images, check));
  }
  bool keeps(std::u16string_view path, bool whole = true) {
    return paths_->keeps(path.data(), static_cast<uint32_t>(path.size() * 2), whole);
  }
  void SetUp() override { resolve_kernel_functions(functions_); }

  sim::machine machine_;
  sim::activity here_{machine_, 0, 4, 8};
  kernel_functions functions_{};
  case_table fold_;
  std::vector<uint8_t> message_;
  std::unique_ptr<filter_paths> paths_;
};

TEST_F(filter_paths_test, an_entry_ends_where_a_component_ends) {
  make({{u"\\A\\Bc"}});
  EXPECT_TRUE(keeps(u"\\a\\bC"));
  EXPECT_TRUE(keeps(u"\\a\\bc\\d"));
  EXPECT_TRUE(keeps(u"\\a\\bc\\"));
  EXPECT_FALSE(keeps(u"\\a\\bcd"));
  EXPECT_FALSE(keeps(u"\\a\\b"));
  EXPECT_FALSE(keeps(u"\\a"));
  EXPECT_FALSE(keeps(u"a\\bc"));
  EXPECT_FALSE(keeps(u""));
  EXPECT_FALSE(keeps(u"\\"));
}

TEST_F(filter_paths_test, a_path_that_is_known_in_part_is_judged_by_what_is_certain) {
  make({{u"\\a"}, {u"\\a\\b", true}, {u"\\c\\d", true}});
  EXPECT_FALSE(keeps(u"\\a\\b\\c", false));
  EXPECT_TRUE(keeps(u"\\a\\b", false)) << "it may go on as \\a\\bx";
  EXPECT_TRUE(keeps(u"\\a\\x", false));
  EXPECT_TRUE(keeps(u"\\c\\d", false)) << "nothing certain applies";
  EXPECT_FALSE(keeps(u"\\c\\d"));
}

TEST_F(filter_paths_test, the_same_entry_twice_is_one) {
  make({{u"\\a\\b"}, {u"\\A\\B"}, {u"/a/b"}});
  EXPECT_TRUE(keeps(u"\\a\\b\\c"));
  EXPECT_FALSE(keeps(u"\\a\\c"));
}

TEST_F(filter_paths_test, very_deep_paths_are_judged) {
  std::u16string deep;
  for (int i = 0; i < 200; ++i) deep += u"\\d";
  make({{deep}, {u"\\d", true}});
  EXPECT_TRUE(keeps(deep));
  EXPECT_TRUE(keeps(deep + u"\\x"));
  EXPECT_FALSE(keeps(deep.substr(2)));
}

TEST_F(filter_paths_test, it_agrees_with_a_plain_search_through_all_entries) {
  std::mt19937 random(11);
  const std::u16string letters = u"aAbB\u00e4\u00c4_";
  const auto random_path = [&](uint32_t depth) {
    std::u16string path;
    for (uint32_t i = 0; i < depth; ++i) {
      path += u'\\';
      for (uint32_t k = random() % 2 + 1; k != 0; --k) path += letters[random() % letters.size()];
    }
    return path;
  };
  const auto folded = [](std::u16string text) {
    for (char16_t& unit : text) unit = static_cast<char16_t>(RtlUpcaseUnicodeChar(static_cast<WCHAR>(unit)));
    return text;
  };
  for (int round = 0; round < 40; ++round) {
    std::vector<filter_parts::path> entries;
    std::vector<std::u16string> seen;
    for (uint32_t i = random() % 30 + 1; i != 0; --i) {
      filter_parts::path entry{random_path(random() % 4 + 1), random() % 2 == 0};
      if (std::find(seen.begin(), seen.end(), folded(entry.text)) != seen.end()) continue;
      seen.push_back(folded(entry.text));
      entries.push_back(std::move(entry));
    }
    make(entries, false);
    bool includes = false;
    for (const auto& entry : entries) includes |= !entry.exclude;
    for (int i = 0; i < 300; ++i) {
      const std::u16string path = random_path(random() % 6);
      const std::u16string upper = folded(path);
      bool expected = !includes;
      size_t longest = 0;
      for (const auto& entry : entries) {
        const std::u16string prefix = folded(entry.text);
        const bool applies = upper.starts_with(prefix) && (upper.size() == prefix.size() || upper[prefix.size()] == u'\\');
        if (!applies || prefix.size() < longest) continue;
        longest = prefix.size();
        expected = !entry.exclude;
      }
      ASSERT_EQ(keeps(path), expected) << round << "/" << i;
    }
  }
}

TEST_F(filter_paths_test, case_is_folded_as_the_kernel_folds_it) {
  ASSERT_TRUE(fold_.create(functions_));
  for (uint32_t unit = 0; unit < 0x10000; ++unit) {
    ASSERT_EQ(fold_.upper(static_cast<uint16_t>(unit)), RtlUpcaseUnicodeChar(static_cast<WCHAR>(unit))) << unit;
  }
}

}  // namespace
}  // namespace sluice::test
