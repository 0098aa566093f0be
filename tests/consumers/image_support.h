// Images made by tests: rings written by the producer's own code, laid into files as they stand, cut, damaged, or as the
// segments of a core file.
#pragma once

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "consumers/batch_reader.h"
#include "consumers/image/image_source.h"
#include "tests/consumers/file_on_disk.h"
#include "tests/pipeline/support.h"

namespace sluice::test {

using blob = std::vector<uint8_t>;

template <class value>
void append(blob& out, const value& v) {
  const auto* p = reinterpret_cast<const uint8_t*>(&v);
  out.insert(out.end(), p, p + sizeof v);
}

// A machine of a few CPUs that share one clock, each event one tick after the one before.
class dead_machine {
 public:
  explicit dead_machine(uint32_t cpus, uint32_t start_position = 0, uint64_t boot_number = boot,
                        ring_mode mode = ring_mode::discard)
      : boot_(boot_number), mode_(mode) {
    time.step = 1;
    for (uint32_t cpu = 0; cpu < cpus; ++cpu) cpus_.push_back(std::make_unique<one_cpu>(*this, cpu, cpus, start_position));
  }

  reserve_status write(uint32_t cpu, uint64_t value, uint32_t length = 8, uint16_t type = ordinary_type) {
    std::vector<uint8_t> payload(length);
    basic_cpu<manual_clock>::fill(payload.data(), length, value);
    return rings(cpu).write(type, 1, payload.data(), length);
  }
  cpu_rings<native_seam, manual_clock>& rings(uint32_t cpu) { return cpus_[cpu]->rings; }
  lane& main(uint32_t cpu) { return cpus_[cpu]->main; }
  lane& spare(uint32_t cpu) { return cpus_[cpu]->spare; }
  uint64_t boot_number() const { return boot_; }

  // The bytes of one region.
  static blob region_of(const lane& from) {
    const auto* const begin = static_cast<const uint8_t*>(from.memory.get());
    return blob(begin, begin + from.memory.bytes());
  }
  // All regions, one after another.
  blob memory() const {
    blob all;
    for (const auto& cpu : cpus_) {
      for (const lane* from : {&cpu->main, &cpu->spare}) {
        const blob region = region_of(*from);
        all.insert(all.end(), region.begin(), region.end());
      }
    }
    return all;
  }

  manual_time time;

 private:
  struct one_cpu {
    one_cpu(dead_machine& machine, uint32_t cpu, uint32_t cpus, uint32_t start)
        : main(small_main, static_cast<uint16_t>(cpu), lane_main, start),
          spare(small_spare, static_cast<uint16_t>(cpu), lane_spare, start),
          rings(manual_clock{&machine.time}) {
      for (lane* made : {&main, &spare}) {
        const bool is_main = made == &main;
        made->view = create_region(made->memory.get(), is_main ? small_main : small_spare,
                                   {machine.boot_, frequency, static_cast<uint16_t>(cpu), is_main ? lane_main : lane_spare,
                                    start, cpus, 1, 116'444'736'000'000'000},
                                   machine.mode_);
      }
      rings.attach(main.view, spare.view, critical_types, 10);
    }
    lane main;
    lane spare;
    cpu_rings<native_seam, manual_clock> rings;
  };

  uint64_t boot_;
  ring_mode mode_;
  std::vector<std::unique_ptr<one_cpu>> cpus_;
};

struct image_event {
  record_identity identity;
  uint64_t time = 0;
  uint16_t type = 0;
  bool late = false;
  bool figures = false;
  uint64_t value = 0;  // the first 8 bytes of the payload

  friend bool operator==(const image_event& a, const image_event& b) {
    return a.identity.boot == b.identity.boot && a.identity.cpu == b.identity.cpu && a.identity.lane == b.identity.lane &&
           a.identity.position == b.identity.position && a.time == b.time && a.type == b.type && a.value == b.value;
  }
};

inline std::vector<image_event> read_all(event_source& source) {
  std::vector<image_event> events;
  std::vector<uint8_t> buffer(source.least_buffer());
  for (;;) {
    const read_result result = source.read(buffer, std::chrono::seconds(1));
    if (result.status == read_status::end) return events;
    batch_reader batch(std::span<const uint8_t>(buffer).first(result.bytes));
    delivered_record got;
    while (batch.next(got) == batch_status::ok) {
      image_event event{got.identity, got.time, got.type, got.late, got.figures, 0};
      if (got.payload_length >= 8) std::memcpy(&event.value, got.payload, 8);
      // Every byte of what the tests write follows from its first eight.
      if (got.type == ordinary_type) {
        std::vector<uint8_t> expected(got.payload_length);
        basic_cpu<manual_clock>::fill(expected.data(), got.payload_length, event.value);
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), got.payload)) << event.value;
      }
      events.push_back(event);
    }
    EXPECT_EQ(batch.status(), batch_status::end);
  }
}

inline std::vector<uint64_t> values_of(const std::vector<image_event>& events) {
  std::vector<uint64_t> values;
  for (const image_event& event : events) values.push_back(event.value);
  return values;
}

inline std::vector<uint64_t> up_to(uint64_t count) {
  std::vector<uint64_t> values(count);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

// Events 0..count-1, on the CPUs in turn.
inline void write_in_turn(dead_machine& machine, uint64_t count, uint32_t cpus = 3) {
  for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(machine.write(i % cpus, i, 8 + i % 3), reserve_status::ok);
}

// What a file is refused with; empty if it is read.
inline std::string message_of(const std::string& path, const image::image_options& options = {}) {
  try {
    image::image_source source(path, options);
  } catch (const image::image_error& error) {
    return error.what();
  }
  return {};
}

inline const image::ring_report& ring_of(const image::image_source& source, uint16_t cpu, uint8_t lane = lane_main) {
  for (const image::ring_report& ring : source.report().rings) {
    if (ring.cpu == cpu && ring.lane == lane) return ring;
  }
  throw std::logic_error("no such ring");
}

// One memory range of a process: `content` is what the file has of it.
struct core_segment {
  uint64_t address;
  blob content;
  uint64_t memory_bytes;
};

// A core file as Linux writes it: header, program headers (a note first), the segments on pages.
inline blob make_core(const std::vector<core_segment>& segments) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(segments.size() + 1);
  blob file;
  append(file, header);
  const auto to_page = [](uint64_t at) { return (at + 4095) / 4096 * 4096; };
  uint64_t offset = to_page(sizeof header + (segments.size() + 1) * sizeof(Elf64_Phdr) + 64);
  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  note.p_offset = sizeof header + (segments.size() + 1) * sizeof(Elf64_Phdr);
  note.p_filesz = 64;
  append(file, note);
  for (const core_segment& segment : segments) {
    Elf64_Phdr program{};
    program.p_type = PT_LOAD;
    program.p_offset = offset;
    program.p_vaddr = segment.address;
    program.p_filesz = segment.content.size();
    program.p_memsz = segment.memory_bytes;
    program.p_align = 4096;
    append(file, program);
    offset = to_page(offset + segment.content.size());
  }
  for (const core_segment& segment : segments) {
    file.resize(to_page(file.size() == sizeof header + (segments.size() + 1) * sizeof(Elf64_Phdr) ? file.size() + 64 : file.size()));
    file.insert(file.end(), segment.content.begin(), segment.content.end());
  }
  return file;
}

}  // namespace sluice::test
