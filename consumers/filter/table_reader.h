// One table of a filter file: what it has under the keys that are known, and what it has besides. Whatever is wrong is said
// to the diagnostics; the reader goes on with the rest.
#pragma once

#include <toml++/toml.h>

#include <optional>
#include <string>
#include <vector>

#include "consumers/filter/diagnostic.h"

namespace sluice::filter {

// A value and where it stands.
template <class type>
struct located {
  type value;
  position at;
};

position position_of(const toml::node& node);
// "an integer", "a list": as the user knows them.
std::string_view kind_of(const toml::node& node);

class table_reader {
 public:
  // `name`: of the table, as in "[include]"; empty: the file's own.
  table_reader(const toml::table& table, std::string name, diagnostics& found);

  // Each asks once for a key. None: it is not there, or it is something else, which was said.
  // `example` is what would be right.
  std::optional<located<std::string>> string(std::string_view key, std::string_view example);
  std::optional<located<int64_t>> integer(std::string_view key, int64_t least, int64_t most, std::string_view example);
  std::optional<located<bool>> boolean(std::string_view key);
  // Null: no list is there.
  const toml::array* list(std::string_view key, std::string_view example);
  // A list's entries without those that are something else.
  struct string_list {
    const toml::array& list;
    std::vector<located<std::string>> entries;
  };
  std::optional<string_list> strings(std::string_view key, std::string_view example);
  const toml::table* table(std::string_view key, std::string_view example);
  // [[key]], one after another.
  std::vector<const toml::table*> tables(std::string_view key, std::string_view example);

  // Everything that nobody asked for is unknown.
  void finish();

  // `node` as a number, called `name`. None: it is something else, or out of range, which was said.
  static std::optional<int64_t> number(const toml::node& node, std::string_view name, int64_t least, int64_t most,
                                       std::string_view example, diagnostics& found);

 private:
  const toml::node* take(std::string_view key);
  void wrong_kind(const toml::node& node, std::string_view key, std::string_view wanted, std::string_view example);
  std::string full_name(std::string_view key) const;

  const toml::table& table_;
  std::string name_;
  diagnostics& found_;
  std::vector<std::string> known_;
};

}  // namespace sluice::filter
