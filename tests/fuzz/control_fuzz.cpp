// The driver, whole, on the simulated machine, with anything that processes can say to it: device controls and port messages of any
// code and length, memory that faults or changes while it is read, contexts of connections, parameters of its service, writes to the
// page of the mapping that a client may write to; and events meanwhile. One machine, loaded and unloaded, for each input.
//
// Whatever was said: the account of every type and CPU balances, of every client too, and nothing is left after the unload (which
// the machine checks).
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "kernel_port/driver/sensor.h"
#include "kernel_port/sim/filter_port_client.h"
#include "kernel_port/sim/machine.h"
#include "tests/fuzz/script.h"

namespace sluice {
namespace {

constexpr std::chrono::nanoseconds at_once{0};

sensor* running = nullptr;

VOID unload(PDRIVER_OBJECT) {
  sensor::destroy(running);
  running = nullptr;
}
NTSTATUS entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = &unload;
  return sensor::create(driver, registry_path, running);
}

constexpr uint32_t codes[] = {
    protocol::code_capabilities, protocol::code_statistics,    protocol::code_set_types,           protocol::code_types,
    protocol::code_flush,        protocol::code_set_filter,    protocol::code_clear_filter,        protocol::code_filter,
    protocol::code_copy_ring,    protocol::code_map,           protocol::code_announce,            protocol::code_wait,
    protocol::code_wake,         protocol::code_clients,       protocol::code_client_types,        protocol::code_set_client_filter,
    protocol::code_client_filter, protocol::code_clear_client_filter, protocol::code_client_row,
};

// A small machine; the service's parameters are those that hold, or whatever the input says.
sim::machine_options options_of(fuzz::script& input) {
  static const char16_t* const names[] = {u"RingBytes",          u"SpareRingBytes",    u"CriticalBytes",   u"MaxRecordBytes",
                                          u"MarginMicroseconds", u"OverdueMilliseconds", u"RegistryOperations", u"RegistryDataBytes",
                                          u"HoldUntilAttach",    u"Mode",              u"AnchorSeconds",   u"Port"};
  sim::machine_options options;
  const uint8_t how = input.byte();
  options.processors = 1 + how % 2;
  options.shared_memory = (how & 2) != 0;
  options.service_parameters = {{u"Sluice", u"RingBytes", 8192}, {u"Sluice", u"SpareRingBytes", 4096}, {u"Sluice", u"MarginMicroseconds", 1}};
  for (uint32_t n = how >> 2 & 3; n != 0; --n) {
    const char16_t* const name = names[input.byte() % std::size(names)];
    uint32_t value = input.take<uint32_t>();
    if (std::u16string_view(name) == u"MarginMicroseconds") value %= 1000;  // who waits for it cannot be hurried
    if (std::u16string_view(name).ends_with(u"RingBytes") && value > 1u << 20) value %= 1u << 20;
    std::erase_if(options.service_parameters, [&](const auto& each) { return each.name == name; });
    options.service_parameters.push_back({u"Sluice", name, value});
  }
  return options;
}

class world {
 public:
  explicit world(fuzz::script& input) : input_(input), machine_(options_of(input)), activity_(machine_, 0, 4, 8) {}

  void run() {
    if (!NT_SUCCESS(machine_.load_driver("Sluice", &entry))) return;
    while (!input_.ended()) step();
    for (sim::filter_port& each : ports_) each.close();
    for (sim::file& each : files_) each.close();
    check_account();
    if (!NT_SUCCESS(machine_.unload_driver("Sluice"))) std::abort();
  }

 private:
  static constexpr size_t handles = 2;

  void step() {
    switch (input_.byte() % 16) {
      case 0: open_file(); break;
      case 1: file().close(); break;
      case 2:
      case 3:
      case 4: control(); break;
      case 5: read(); break;
      case 6: set_information(); break;
      case 7: connect(); break;
      case 8: port().close(); break;
      case 9:
      case 10: send(); break;
      case 11: send_changing(); break;
      case 12: get_message(); break;
      case 13: reply(); break;
      case 14: claim(); break;
      default: events(); break;
    }
  }

