// Two rings as a driver maps them, with anything at all in them: their headers, the producer page, records. Who attaches to them
// reads nothing outside and writes to the consumer page only, and what a mapping_source makes of them is a batch without a fault.
//
// The memory is mapped twice, as a driver does it: the client's view is read-only and ends behind the apron. The input is a script
// of the producer's writes, of bytes that are forged, and of the client's reads.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "consumers/batch_reader.h"
#include "consumers/mapping_source.h"
#include "pipeline/cpu_rings.h"
#include "tests/fuzz/script.h"

namespace sluice {
namespace {

constexpr ring_geometry geometries[lanes_per_cpu] = {{4096, max_loss_record, 1024}, {4096, max_loss_record, 0}};
constexpr uint64_t boot = 7;
constexpr uint64_t frequency = 1'000'000'000;
constexpr uint64_t now = uint64_t{1} << 40;

// One ring's memory: all of it for the driver; of the client, a part for reading and a page for writing, nothing behind them.
struct shared_region {
  explicit shared_region(const ring_geometry& geometry) : bytes(region_bytes(geometry)), readable(region_consumer_offset(geometry)) {
    const int file = ::memfd_create("region", MFD_CLOEXEC);
    if (file < 0 || ::ftruncate(file, bytes) != 0) std::abort();
    driver = map(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    client = map(nullptr, readable + region_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map(client, readable, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
    consumer = map(nullptr, 2 * region_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map(consumer, region_page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, readable);
    ::close(file);
  }
  static uint8_t* map(void* at, size_t bytes, int protection, int flags, int file, off_t offset) {
    void* const memory = ::mmap(at, bytes, protection, flags, file, offset);
    if (memory == MAP_FAILED) std::abort();
    return static_cast<uint8_t*>(memory);
  }

  uint32_t bytes, readable;
  uint8_t* driver;
  uint8_t* client;
  uint8_t* consumer;
};

struct counting_clock {
  uint64_t* ticks;
  uint64_t now() { return *ticks += 3; }
};

// What the kernel answers to a client that maps. It goes away when it is told to.
struct forged_kernel {
  std::vector<uint8_t> mapping;
  bool gone = false;
};

struct forged_device : nt_device {
  explicit forged_device(forged_kernel& of) : kernel(of) {}
  nt_status read(std::span<uint8_t>, uint64_t&, nt_timeout) override { return nt::not_supported; }
  nt_status control(uint32_t code, std::span<const uint8_t>, std::span<uint8_t> out, uint64_t& bytes, nt_timeout) override {
    bytes = 0;
    if (kernel.gone) return nt::device_removed;
    if (code == protocol::code_map) {
      bytes = std::min(out.size(), kernel.mapping.size());
      std::copy_n(kernel.mapping.begin(), bytes, out.begin());
    }
    return code == protocol::code_wait ? nt::timeout : nt::success;
  }
  void cancel() override {}
  forged_kernel& kernel;
};

struct forged_system : nt_system {
  explicit forged_system(forged_kernel& of) : kernel(of) {}
  nt_status open_device(std::u16string_view, std::unique_ptr<nt_device>& opened) override {
    opened = std::make_unique<forged_device>(kernel);
    return nt::success;
  }
  nt_status connect_port(std::u16string_view, std::span<const uint8_t>, std::unique_ptr<nt_port>&) override { return nt::not_supported; }
  uint64_t counter() override { return now; }
  forged_kernel& kernel;
};

// A header of some geometry that agrees with itself: few mutations of another one would.
region_header header_of(fuzz::script& input) {
  const ring_geometry geometry{1u << input.byte() % 31, input.take<uint16_t>() & ~7u, input.take<uint16_t>() & ~7u};
  region_header header{};
  header.magic = region_magic;
  header.version = region_version;
  header.header_bytes = sizeof header;
  header.capacity = geometry.capacity;
  header.max_record = geometry.max_record;
  header.critical_bytes = geometry.critical_bytes;
  header.data_offset = region_data_offset();
  header.consumer_offset = region_consumer_offset(geometry);
  header.region_bytes = region_bytes(geometry);
  header.boot = boot;
  header.clock_frequency = frequency;
  header.lane = input.byte() % lanes_per_cpu;
  header.start_position = input.take<uint32_t>() & ~7u;
  header.checksum = checksum_of(header);
  return header;
}

class world {
 public:
  explicit world(fuzz::script& input) : input_(input), start_(input.take<uint32_t>() & ~7u), rings_(counting_clock{&ticks_}) {
    region_view<native_seam> views[lanes_per_cpu];
    for (uint8_t lane = 0; lane < lanes_per_cpu; ++lane) {
      const shared_region& region = regions()[lane];
      std::memset(region.driver, 0, region.bytes);
      views[lane] = create_region(region.driver, geometries[lane], {boot, frequency, 0, lane, start_, 1});
    }
    rings_.attach(views[0], views[1], uint64_t{1} << first_own_type, 1000);
  }

  static shared_region* regions() {
    static shared_region both[] = {shared_region(geometries[0]), shared_region(geometries[1])};
    return both;
  }

  // The kernel's memory is its own: once it is forged, no producer goes on with it. The consumer's page may be.
  void write() {
    const uint8_t how = input_.byte();
    if (kernel_is_forged_) return;
    static const uint8_t payload[256] = {};
    open_record<native_seam> record;
    const uint16_t type = how & 1 ? first_own_type : record_type_anchor;
    if (how & 2) {
      (void)rings_.write(type, 1, payload, input_.byte());
    } else if (rings_.reserve(type, 1, input_.byte(), record) == reserve_status::ok && how & 4) {
      record.close(how & 8 ? record_state::committed : record_state::discarded);
    }
  }

  // One word anywhere in a region, or its header, which is signed again; or all of the header.
  void forge() {
    const uint8_t how = input_.byte();
    const shared_region& region = regions()[how & 1];
    if (how % 16 == 15) {
      const region_header header = header_of(input_);
      std::memcpy(region.driver, &header, sizeof header);
      kernel_is_forged_ = true;
      return;
    }
    const uint32_t room = how & 2 ? static_cast<uint32_t>(sizeof(region_header)) : region.bytes;
    const uint32_t at = input_.take<uint16_t>() % (room - sizeof(uint32_t) + 1);
    const uint32_t bytes = 1 + input_.byte() % sizeof(uint32_t);
    const auto value = input_.take<uint32_t>();
    std::memcpy(region.driver + at, &value, bytes);
    kernel_is_forged_ |= at < region.readable;
    if ((how & 6) != 6) return;
    region_header header;
    std::memcpy(&header, region.driver, sizeof header);
    header.checksum = checksum_of(header);
    std::memcpy(region.driver, &header, sizeof header);
  }

  // The driver's answer, some of it forged.
  void answer(forged_kernel& kernel) {
    const uint8_t how = input_.byte();
    protocol::map_answer header{protocol::version, lanes_per_cpu, boot, frequency, 0, 0, 1000, 0, 0, 1};
    header.overdue_ticks = how & 1 ? 1 : 0;
    header.clock_offset = how & 2 ? input_.take<uint32_t>() : 0;
    kernel.mapping.resize(sizeof header + lanes_per_cpu * sizeof(protocol::mapped_ring));
    std::memcpy(kernel.mapping.data(), &header, sizeof header);
    for (uint8_t lane = 0; lane < lanes_per_cpu; ++lane) {
      const shared_region& region = regions()[lane];
      const uint64_t position = how & 4 ? input_.take<uint32_t>() : start_;
      const protocol::mapped_ring ring{0, lane, 0, region.readable, reinterpret_cast<uint64_t>(region.client),
                                       reinterpret_cast<uint64_t>(region.consumer), position, 0};
      std::memcpy(&kernel.mapping[sizeof header + lane * sizeof ring], &ring, sizeof ring);
    }
  }

  // What the client is given is a batch, whatever lies in the rings.
  void read(mapping_source& source) {
    alignas(8) static uint8_t buffer[protocol::min_read_bytes];
    const read_result result = source.read(buffer, std::chrono::nanoseconds(0));
    if (result.status != read_status::batch) return;
    if (result.bytes > sizeof buffer) std::abort();
    batch_reader reader({buffer, result.bytes});
    delivered_record record;
    while (reader.next(record) == batch_status::ok) {
    }
    if (reader.status() != batch_status::end) std::abort();
  }

  void run() {
    for (uint32_t steps = input_.byte() % 64; steps != 0; --steps) input_.byte() % 3 == 0 ? forge() : write();
    forged_kernel kernel;
    answer(kernel);
    mapping_source source(std::make_shared<forged_system>(kernel));
    while (!input_.ended()) {
      switch (input_.byte() % 8) {
        case 0: kernel.gone = input_.byte() % 4 == 0; break;
        case 1:
        case 2: forge(); break;
        case 3:
        case 4: write(); break;
        case 5: source.flush(); break;
        default: read(source);
      }
    }
    read(source);
  }

 private:
  fuzz::script& input_;
  uint64_t ticks_ = 1;
  const uint32_t start_;
  bool kernel_is_forged_ = false;
  cpu_rings<native_seam, counting_clock> rings_;
};

// A header in memory that is as long as a ring of this test, no more.
void check_any_region(fuzz::script& input) {
  const shared_region& region = world::regions()[0];
  std::memset(region.driver, 0, region_page);
  const region_header header = header_of(input);
  std::memcpy(region.driver, &header, sizeof header);
  const std::span<const uint8_t> rest = input.take_bytes(region_page);
  std::copy(rest.begin(), rest.end(), region.driver);
  region_view<native_seam> view;
  if (check_region(region.client, region.readable, view, region.consumer) != region_status::ok) return;
  if (view.geometry.capacity + view.geometry.max_record > region.readable - region_page) std::abort();
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::script input({data, size});
  if (input.byte() % 8 == 0) {
    check_any_region(input);
    return 0;
  }
  try {
    world(input).run();
  } catch (const source_error&) {
  }
  return 0;
}
