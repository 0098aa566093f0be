// From one process to another: the driver's three transports, beside a Unix socket that carries a message per event, and beside the
// textbook's driver, which is asked for its list every 200 ms.
//
//   transport/stream/WHAT    as fast as it goes without loss: who makes the events waits for the reader
//   transport/latency/WHAT   10,000 events a second to a client that sleeps in between
//   transport/idle/WHAT      a client that waits while nothing happens: context switches of both processes
//
// Payloads of 64 bytes. No thread is pinned: a worker, the host's server and the client share two processors as they can.
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "bench/transport/client_source.h"
#include "bench/transport/context_switches.h"
#include "bench/transport/load_driver.h"
#include "bench/transport/load_process.h"
#include "consumers/batch_reader.h"
#include "consumers/nt/socket_system.h"

namespace sluice::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t pace = 10000;
constexpr milliseconds poll_interval{200};

void use_every_processor() {
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
}

// What came, and when.
struct receipt {
  uint64_t events = 0;
  uint64_t last = 0;               // nanoseconds of the monotonic clock
  std::vector<double> latencies;   // microseconds
  bool in_order = true;

  void take(uint64_t sequence, uint64_t made_ticks, uint64_t now_ticks) {
    in_order &= sequence == events;
    ++events;
    if (latencies.capacity() != 0) latencies.push_back(static_cast<double>(now_ticks - made_ticks) / 10);
  }
};

// One way from the host to here.
class way {
 public:
  virtual ~way() = default;
  virtual std::string command(const std::string& how) const { return how; }
  // Some more, or nothing for a second.
  virtual void receive(receipt& into) = 0;
};

uint64_t first_word(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

class transport : public way {
 public:
  explicit transport(std::unique_ptr<event_source> source) : source_(std::move(source)), buffer_(client_buffer) {}

  void receive(receipt& into) override {
    const read_result got = source_->read(buffer_, seconds(1));
    if (got.status != read_status::batch) return;
    const uint64_t now = into.latencies.capacity() != 0 ? source_->now() : 0;
    batch_reader batch({buffer_.data(), got.bytes});
    for (delivered_record record; batch.next(record) == batch_status::ok;) {
      if (record.type >= first_own_type && !record.of_stream) into.take(first_word(record.payload), record.time, now);
    }
    if (batch.status() != batch_status::end) into.in_order = false;
  }
  event_source& source() { return *source_; }

 private:
  std::unique_ptr<event_source> source_;
  std::vector<uint8_t> buffer_;
};

std::shared_ptr<nt_system> connected() { return connect_system(the_load().name()); }

// Asks the textbook's driver every 200 ms for what has come.
class textbook_way : public way {
 public:
  textbook_way() : system_(connected()), buffer_(textbook_most * sizeof(textbook_event)) {
    if (!succeeded(system_->open_device(u"Textbook", device_))) throw source_error("no textbook");
  }
  std::string command(const std::string& how) const override { return how.starts_with("stream") ? "textbook" + how.substr(6) : "textbook_" + how; }
  void receive(receipt& into) override {
    std::this_thread::sleep_for(poll_interval);
    uint64_t bytes = 0;
    if (!succeeded(device_->control(textbook_code_take, {}, buffer_, bytes, {}))) throw source_error("the textbook does not answer");
    const uint64_t now = system_->counter();
    for (size_t at = 0; at + sizeof(textbook_event) <= bytes; at += sizeof(textbook_event)) {
      into.take(first_word(buffer_.data() + at + offsetof(textbook_event, payload)), first_word(buffer_.data() + at), now);
    }
  }

 private:
  std::shared_ptr<nt_system> system_;
  std::unique_ptr<nt_device> device_;
  std::vector<uint8_t> buffer_;
};

// A message per event, from a child.
struct socket_event {
  uint64_t time;
  uint64_t payload[load_payload_bytes / sizeof(uint64_t)];
};

void send_events(int to, uint64_t events, bool paced) {
  timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (uint64_t i = 0; i < events; ++i) {
    if (paced) {
      next.tv_nsec += 1'000'000'000 / static_cast<long>(pace);
      if (next.tv_nsec >= 1'000'000'000) {
        next.tv_nsec -= 1'000'000'000;
        ++next.tv_sec;
      }
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
    }
    const socket_event event{monotonic_nanoseconds(), {i}};
    if (::send(to, &event, sizeof event, MSG_NOSIGNAL) != sizeof event) _exit(1);
  }
}

receipt through_a_socket(uint64_t events, bool paced) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) throw source_error("no socket");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    send_events(ends[1], events, paced);
    _exit(0);
  }
  ::close(ends[1]);
  receipt got;
  if (paced) got.latencies.reserve(events);
  for (socket_event event; ::recv(ends[0], &event, sizeof event, 0) == sizeof event;) {
    const uint64_t now = paced ? monotonic_nanoseconds() : 0;
    got.take(event.payload[0], event.time / 100, now / 100);
  }
  got.last = monotonic_nanoseconds();
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return got;
}

