// What a client makes of answers that no driver of its version gives: cut, too long, of another version, in contradiction to themselves.
// It says so, or gives what they say; it reads no byte that is not there, and waits for nothing.
#include <gtest/gtest.h>

#include <map>

#include "consumers/client/client.h"
#include "consumers/client/open.h"
#include "consumers/device_source.h"
#include "consumers/mapping_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/port_source.h"
#include "consumers/snapshot/snapshot.h"
#include "tests/consumers/forging_system.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice {
namespace {

using test::forging_system;

constexpr uint32_t client_pid = 4242;
constexpr uint32_t message = 0;  // in the place of a code

struct lying_driver : testing::Test {
  sim::machine machine{[] {
    sim::machine_options options;
    options.service_parameters = {{u"sluice", u"RingBytes", 16384}};
    options.shared_memory = true;
    return options;
  }()};
  std::shared_ptr<forging_system> system = std::make_shared<forging_system>(simulated_system(machine, client_pid));

  lying_driver() { EXPECT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS); }
  ~lying_driver() override { EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS); }

  // Every question that has an answer, by the code that it is asked with.
  std::map<uint32_t, std::function<void()>> questions() {
    const auto device = [this](auto&& ask) {
      return [this, ask] {
        device_source source(system);
        ask(source);
      };
    };
    const auto port = [this](auto&& ask) {
      return [this, ask] {
        port_source source(system, {});
        ask(source);
      };
    };
    return {
        {protocol::code_capabilities, device([](device_source& from) { (void)from.capabilities(); })},
        {protocol::code_statistics, device([](device_source& from) { (void)from.statistics(); })},
        {protocol::code_filter, device([](device_source& from) {
           filter_state state;
           (void)from.filter(state);
         })},
        {protocol::code_clear_filter, device([](device_source& from) { (void)from.clear_filter(); })},
        {protocol::code_copy_ring, device([](device_source& from) { (void)take_snapshot(from); })},
        {protocol::code_clients, port([](port_source& from) { (void)from.clients(); })},
        {protocol::code_client_row, port([](port_source& from) { (void)from.own_row(); })},
        {protocol::code_map, [this] { (void)mapping_source(system); }},
        {message, port([this](port_source& from) {
           {
             sim::activity here(machine, 0, 4, 8);
             sim::load_image({.base = 1});
           }
           from.flush();
           std::vector<uint8_t> buffer(protocol::min_read_bytes);
           (void)from.read(buffer, std::chrono::minutes(1));
         })},
    };
  }

  // The answer that a question has had.
  std::vector<uint8_t> honest(uint32_t code, const std::function<void()>& ask) {
    std::vector<uint8_t> first;
    system->change = [&](uint32_t of, std::vector<uint8_t>& answer, nt_status&) {
      if (of == code && first.empty()) first = answer;
    };
    ask();
    EXPECT_FALSE(first.empty()) << code;
    return first;
  }
  void answers(uint32_t code, std::function<void(std::vector<uint8_t>&, nt_status&)> change) {
    system->change = [code, change](uint32_t of, std::vector<uint8_t>& answer, nt_status& status) {
      if (of == code) change(answer, status);
    };
  }
};

TEST_F(lying_driver, answers_that_are_cut_anywhere_are_refused) {
  for (const auto& [code, ask] : questions()) {
    const size_t length = honest(code, ask).size();
    const size_t whole = code == message ? protocol::message_header_bytes : length;  // what a batch says is judged by who reads it
    for (size_t left = 0; left < whole; left += 1 + whole / 200) {
      answers(code, [left](std::vector<uint8_t>& answer, nt_status&) { answer.resize(std::min(answer.size(), left)); });
      EXPECT_THROW(ask(), source_error) << code << ": " << left << " of " << length;
    }
  }
}

TEST_F(lying_driver, answers_longer_than_the_room_for_them_are_refused) {
  for (const auto& [code, ask] : questions()) {
    answers(code, [](std::vector<uint8_t>& answer, nt_status&) { answer.resize(size_t{64} << 20); });
    EXPECT_THROW(ask(), source_error) << code;
  }
}

TEST_F(lying_driver, another_version_is_named) {
  for (const auto& [code, ask] : questions()) {
    if (code == message || code == protocol::code_client_row || code == protocol::code_clear_filter || code == protocol::code_filter) continue;
    answers(code, [](std::vector<uint8_t>& answer, nt_status&) { answer.at(0) ^= 0x40; });
    try {
      ask();
      ADD_FAILURE() << code << ": taken";
    } catch (const source_error& error) {
      EXPECT_NE(std::string(error.what()).find("version"), std::string::npos) << error.what();
    }
  }
}

