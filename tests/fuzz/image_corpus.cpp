// Writes image_raw.bin and image_core.bin: two CPUs with complete, open and discarded records, a loss, own types.
#include <fstream>
#include <memory>

#include "tests/consumers/image_support.h"

using namespace sluice;
using namespace sluice::test;

int main(int count, char** arguments) {
  if (count != 2) return 1;
  dead_machine machine(2, 0xfffffc00);
  for (uint64_t i = 0; i < 30; ++i) {
    if (machine.write(i % 2, i, 8 + i) != reserve_status::ok) return 1;
  }
  open_record<native_seam> open, discarded;
  if (machine.rings(0).reserve(event_type_thread_create, 1, 40, open) != reserve_status::ok) return 1;
  if (machine.rings(1).reserve(ordinary_type, 1, 8, discarded) != reserve_status::ok) return 1;
  discarded.close(record_state::discarded);
  for (uint64_t i = 30; machine.write(0, i, 100) == reserve_status::ok; ++i) {
  }
  if (machine.write(0, 1, 8, critical_type) != reserve_status::ok) return 1;
  auto catalog = std::make_unique<type_catalog>();
  create_catalog(*catalog, boot);
  catalog->entries[0].head = {ordinary_type, 1, 0, 1, "sample"};
  catalog->entries[0].fields[0] = {"value", 0, 8, field_kind::unsigned_integer, {}};
  catalog->header.count = 1;

  blob raw = dead_machine::region_of(machine.main(0));
  const blob second = dead_machine::region_of(machine.main(1));
  raw.insert(raw.end(), second.begin(), second.end());
  const auto* const from = reinterpret_cast<const uint8_t*>(catalog.get());
  raw.insert(raw.end(), from, from + sizeof(catalog_header) + sizeof(type_entry));
  const blob core = make_core({{0x10000, blob(raw.begin(), raw.begin() + 6000), 8192},
                               {0x12000, blob(raw.begin() + 8192, raw.end()), raw.size() - 8192}});
  for (const auto& [name, content] : {std::pair<const char*, const blob*>{"image_raw.bin", &raw}, {"image_core.bin", &core}}) {
    std::ofstream file(std::string(arguments[1]) + "/" + name, std::ios::binary);
    file.put(1);  // checksums are made right: tests/fuzz/image_fuzz.cpp
    file.write(reinterpret_cast<const char*>(content->data()), static_cast<std::streamsize>(content->size()));
    if (!file) return 1;
  }
  return 0;
}
