#include "bench/curve/load_file.h"

#include <fstream>
#include <stdexcept>

namespace sluice::bench {
namespace {

// The parts in their order, for both directions.
template <class file, class load, class action>
void each_part(file& through, load& what, uint64_t& room, action&& part) {
  part(through, room);
  part(through, what.begin);
  part(through, what.offered);
  part(through, what.dropped);
  part(through, what.attempted);
  part(through, what.closed);
  part(through, what.late);
}

template <class value>
void write_list(std::ofstream& file, const std::vector<value>& list) {
  const uint64_t count = list.size();
  file.write(reinterpret_cast<const char*>(&count), sizeof count);
  file.write(reinterpret_cast<const char*>(list.data()), static_cast<std::streamsize>(count * sizeof(value)));
}

template <class value>
void read_list(std::ifstream& file, std::vector<value>& list) {
  uint64_t count = 0;
  file.read(reinterpret_cast<char*>(&count), sizeof count);
  if (!file) return;
  list.resize(count);
  file.read(reinterpret_cast<char*>(list.data()), static_cast<std::streamsize>(count * sizeof(value)));
}

}  // namespace

void save_load(const generated& load, uint64_t room, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  each_part(file, load, room, [](std::ofstream& to, const auto& part) {
    to.write(reinterpret_cast<const char*>(&part), sizeof part);
  });
  write_list(file, load.log.drops);
  write_list(file, load.log.looks);
  write_list(file, load.log.passes);
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

generated read_load(const std::string& path, uint64_t& room) {
  generated load;
  std::ifstream file(path, std::ios::binary);
  each_part(file, load, room, [](std::ifstream& from, auto& part) { from.read(reinterpret_cast<char*>(&part), sizeof part); });
  read_list(file, load.log.drops);
  read_list(file, load.log.looks);
  read_list(file, load.log.passes);
  if (!file) throw std::runtime_error(path + ": ends too early");
  return load;
}

}  // namespace sluice::bench
