#include "tests/reference/side_by_side.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>

#include "tests/pipeline/support.h"
#include "tests/reference/model.h"

namespace sluice::reference {
namespace {

// Every byte follows from the content's number.
void put(uint8_t* bytes, uint64_t length, uint64_t content) {
  for (uint64_t i = 0; i < length; ++i)
    bytes[i] = static_cast<uint8_t>(content * 37 + i * (1 + content / 256));
}

const char* name_of(pass_end end) {
  switch (end) {
    case pass_end::idle_bound:
      return "idle";
    case pass_end::reserved:
      return "reserved head";
    case pass_end::stamped:
      return "stamped head";
    case pass_end::sink_full:
      return "sink full";
    case pass_end::damaged:
      return "damaged ring";
  }
  return "?";
}
pass_end end_of(stop end) {
  return end == stop::idle       ? pass_end::idle_bound
         : end == stop::reserved ? pass_end::reserved
         : end == stop::stamped  ? pass_end::stamped
                                 : pass_end::sink_full;
}

const char* name_of(const grant& given) {
  return !given.valid                         ? "invalid type"
         : given.lane                         ? (*given.lane == 0 ? "main lane" : "spare lane")
         : given.why == reason::too_long      ? "dropped, too long"
         : given.why == reason::critical_full ? "dropped, critical full"
                                              : "dropped, full";
}
reserve_status status_of(const grant& given) {
  return !given.valid ? reserve_status::invalid_type
         : given.lane ? reserve_status::ok
                      : reserve_status::dropped;
}
std::string name_of(reserve_status status) {
  return status == reserve_status::ok ? "ok" : status == reserve_status::dropped ? "dropped" : "invalid type";
}

loss from_payload(const std::vector<uint8_t>& payload) {
  const test::decoded_loss decoded = test::decode_loss(payload);
  loss lost{decoded.fixed.first_time, decoded.fixed.last_time, decoded.fixed.bytes, decoded.fixed.events, {}};
  for (const loss_entry& entry : decoded.entries) lost.by_type[entry.type] += entry.events;
  return lost;
}

std::string text_of(const loss& lost) {
  std::ostringstream out;
  out << lost.events << " events, " << lost.bytes << " bytes, times " << lost.first_time << " to "
      << lost.last_time << ", by type";
  for (const auto& [type, events] : lost.by_type) out << ' ' << type << ':' << events;
  return out.str();
}

// The clock of all CPUs; a test moves it. `on_read` runs once, before the next reading.
struct shared_clock {
  uint64_t* now_ticks = nullptr;
  uint64_t ahead = 0;
  std::function<void()>* on_read = nullptr;

  uint64_t now() {
    if (on_read != nullptr && *on_read) {
      const std::function<void()> once = std::move(*on_read);
      *on_read = nullptr;
      once();
    }
    return *now_ticks + ahead;
  }
};

class rig {
 public:
  rig(const setup& with, const sequence& operations, coverage& reached);
  void run();

 private:
  using cpu = test::basic_cpu<shared_clock>;
  using exact_merge = test::basic_merge<shared_clock, test::exact>;
  using slack_merge = test::basic_merge<shared_clock, slack_order>;
  struct held {
    test::record record;
    grant given;
  };

  void step();
  void produce(const operation& each, bool at_once, bool look_between);
  void fill(const operation& each);
  void close(const operation& each, bool commit);
  void consume(uint64_t room, uint32_t inside = 0);
  void release();
  void settle(uint32_t number);
  void check_figures(uint32_t number);
  void check_emission(const test::received& got, const emission& expected);
  void check_pass(const pass_result& got, const pass_outcome& expected);
  void finish();

  template <class value>
  void same(const char* what, const value& pipeline, const value& model) const {
    if (pipeline != model) differ(what, std::to_string(pipeline), std::to_string(model));
  }
  [[noreturn]] void differ(const std::string& what, const std::string& pipeline,
                           const std::string& model) const;
  template <class callable>
  decltype(auto) with_merge(callable&& call) {
    return exact_ ? call(*exact_) : call(*slack_);
  }