receipt from_host(way& by, const std::string& how, uint64_t events, bool with_latency, uint64_t& dropped) {
  receipt got;
  if (with_latency) got.latencies.reserve(events);
  the_load().send(by.command(how));
  const uint64_t give_up = monotonic_nanoseconds() + 60'000'000'000;
  while (got.events < events && monotonic_nanoseconds() < give_up) by.receive(got);
  got.last = monotonic_nanoseconds();
  dropped = the_load().answer();
  return got;
}

std::unique_ptr<way> open_way(const std::string& what) {
  if (what == "textbook") return std::make_unique<textbook_way>();
  return std::make_unique<transport>(open_source(what, the_load().name()));
}

void report(benchmark::State& state, receipt& got, uint64_t events, uint64_t dropped, uint64_t begin) {
  if (got.events != events || dropped != 0 || !got.in_order) {
    state.SkipWithError((std::to_string(got.events) + " of " + std::to_string(events) + " events came, " +
                         std::to_string(dropped) + " were dropped" + (got.in_order ? "" : ", not in order")).c_str());
    return;
  }
  state.counters["events/s"] = static_cast<double>(events) / static_cast<double>(got.last - begin) * 1e9;
  if (got.latencies.empty()) return;
  std::sort(got.latencies.begin(), got.latencies.end());
  const auto at = [&](double share) {
    return got.latencies[std::min(got.latencies.size() - 1, static_cast<size_t>(share * static_cast<double>(got.latencies.size())))];
  };
  state.counters["p50"] = at(0.5);
  state.counters["p99"] = at(0.99);
  state.counters["p99.9"] = at(0.999);
}

void measure(benchmark::State& state, const std::string& what, uint64_t events, bool paced) {
  use_every_processor();
  uint64_t dropped = 0;
  try {
    if (what == "socket_per_event") {
      const uint64_t begin = monotonic_nanoseconds();
      receipt got = through_a_socket(events, paced);
      return report(state, got, events, 0, begin);
    }
    const std::unique_ptr<way> by = open_way(what);
    const std::string how = paced ? "pace " + std::to_string(pace) + " " + std::to_string(events) : "stream " + std::to_string(events);
    const uint64_t begin = monotonic_nanoseconds();
    receipt got = from_host(*by, how, events, paced, dropped);
    report(state, got, events, dropped, begin);
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

// Both processes, over 10 s in which nothing happens.
void rest(benchmark::State& state, const std::string& what, seconds length) {
  use_every_processor();
  try {
    transport by(open_source(what, the_load().name()));
    const auto host_switches = [] {
      the_load().send("switches");
      return the_load().answer();
    };
    std::vector<uint8_t> buffer(256 * 1024);
    (void)by.source().read(buffer, milliseconds(300));  // what came before comes to rest
    const uint64_t host_before = host_switches();
    const uint64_t here_before = context_switches();
    const read_result got = by.source().read(buffer, length);
    const uint64_t here = context_switches() - here_before;
    const uint64_t host = host_switches() - host_before;
    if (got.status != read_status::timeout) state.SkipWithError("something came");
    state.counters["client"] = static_cast<double>(here);
    state.counters["host"] = static_cast<double>(host);
    state.counters["seconds"] = static_cast<double>(length.count());
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

}  // namespace

void add_transport(const settings& with) {
  struct contestant {
    const char* name;
    uint64_t stream_events;
  };
  for (const contestant& each : {contestant{"mapping", 2000000}, contestant{"port", 400'000}, {"ioctl", 400'000},
                                 {"socket_per_event", 100'000}, {"textbook", 2 * textbook_most}}) {
    const std::string name = each.name;
    const uint64_t events = with.scale(each.stream_events);
    add_measured("transport/stream/" + name, [=](auto& state) { measure(state, name, events, false); });
    const uint64_t paced = with.scale(3000);
    add_measured("transport/latency/" + name, [=](auto& state) { measure(state, name, paced, true); });
  }
  const seconds length(with.how == effort::check ? 1 : 10);
  for (const std::string name : {"mapping", "port", "ioctl"}) {
    add_once("transport/idle/" + name, [=](auto& state) { rest(state, name, length); });
  }
}

}  // namespace sluice::bench