  uint32_t pid() { return 1000 + input_.byte() % 2; }
  sim::file& file() { return files_[input_.byte() % handles]; }
  sim::filter_port& port() { return ports_[input_.byte() % handles]; }
  uint32_t code() {
    const uint8_t which = input_.byte();
    return which < 240 ? codes[which % std::size(codes)] : input_.take<uint32_t>();
  }
  // What there is, or zeroes of that length; a message of ours gets what names it.
  std::vector<uint8_t> content(uint32_t code) {
    const uint8_t how = input_.byte();
    const uint32_t length = how & 1 ? input_.byte() : input_.take<uint16_t>() % 4096;
    const std::span<const uint8_t> from = input_.take_bytes(length);
    std::vector<uint8_t> bytes(from.begin(), from.end());
    bytes.resize(length);
    if (how & 2) return bytes;
    if (code == protocol::code_set_filter || code == protocol::code_set_client_filter) {
      if (bytes.size() < sizeof(filter_header)) bytes.resize(sizeof(filter_header));
      filter_header header;
      std::memcpy(&header, bytes.data(), sizeof header);
      header.magic = filter_magic;
      header.version = filter_version;
      header.header_bytes = sizeof header;
      header.total_bytes = static_cast<uint32_t>(bytes.size());
      std::memcpy(bytes.data(), &header, sizeof header);
    } else if (bytes.size() >= sizeof(uint32_t)) {
      std::memcpy(bytes.data(), &protocol::version, sizeof protocol::version);
    }
    return bytes;
  }
  std::vector<uint8_t> room() {
    static constexpr size_t sizes[] = {0, 4, 8, 16, 40, 64, 80, 96, 200, 2000, 17000, 70000};
    const uint8_t which = input_.byte();
    return std::vector<uint8_t>(which < 200 ? sizes[which % std::size(sizes)] : which);
  }

  void open_file() {
    sim::file& one = file();
    if (!one.is_open()) (void)one.open(machine_, u"Sluice", pid());
  }
  void control() {
    sim::file& on = file();
    if (!on.is_open()) return;
    const uint32_t what = code();
    const std::vector<uint8_t> in = content(what);
    std::vector<uint8_t> out = room();
    uint64_t bytes = 0;
    const NTSTATUS status = on.control(what, in, out, bytes, at_once);
    if (bytes > out.size()) std::abort();
    if (what == protocol::code_map && status == STATUS_SUCCESS) note_mapping(out, bytes);
  }
  void read() {
    sim::file& on = file();
    if (!on.is_open()) return;
    std::vector<uint8_t> out(input_.byte() & 1 ? protocol::min_read_bytes : input_.take<uint16_t>());
    uint64_t bytes = 0;
    (void)on.read(out, bytes, at_once);
    if (bytes > out.size()) std::abort();
  }
  void set_information() {
    sim::file& on = file();
    if (!on.is_open()) return;
    const auto about = input_.take<uint32_t>();
    (void)on.set_information(about, input_.take_bytes(input_.byte()));
  }

  void connect() {
    sim::filter_port& one = port();
    if (one.is_open()) return;
    const uint8_t how = input_.byte();
    protocol::port_context context{protocol::port_context_magic, protocol::version, ~uint64_t{0}, 0, how & 1u, "fuzz"};
    std::vector<uint8_t> bytes(sizeof context);
    std::memcpy(bytes.data(), &context, sizeof context);
    if (how & 2) bytes[input_.byte() % bytes.size()] = input_.byte();
    if (how & 4) bytes.resize(input_.byte());
    const NTSTATUS status = one.connect(machine_, protocol::port_name, bytes, pid());
    if (NT_SUCCESS(status) != one.is_open()) std::abort();
  }
  std::vector<uint8_t> message() {
    const uint32_t what = code();
    const protocol::port_message header{input_.byte() % 16 == 0 ? input_.take<uint32_t>() : protocol::version, what};
    std::vector<uint8_t> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    const std::vector<uint8_t> in = content(what);
    bytes.insert(bytes.end(), in.begin(), in.end());
    if (input_.byte() % 16 == 0) bytes.resize(input_.byte() % 12);
    return bytes;
  }
  void send() {
    sim::filter_port& to = port();
    if (!to.is_open()) return;
    const std::vector<uint8_t> in = message();
    std::vector<uint8_t> out = room();
    uint64_t bytes = 0;
    (void)to.send(in, out, bytes);
    if (bytes > out.size()) std::abort();
  }
  // The process changes its memory, or takes it away, while the driver reads it.
  void send_changing() {
    sim::filter_port& to = port();
    if (!to.is_open()) return;
    sim::user_memory in(message());
    sim::user_memory out(1 + room().size());
    in.accessible_up_to(input_.take<uint16_t>());
    out.accessible_up_to(input_.take<uint16_t>());
    const uint64_t when = input_.byte() % 4;
    const size_t at = input_.take<uint16_t>();
    const uint8_t value = input_.byte();
    in.on_read([&](uint64_t nth) {
      if (nth == when && in.size() != 0) in.data()[at % in.size()] = value;
    });
    const auto length = [&](size_t size) { return input_.byte() % 4 != 0 ? static_cast<uint32_t>(size) : input_.take<uint16_t>(); };
    uint64_t bytes = 0;
    const uint32_t in_bytes = std::min<uint32_t>(length(in.size()), static_cast<uint32_t>(in.size()));
    const uint32_t out_bytes = std::min<uint32_t>(length(out.size()), static_cast<uint32_t>(out.size()));
    (void)to.send(&in, in_bytes, &out, out_bytes, bytes);
  }
  void get_message() {
    sim::filter_port& from = port();
    if (!from.is_open()) return;
    const uint32_t room = input_.byte() & 1 ? protocol::min_read_bytes + protocol::message_header_bytes : input_.take<uint16_t>();
    std::vector<uint8_t> out(room);
    uint64_t bytes = 0;
    (void)from.get_message(out, bytes, at_once);
    if (bytes > out.size()) std::abort();
  }
  void reply() {
    sim::filter_port& to = port();
    if (to.is_open()) (void)to.reply(input_.take_bytes(input_.byte()));
  }