// Whatever stands in the fields before the rows: an error or an answer. A mapping is left out behind its counts: the addresses and
// times that it gives are the kernel's to give.
TEST_F(lying_driver, no_field_leads_out_of_the_answer) {
  size_t refused = 0, taken = 0;
  for (const auto& [code, ask] : questions()) {
    if (code == message) continue;
    const size_t fields = code == protocol::code_map ? 8 : std::min<size_t>(honest(code, ask).size(), 256);
    for (size_t at = 0; at + sizeof(uint32_t) <= fields; at += sizeof(uint32_t)) {
      for (const uint32_t value : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
        bool first = true;
        answers(code, [&](std::vector<uint8_t>& answer, nt_status&) {
          if (std::exchange(first, false) && answer.size() >= at + sizeof value) std::memcpy(answer.data() + at, &value, sizeof value);
        });
        try {
          ask();
          ++taken;
        } catch (const source_error&) {
          ++refused;
        }
      }
    }
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(taken, 100u);
}

TEST_F(lying_driver, memory_that_nobody_has_is_not_asked_for) {
  answers(protocol::code_statistics, [](std::vector<uint8_t>& answer, nt_status& status) {
    protocol::statistics_header header{};
    answer.resize(std::max(answer.size(), sizeof header));
    std::memcpy(&header, answer.data(), sizeof header);
    header.version = protocol::version;
    header.row_count = 0x7fffffff;
    std::memcpy(answer.data(), &header, sizeof header);
    status = nt::buffer_overflow;
  });
  device_source source(system);
  EXPECT_THROW((void)source.statistics(), source_error);
  answers(protocol::code_filter, [](std::vector<uint8_t>& answer, nt_status& status) {
    filter_state state{};
    answer.resize(std::max(answer.size(), sizeof state));
    std::memcpy(&state, answer.data(), sizeof state);
    state.message_bytes = 0x7fffffff;
    std::memcpy(answer.data(), &state, sizeof state);
    status = nt::buffer_overflow;
  });
  filter_state state;
  EXPECT_THROW((void)source.filter(state), source_error);
}

TEST_F(lying_driver, mapped_ranges_that_overlap_or_lie_at_0_are_not_touched) {
  const auto with = [this](auto&& change) {
    answers(protocol::code_map, [change](std::vector<uint8_t>& answer, nt_status&) {
      protocol::mapped_ring ring{};
      ASSERT_GE(answer.size(), sizeof(protocol::map_answer) + sizeof ring);
      std::memcpy(&ring, answer.data() + sizeof(protocol::map_answer), sizeof ring);
      change(ring);
      std::memcpy(answer.data() + sizeof(protocol::map_answer), &ring, sizeof ring);
    });
    EXPECT_THROW((void)mapping_source(system), source_error);
  };
  with([](protocol::mapped_ring& ring) { ring.region = 0; });
  with([](protocol::mapped_ring& ring) { ring.region += 8; });
  with([](protocol::mapped_ring& ring) { ring.consumer = ring.region; });
  with([](protocol::mapped_ring& ring) { ring.consumer = ring.region + region_page; });
  with([](protocol::mapped_ring& ring) { ring.consumer = ~uint64_t{0} - region_page + 1; });
  with([](protocol::mapped_ring& ring) { ring.cpu += 1; });
  with([](protocol::mapped_ring& ring) { ring.lane ^= 1; });
  with([](protocol::mapped_ring& ring) { ring.region_bytes -= region_page; });
}

// Mapped once more because a CPU was added: the rings must be those that there were, and more.
TEST_F(lying_driver, rings_that_have_become_fewer_or_others_are_not_read_on) {
  const auto with = [this](auto&& change) {
    system->change = [](uint32_t, std::vector<uint8_t>&, nt_status&) {};
    mapping_source source(system);
    system->change = [change](uint32_t code, std::vector<uint8_t>& answer, nt_status&) {
      if (code == protocol::code_announce) {
        protocol::wait_answer more{};
        ASSERT_EQ(answer.size(), sizeof more);
        std::memcpy(&more, answer.data(), sizeof more);
        more.ring_count += lanes_per_cpu;
        std::memcpy(answer.data(), &more, sizeof more);
      } else if (code == protocol::code_map) {
        protocol::map_answer header{};
        ASSERT_GE(answer.size(), sizeof header);
        std::memcpy(&header, answer.data(), sizeof header);
        change(header);
        std::memcpy(answer.data(), &header, sizeof header);
        answer.resize(sizeof header + header.ring_count * sizeof(protocol::mapped_ring));
      }
    };
    std::vector<uint8_t> buffer(source.least_buffer());
    EXPECT_THROW((void)source.read(buffer, std::chrono::minutes(1)), source_error);
  };
  with([](protocol::map_answer& header) { header.ring_count = 1; });
  with([](protocol::map_answer& header) { ++header.boot; });
  with([](protocol::map_answer& header) { header.cpu_count += 1; });
}

// R3, R4: a client compares what it was given with what the driver says, and names what does not agree.
TEST_F(lying_driver, accounts_that_do_not_agree_with_what_came_are_found_broken) {
  client_options options;
  options.system = system;
  client reader(options);
  {
    sim::activity here(machine, 0, 4, 8);
    for (uint64_t i = 0; i < 5; ++i) sim::load_image({.base = i});
  }
  reader.flush();
  while (reader.last() != client_outcome::flushed) (void)reader.read(std::chrono::minutes(1));
  ASSERT_EQ(reader.check(true), std::vector<std::string>());
  const auto with = [&](auto&& change, std::initializer_list<const char*> sentences) {
    answers(protocol::code_client_row, [change](std::vector<uint8_t>& answer, nt_status&) {
      protocol::client_row row{};
      ASSERT_EQ(answer.size(), sizeof row);
      std::memcpy(&row, answer.data(), sizeof row);
      change(row);
      std::memcpy(answer.data(), &row, sizeof row);
    });
    const std::vector<std::string> broken = reader.check(true);
    ASSERT_EQ(broken.size(), sentences.size());
    size_t i = 0;
    for (const char* sentence : sentences) EXPECT_NE(broken[i++].find(sentence), std::string::npos) << broken[i - 1];
  };
  with([](protocol::client_row& row) { ++row.offered; }, {"R3 BROKEN: offered to this client"});
  with([](protocol::client_row& row) { ++row.delivered, ++row.offered; }, {"R3 BROKEN: delivered to this client"});
  with([](protocol::client_row& row) { ++row.lost, ++row.offered; }, {"R4 BROKEN: lost to this client 1, announced to it 0"});
  answers(protocol::code_statistics, [](std::vector<uint8_t>& answer, nt_status&) {
    protocol::statistics_row row{};
    for (size_t at = sizeof(protocol::statistics_header); at + sizeof row <= answer.size(); at += sizeof row) {
      std::memcpy(&row, answer.data() + at, sizeof row);
      if (row.type == event_type_image_load && row.account.committed != 0) ++row.account.committed, ++row.account.attempted;
      std::memcpy(answer.data() + at, &row, sizeof row);
    }
  });
  const std::vector<std::string> broken = reader.check(true);
  ASSERT_FALSE(broken.empty()) << "an event that never came";
  EXPECT_NE(broken[0].find("R3 BROKEN"), std::string::npos) << broken[0];
  EXPECT_NE(broken[0].find("image_load"), std::string::npos) << broken[0];
}

TEST_F(lying_driver, why_the_port_refuses_is_told) {
  const auto why = [this](nt_status status) {
    system->connection = status;
    try {
      (void)port_source(system, {});
      return std::string("nothing");
    } catch (const source_error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_NE(why(nt::revision_mismatch).find("version"), std::string::npos);
  EXPECT_NE(why(nt::connection_count_limit).find("as many clients"), std::string::npos);
  EXPECT_NE(why(nt::access_denied).find("c0000022"), std::string::npos);
}

TEST_F(lying_driver, why_the_rings_are_not_mapped_is_told) {
  const auto why = [this](nt_status refusal) {
    answers(protocol::code_map, [refusal](std::vector<uint8_t>&, nt_status& status) { status = refusal; });
    try {
      (void)mapping_source(system);
      return std::string("nothing");
    } catch (const nt_error& error) {
      EXPECT_EQ(error.status(), refusal);
      return std::string(error.what());
    }
  };
  EXPECT_NE(why(nt::not_supported).find("the kernel, or the rings' mode, does not allow it"), std::string::npos);
  EXPECT_NE(why(nt::sharing_violation).find("beside another client"), std::string::npos);
  EXPECT_NE(why(nt::access_denied).find("c0000022"), std::string::npos);
}

// A machine without the filter manager's port: the client reads the device instead, if it was not told to use the port.
TEST_F(lying_driver, a_machine_without_the_port_is_read_by_its_device) {
  system->connection = nt::object_name_not_found;
  client_options options;
  options.system = system;
  {
    client reader(options);
    EXPECT_EQ(reader.by(), transport::ioctl);
  }
  options.by = transport::port;
  EXPECT_THROW(client reader(options), source_error);
}

}  // namespace
}  // namespace sluice