  setup with_;
  const sequence& operations_;
  coverage& reached_;
  size_t next_ = 0;  // operation
  uint64_t ticks_ = 100;
  std::function<void()> on_read_;     // of a CPU's clock
  std::function<void()> in_barrier_;  // of a pass
  std::vector<std::unique_ptr<cpu>> cpus_;
  std::optional<exact_merge> exact_;
  std::optional<slack_merge> slack_;
  std::vector<held> open_;
  uint64_t content_ = 0;
  std::optional<machine> model_;
};

rig::rig(const setup& with, const sequence& operations, coverage& reached)
    : with_(with), operations_(operations), reached_(reached) {
  std::vector<uint64_t> starts;
  for (uint32_t i = 0; i < with_.cpus; ++i) {
    test::cpu_options options;
    options.cpu = static_cast<uint16_t>(i);
    options.main.critical_bytes = with_.critical_bytes;
    options.start_position = 0u - with_.before_the_turn - (with_.before_the_turn == 0 ? 0 : 64 * i);
    options.critical = uint64_t{1} << critical_type;
    options.mode = with_.overwrites ? ring_mode::overwrite : ring_mode::discard;
    starts.push_back(options.start_position);
    cpus_.push_back(
        std::make_unique<cpu>(shared_clock{&ticks_, with_.clocks_differ ? i % 2 : 0, &on_read_}, options));
  }
  const shared_clock of_consumer{&ticks_, with_.clocks_differ ? with_.cpus % 2 : 0};
  const merge_options options{with_.set_aside_after};
  if (with_.margin == 0) {
    exact_.emplace(of_consumer, test::exact(test::scripted_barrier{&in_barrier_}), test::lanes_of(cpus_),
                   options);
  } else {
    slack_.emplace(of_consumer, slack_order(with_.margin), test::lanes_of(cpus_), options);
  }
  model_.emplace(
      rules{test::small_main.capacity, test::small_spare.capacity, with_.critical_bytes,
            test::small_main.max_record, uint64_t{1} << critical_type, with_.margin, with_.set_aside_after,
            with_.overwrites},
      starts);
}

void rig::differ(const std::string& what, const std::string& pipeline, const std::string& model) const {
  throw disagreement((next_ == 0 ? std::string("at the end") : "operation " + std::to_string(next_)) + ": " +
                     what + ": the pipeline says " + pipeline + ", the model " + model);
}

void rig::run() {
  while (next_ < operations_.size()) step();
  next_ = 0;
  finish();
  ++reached_.cases;
  reached_.operations += operations_.size();
  reached_.late += model_->late();
  reached_.set_aside += model_->set_aside();
  reached_.overwritten += model_->announced_as_overwritten();
}

void rig::step() {
  const operation& each = operations_[next_++];
  switch (each.what) {
    case verb::write:
    case verb::reserve:
      for (uint32_t i = 0; i < each.times; ++i) produce(each, each.what == verb::write, false);
      break;
    case verb::write_under_a_look:
    case verb::reserve_under_a_look:
      produce(each, each.what == verb::write_under_a_look, true);
      break;
    case verb::fill:
      fill(each);
      break;
    case verb::commit:
      close(each, true);
      break;
    case verb::discard:
      close(each, false);
      break;
    case verb::wait:
      ticks_ += each.ticks;
      break;
    case verb::turn_back:
      ticks_ -= std::min<uint64_t>(each.ticks, ticks_ - 1);
      break;
    case verb::consume:
      consume(each.times);
      break;
    case verb::consume_all:
      consume(~uint64_t{0}, each.inside);
      break;
    case verb::release:
      release();
      break;
    case verb::flush:
      ticks_ += with_.margin + 2;
      consume(~uint64_t{0});
      release();
      break;
    case verb::settle:
      settle(each.cpu % with_.cpus);
      break;
  }
}

void rig::produce(const operation& each, bool at_once, bool look_between) {
  const uint32_t number = each.cpu % with_.cpus;
  const uint64_t content = ++content_;
  std::vector<uint8_t> bytes(std::min<uint32_t>(each.payload, 4096));
  put(bytes.data(), bytes.size(), content);

  // The model first, up to the reading of the clock: what the pipeline does until then can be looked at
  // meanwhile.
  const grant given = model_->ask(number, static_cast<uint16_t>(each.type), each.payload);
  if (look_between) on_read_ = [&] { consume(~uint64_t{0}); };
  test::record record{};
  auto& rings = cpus_[number]->rings;
  const reserve_status status =
      at_once ? rings.write(static_cast<uint16_t>(each.type), 1, bytes.data(), each.payload)
              : rings.reserve(static_cast<uint16_t>(each.type), 1, each.payload, record);
  on_read_ = nullptr;
  if (status != status_of(given)) differ("room for the event", name_of(status), name_of(given));
  if (!given.valid) return;
  model_->time_is(given, ticks_ + (with_.clocks_differ ? number % 2 : 0));
  if (!given.lane) {
    ++reached_.dropped;
    check_figures(number);
    return;
  }
  reached_.announced += given.announcement != nullptr;
  reached_.spare += *given.lane == 1;
  if (at_once) {
    given.record->content = content;
    model_->close(given, true);
  } else {
    open_.push_back({record, given});
  }
}

void rig::fill(const operation& each) {
  if (open_.empty()) return;
  held& which = open_[each.which % open_.size()];
  which.given.record->content = ++content_;
  put(which.record.payload(), which.record.payload_length(), content_);
}

void rig::close(const operation& each, bool commit) {
  if (open_.empty()) return;
  const size_t index = each.which % open_.size();
  const held which = open_[index];
  open_.erase(open_.begin() + static_cast<ptrdiff_t>(index));
  model_->close(which.given, commit);
  which.record.close(commit ? record_state::committed : record_state::discarded);
}

void rig::consume(uint64_t room, uint32_t inside) {
  // In the barrier, T is taken and no ring has been looked at yet.
  const uint64_t clock = ticks_ + (with_.clocks_differ ? with_.cpus % 2 : 0);
  if (inside != 0 && exact_) {
    in_barrier_ = [this, inside] {
      for (uint32_t i = 0; i < inside && next_ < operations_.size(); ++i) {
        const verb what = operations_[next_].what;
        if (what == verb::write_under_a_look || what == verb::reserve_under_a_look || what >= verb::consume)
          break;
        step();
      }
    };
  }
  test::collector sink;
  sink.limit = room;
  const pass_result got = with_merge([&](auto& merge) { return merge.pass(sink); });
  in_barrier_ = nullptr;
  const pass_outcome expected = model_->pass(clock, room);

  for (size_t i = 0; i < std::min(sink.records.size(), expected.emitted.size()); ++i) {
    check_emission(sink.records[i], expected.emitted[i]);
  }
  same("number of records that came out", sink.records.size(), expected.emitted.size());
  check_pass(got, expected);
  reached_.emitted += expected.emitted.size();
  reached_.sink_full += expected.end == stop::sink_full;
  reached_.saw_reserved += expected.end == stop::reserved;
}

void rig::check_emission(const test::received& got, const emission& expected) {
  const event& what = expected.what;
  same<uint64_t>("lane of a record", uint64_t{got.cpu} * lanes + got.lane, expected.lane);
  same<uint64_t>("position of a record", got.position, what.position);
  same<uint64_t>("time of a record", got.time, what.time);
  same<uint64_t>("type of a record", got.type, what.type);
  same<uint64_t>("length of a payload", got.payload.size(), what.length - header_bytes);
  same<uint64_t>("late", got.late, expected.late);
  same<uint64_t>("tells of what was overwritten", got.overwritten, what.tells_of_overwritten);
  if (what.type == loss_type) {
    const loss lost = from_payload(got.payload);
    if (lost != what.lost) differ("LOSS", text_of(lost), text_of(what.lost));
  } else if (what.content) {
    std::vector<uint8_t> bytes(got.payload.size());
    put(bytes.data(), bytes.size(), *what.content);
    if (bytes != got.payload) differ("payload", "other bytes", "content " + std::to_string(*what.content));
  }
}

void rig::check_pass(const pass_result& got, const pass_outcome& expected) {
  const pass_end end = end_of(expected.end);
  if (got.end != end) differ("end of the pass", name_of(got.end), name_of(end));
  same<uint64_t>("count of the pass", got.emitted, expected.emitted.size());
  if (end != pass_end::sink_full) {
    same<uint64_t>("lane that ended the pass", got.ring, expected.lane);
    same<uint64_t>("oldest open record", got.open_time, expected.open_time);
    same<uint64_t>("may sleep", got.may_sleep(),
                   end == pass_end::stamped || (end == pass_end::idle_bound && !expected.closed_pending));
  }
  with_merge([&](auto& merge) {
    same<uint64_t>("late records", merge.merged.late_records(), model_->late());
    same<uint64_t>("records set aside", merge.merged.set_aside_records(), model_->set_aside());
    same<uint64_t>("announced as overwritten", merge.merged.missed_events(), model_->announced_as_overwritten());
    same<uint64_t>("discarded records", merge.merged.discarded_records(), model_->discarded());
  });
}

void rig::release() {
  with_merge([](auto& merge) { merge.merged.release(); });
  model_->release();
}

// R3, type by type.
void rig::settle(uint32_t number) {
  for (const uint16_t type :
       {loss_type, ordinary_types[0], ordinary_types[1], ordinary_types[2], critical_type}) {
    const account_row got = cpus_[number]->account(type);
    const row& expected = model_->account(number, type);
    const std::string of = " of type " + std::to_string(type) + " on cpu " + std::to_string(number);
    same(("attempted" + of).c_str(), got.attempted, expected.attempted);
    same(("committed" + of).c_str(), got.committed, expected.committed);
    same(("discarded" + of).c_str(), got.discarded, expected.discarded);
    same(("open" + of).c_str(), got.open, expected.open);
    same(("overwritten" + of).c_str(), got.overwritten, expected.overwritten);
    for (uint32_t i = 0; i < reasons; ++i) {
      same((std::string(sluice::name_of(static_cast<drop_reason>(i))) + of).c_str(), got.dropped[i],
           expected.dropped[i]);
    }
    if (!got.balances()) differ("R3" + of, "no balance", "balance");
  }
  same<uint64_t>("violations", cpus_[number]->rings.violations(), 0);
}

// R4: also of what nothing follows.
void rig::check_figures(uint32_t number) {
  loss_summary figures;
  if (!read_loss_figures(cpus_[number]->main.view.producer->loss, figures))
    differ("loss figures", "not readable", "readable");
  loss got{figures.first_time, figures.last_time, figures.bytes, figures.events, {}};
  for (uint32_t type = 0; type < types; ++type) {
    if (figures.dropped[type] != 0) got.by_type[static_cast<uint16_t>(type)] = figures.dropped[type];
  }
  const loss& expected = model_->figures(number);
  if (got != expected) differ("loss figures", text_of(got), text_of(expected));
}

// Everything is closed and comes out; nothing is left, nothing is missing.
void rig::finish() {
  while (!open_.empty()) close({}, true);
  ticks_ += 1000000;
  for (int i = 0; i < 2; ++i) {
    consume(~uint64_t{0});
    release();
  }
  for (uint32_t i = 0; i < with_.cpus; ++i) {
    for (uint32_t lane = 0; lane < lanes; ++lane) {
      same<uint64_t>("M3: records that did not come out", 0, model_->pending(i * lanes + lane));
    }
    settle(i);
  }
}

}  // namespace

void run_side_by_side(const setup& with, const sequence& operations, coverage& reached) {
  rig(with, operations, reached).run();
}

}  // namespace sluice::reference
