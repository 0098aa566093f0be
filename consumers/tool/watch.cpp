#include "consumers/tool/watch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "consumers/event_stream.h"
#include "consumers/jsonl_sink.h"
#include "consumers/summary.h"
#include "consumers/text_sink.h"
#include "consumers/tool/select_types.h"

namespace sluice::tool {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a read may keep the loop from looking at the clock and at the user's wish to stop.
constexpr milliseconds longest_read{100};
// At the end: how long nothing may come while something is still missing.
constexpr std::chrono::seconds drain_patience{5};
constexpr size_t most_faults_shown = 20;

class watcher {
 public:
  watcher(session& watched, const watch_options& options, const watch_streams& streams)
      : session_(watched),
        options_(options),
        messages_(streams.messages),
        stream_(watched.source()),
        out_(streams.events),
        shows_progress_(::isatty(streams.messages) == 1 &&
                        (!options.prints || ::isatty(streams.events) != 1)) {
    const sink_context context{stream_.names(), stream_.clock(), out_};
    if (!options.prints) return;
    if (options.format == output_format::jsonl) {
      sink_ = std::make_unique<jsonl_sink>(context);
    } else {
      sink_ = std::make_unique<text_sink>(context, wants_colours(streams.events));
    }
  }

  int run(const std::function<bool()>& stop_requested) {
    select_types();
    session_.start();  // before the title: without permission there is one line and no more
    started_ = steady::now();
    say("{}", session_.title());
    read_until(stop_requested);
    session_.stop();
    const auto duration = steady::now() - started_;
    const bool complete = drain();
    return conclude(duration, complete);
  }

 private:
  template <class... arguments>
  void say(fmt::format_string<arguments...> format, arguments&&... values) {
    write_message("sluice: " + fmt::format(format, std::forward<arguments>(values)...) + "\n");
  }
  void write_message(std::string_view text) {
    clear_progress();
    // Nothing can be said about a stderr that takes nothing.
    while (!text.empty()) {
      const ssize_t n = ::write(messages_, text.data(), text.size());
      if (n < 0 && errno != EINTR) return;
      if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    }
  }

  void select_types() {
    const type_names names(session_.source().types());
    const uint64_t can = session_.source().capabilities().types;
    uint64_t asked = 0;
    for (const std::string& word : options_.types) {
      const uint64_t types = find_types(names, word);
      if ((types & can) == 0 && (options_.types_given || word != "own")) say("this driver has no {} events", word);
      asked |= types;
    }
    selected_ = can & (asked | ~all_events);
    session_.source().set_types(selected_);
  }

  void read_until(const std::function<bool()>& stop_requested) {
    while (!stop_requested() && !session_.failure() && !session_.finished() &&
           out_.status() == output_status::ok && stream_.last_read() != read_status::end) {
      std::chrono::nanoseconds patience = longest_read;
      if (options_.duration) {
        const auto left = started_ + *options_.duration - steady::now();
        if (left <= std::chrono::nanoseconds(0)) break;
        patience = std::min<std::chrono::nanoseconds>(patience, left);
      }
      take_batch(patience);
      show_progress();
    }
  }

  // One batch at most: the events are on stdout before the next one is waited for.
  void take_batch(std::chrono::nanoseconds patience) {
    for (const decoded_event* event = stream_.next(patience); event != nullptr;
         event = stream_.next(std::chrono::nanoseconds(0))) {
      if (sink_ && out_.status() == output_status::ok) sink_->write(*event);
    }
    out_.flush();
    session_.received(stream_.account().received_records());
    for (const std::string& fault : stream_.take_faults()) show_fault(fault);
    for (const std::string& line : session_.take_news()) say("{}", line);
    for (const std::string& fault : session_.take_faults()) {
      show_fault(fault);
      ++input_faults_;
    }
  }

  void show_fault(const std::string& fault) {
    if (++faults_ <= most_faults_shown) say("{}", fault);
    if (faults_ == most_faults_shown) say("further faults are counted, not shown");
  }

  // Nothing is raised any more: reads until everything that was committed was received, every gap was told of
  // and no reservation is open. False: something did not come.
  bool drain() {
    auto last_progress = steady::now();
    uint64_t received = stream_.account().received_records();
    for (;;) {
      session_.source().flush();
      take_batch(longest_read);
      statistics_ = session_.source().statistics();
      if (stream_.last_read() == read_status::end || stream_.account().drained(statistics_)) return true;
      const auto now = steady::now();
      if (const uint64_t n = stream_.account().received_records(); n != received) {
        received = n;
        last_progress = now;
      }
      if (now - last_progress > drain_patience) return false;
    }
  }

  int conclude(std::chrono::nanoseconds duration, bool complete) {
    std::optional<raised_callbacks> raised = session_.raised();
    if (raised && raised->always_on == 0) raised->always_on = selected_;
    session_.concluded(&statistics_, raised ? &*raised : nullptr);
    const std::optional<std::string> incomparable = session_.incomparable();
    std::vector<std::string> broken;
    if (!incomparable) broken = stream_.account().check(statistics_, raised ? &*raised : nullptr);
    if (stream_.faulty_batches() != 0) {
      broken.push_back(fmt::format("DAMAGED: {} batches contradict themselves", stream_.faulty_batches()));
    }
    std::string text = "\n" + summarize({stream_, statistics_, broken, duration, incomparable});
    for (const std::string& note : session_.notes()) text += note + "\n";
    if (!complete) text += "the end of the stream did not come within 5 s of waiting\n";
    write_message(text);

    if (const std::optional<std::string> failure = session_.failure())
      say("the run ended early: {}", *failure);
    if (!broken.empty()) return exit_broken_invariant;
    if (session_.failure()) return exit_wrong_use;
    if (input_faults_ != 0) {
      say("{} faults in the input; everything else was read", input_faults_);
      return exit_wrong_use;
    }
    if (session_.output_failed()) return exit_wrong_use;
    if (out_.status() == output_status::failed) {
      say("events could not be written to stdout: {}", std::strerror(out_.error()));
      return exit_wrong_use;
    }
    return exit_ok;
  }

  void show_progress() {
    const auto now = steady::now();
    if (!shows_progress_ || now - last_shown_ < milliseconds(500)) return;
    last_shown_ = now;
    const accounting& account = stream_.account();
    const std::string progress = session_.progress();
    const std::string line = fmt::format("\r\x1b[K{:.0f} s: {} records, {} lost, {} late{}{}",
                                         std::chrono::duration<double>(now - started_).count(),
                                         account.received_records(), account.announced_events(),
                                         account.late_records(), progress.empty() ? "" : "; ", progress);
    progress_shown_ = ::write(messages_, line.data(), line.size()) > 0;
  }
  void clear_progress() {
    if (!progress_shown_) return;
    progress_shown_ = false;
    (void)!::write(messages_, "\r\x1b[K", 4);
  }

  session& session_;
  const watch_options& options_;
  int messages_;
  event_stream stream_;
  output_writer out_;
  std::unique_ptr<event_sink> sink_;
  bool shows_progress_;
  bool progress_shown_ = false;
  steady::time_point started_{};
  steady::time_point last_shown_{};
  uint64_t selected_ = 0;
  uint64_t faults_ = 0;
  uint64_t input_faults_ = 0;
  driver_statistics statistics_;
};

}  // namespace

int watch(session& watched, const watch_options& options, const std::function<bool()>& stop_requested,
          const watch_streams& streams) {
  return watcher(watched, options, streams).run(stop_requested);
}

}  // namespace sluice::tool