  // The consumer pages of the client that has the rings mapped; as long as its handle is open.
  void note_mapping(std::span<const uint8_t> answer, uint64_t bytes) {
    mapped_.clear();
    for (size_t at = sizeof(protocol::map_answer); at + sizeof(protocol::mapped_ring) <= bytes; at += sizeof(protocol::mapped_ring)) {
      protocol::mapped_ring ring;
      std::memcpy(&ring, &answer[at], sizeof ring);
      mapped_.push_back(ring);
    }
  }
  void claim() {
    if (mapped_.empty() || !files_[0].is_open() || !files_[1].is_open()) return;
    const protocol::mapped_ring& ring = mapped_[input_.byte() % mapped_.size()];
    auto* const page = reinterpret_cast<consumer_page<native_seam>*>(ring.consumer);
    const auto* const shared = reinterpret_cast<const producer_page<native_seam>*>(ring.region);
    const uint32_t published = shared->published.load(memory_order::acquire);
    page->consumed.store(input_.byte() & 1 ? published : input_.take<uint32_t>(), memory_order::release);
  }

  void events() {
    const uint8_t how = input_.byte();
    const std::u16string path(1 + how, u'x');
    const uint32_t of = pid();
    switch (how % 4) {
      case 0: sim::load_image({.pid = of, .base = how, .path = u"\\" + path}); break;
      case 1:
        (void)sim::create_process({.pid = of, .parent_pid = 4, .image_path = u"\\x", .command_line = path});
        break;
      case 2: (void)sim::exit_process(of, 0); break;
      default:
        if (NT_SUCCESS(sim::create_thread(of, 7000, how))) (void)sim::exit_thread(of, 7000);
    }
  }

  // R3 of every type and CPU, and what the driver says of clients that have gone.
  void check_account() {
    sim::file file;
    if (!NT_SUCCESS(file.open(machine_, u"Sluice", 1000))) std::abort();
    std::vector<uint8_t> out(1 << 18);
    uint64_t bytes = 0;
    if (file.control(protocol::code_statistics, {}, out, bytes) != STATUS_SUCCESS) std::abort();
    protocol::statistics_header header;
    std::memcpy(&header, out.data(), sizeof header);
    for (uint32_t i = 0; i < header.row_count; ++i) {
      protocol::statistics_row row;
      std::memcpy(&row, &out[sizeof header + i * sizeof row], sizeof row);
      if (!row.balances() || row.account.open != 0) std::abort();
    }
    protocol::clients_header clients{};
    if (file.control(protocol::code_clients, {}, {reinterpret_cast<uint8_t*>(&clients), sizeof clients}, bytes) == STATUS_SUCCESS &&
        clients.gone_offered != clients.gone_delivered + clients.gone_lost + clients.gone_undelivered) {
      std::abort();
    }
  }

  fuzz::script& input_;
  sim::machine machine_;
  sim::activity activity_;
  sim::file files_[handles];
  sim::filter_port ports_[handles];
  std::vector<protocol::mapped_ring> mapped_;
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::script input({data, size});
  sluice::world(input).run();
  return 0;
}
