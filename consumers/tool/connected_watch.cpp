#include "consumers/tool/connected_watch.h"

#include <fmt/format.h>

#include <cstring>

#include "consumers/client/client.h"
#include "consumers/jsonl_sink.h"
#include "consumers/os/output.h"
#include "consumers/text_sink.h"
#include "consumers/tool/select_types.h"

namespace sluice::tool {
namespace {

using steady = std::chrono::steady_clock;

// At the end: how long the answer to a flush may take, and how often what the driver counts may move while it is looked at.
constexpr std::chrono::seconds flush_patience{5};
constexpr uint32_t looks = 5;

template <class... arguments>
void say(fmt::format_string<arguments...> format, arguments&&... values) {
  fmt::print(stderr, "sluice: {}\n", fmt::format(format, std::forward<arguments>(values)...));
}

class connected_watch {
 public:
  explicit connected_watch(const watch_options& options)
      : options_(options), client_(what_to_open(options)), out_(os::standard_output) {
    const sink_context context{client_.names(), client_.clock(), out_};
    if (options.format == output_format::jsonl) {
      sink_ = std::make_unique<jsonl_sink>(context);
    } else {
      sink_ = std::make_unique<text_sink>(context, wants_colours(os::standard_output));
    }
  }

  int run(filter_option* filter, stop_signals& signals) {
    const std::shared_ptr<event_source> driver = client_.driver();
    if (filter != nullptr) {
      const auto set = [&](std::span<const uint8_t> message) { return client_.set_own_filter(message); };
      for (const std::string& line : filter->apply(*driver, set)) fmt::print(stderr, "{}\n", line);
    }
    client_.set_types(find_types(type_names(driver->types()), options_.types));
    const stop_signals::listener on_stop(signals, [this] { client_.cancel(); });
    const protocol::capabilities about = client_.capabilities();
    say("{}: {} CPUs, rings of {} KiB each; by {}", options_.connect, about.cpu_count, about.ring_bytes / 1024, name_of(client_.by()));
    const auto begin = steady::now();
    std::string lost;
    try {
      while (signals.requested() == 0 && out_.status() == output_status::ok) {
        client_timeout left;
        if (options_.duration) left = *options_.duration - (steady::now() - begin);
        if (left && left->count() <= 0) break;
        if (!take(left) && client_.last() == client_outcome::timeout) break;
      }
      take_the_rest();
    } catch (const nt_error& error) {
      out_.flush();
      lost = error.what();
    }
    return conclude(lost);
  }

 private:
  static client_options what_to_open(const watch_options& options) {
    client_options what;
    what.name = options.connect;
    what.by = options.by;
    what.client_name = "sluice watch";
    what.types = 0;  // until their names are known
    return what;
  }

  // The events of one batch, printed before the next one is waited for. False: there are none (client::last).
  bool take(client_timeout timeout) {
    const decoded_event* event = client_.next(timeout);
    const bool any = event != nullptr;
    for (; event != nullptr; event = client_.next(std::chrono::nanoseconds(0))) sink_->write(*event);
    out_.flush();
    for (const std::string& fault : client_.take_faults()) {
      say("{}", fault);
      ++faults_;
    }
    return any;
  }

  // What was on its way when the time was over: no more is asked for.
  void take_the_rest() {
    client_.set_types(0);
    for (uint32_t look = 0; look < looks; ++look) {
      client_.flush();
      const auto limit = steady::now() + flush_patience;
      for (auto left = limit - steady::now(); left.count() > 0; left = limit - steady::now()) {
        if (!take(left) && client_.last() == client_outcome::flushed) break;
      }
      broken_ = client_.check(false);
      if (broken_.empty()) return;  // otherwise something may have come between the answer and the account
    }
  }

  int conclude(const std::string& lost) {
    const accounting& account = client_.account();
    fmt::print(stderr, "\n{} records; dropped by the driver, as announced: {}; overwritten: {}; missed by this client: {}; late: {}\n",
               account.received_records(), account.announced_events(), account.overwritten_events(), account.missed_events(),
               account.late_records());
    for (const std::string& each : broken_) fmt::print(stderr, "{}\n", each);
    if (!lost.empty()) say("{}", lost);
    if (!broken_.empty() || faults_ != 0) return exit_broken_invariant;
    if (lost.empty() && client_.by() == transport::port) fmt::print(stderr, "what the driver delivered to this client, it received\n");
    if (out_.status() == output_status::failed) {
      say("events could not be written to stdout: {}", std::strerror(out_.error()));
      return exit_wrong_use;
    }
    return lost.empty() ? exit_ok : exit_wrong_use;
  }

  const watch_options& options_;
  client client_;
  output_writer out_;
  std::unique_ptr<event_sink> sink_;
  std::vector<std::string> broken_;
  uint64_t faults_ = 0;
};

}  // namespace

int watch_connected(const watch_options& options, filter_option* filter, stop_signals& signals) {
  return connected_watch(options).run(filter, signals);
}

}  // namespace sluice::tool
