#include "stress/deterministic/plan.h"

#include <fmt/core.h>

#include "stress/random.h"

namespace sluice::stress {

run_plan plan_of(uint64_t seed) {
  random_source random(seed);
  const auto one_of = [&](auto... values) {
    const uint32_t all[] = {static_cast<uint32_t>(values)...};
    return all[random.below(sizeof...(values))];
  };
  const auto failure = [&] {
    return failing_call{static_cast<sim::machine::failure>(random.below(sim::machine::failure_kinds)),
                        1 + (random.one_in(2) ? random.below(3) : random.below(40))};
  };
  run_plan plan{};
  plan.seed = seed;
  plan.cpus = 1 + random.below(4);
  plan.more_cpus = random.one_in(3) ? 1 + random.below(2) : 0;
  plan.ring_bytes = one_of(16, 16, 64, 256) << 10;
  plan.spare_bytes = one_of(4, 16) << 10;
  plan.margin_microseconds = one_of(1, 50, 50, 1000);
  plan.overdue_milliseconds = one_of(0, 2, 5000, 5000);
  plan.anchor_seconds = one_of(0, 1, 60);
  plan.mode = random.one_in(4) ? ring_mode::overwrite : ring_mode::discard;
  plan.port = random.one_in(2);
  plan.moves_counter = random.one_in(2);
  plan.suspends = random.one_in(2);
  plan.filters = random.one_in(4);
  plan.activities = 1 + random.below(4);
  plan.steps = 1 + random.below(random.one_in(4) ? 40 : 12);
  plan.port_clients = plan.port ? random.below(3) : 0;
  if (random.one_in(3)) plan.at_start = failure();
  if (random.one_in(4)) plan.later = failure();
  plan.switches_types = random.one_in(3);
  plan.reader_leaves = plan.port_clients == 0 && random.one_in(3);
  return plan;
}

std::string text_of(const run_plan& plan) {
  const auto call = [](const std::optional<failing_call>& failing) {
    return failing ? fmt::format("call {} of kind {} fails", failing->nth, static_cast<int>(failing->kind)) : std::string("none fails");
  };
  return fmt::format(
      "seed {}: {} CPUs and {} more, rings of {} and {} bytes, {} mode, margin {} us, overdue {} ms, anchors {} s{}{}{}{}{}{}; {} activities "
      "of {} steps, {} clients on the port; at the start {}, later {}",
      plan.seed, plan.cpus, plan.more_cpus, plan.ring_bytes, plan.spare_bytes,
      plan.mode == ring_mode::overwrite ? "overwrite" : "discard", plan.margin_microseconds, plan.overdue_milliseconds,
      plan.anchor_seconds, plan.port ? ", port" : "",
      plan.moves_counter ? ", counter moved" : "", plan.suspends ? ", suspensions" : "", plan.filters ? ", filters" : "",
      plan.switches_types ? ", types switched" : "", plan.reader_leaves ? ", a reader that leaves" : "", plan.activities, plan.steps,
      plan.port_clients, call(plan.at_start), call(plan.later));
}

sim::machine_options machine_options_of(const run_plan& plan) {
  sim::machine_options result;
  result.processors = plan.cpus;
  result.maximum_processors = plan.all_cpus();
  result.check_paged_access = false;  // goes by the host's faults and its time
  result.service_parameters = {{u"Sluice", u"RingBytes", plan.ring_bytes},
                               {u"Sluice", u"SpareRingBytes", plan.spare_bytes},
                               {u"Sluice", u"MarginMicroseconds", plan.margin_microseconds},
                               {u"Sluice", u"OverdueMilliseconds", plan.overdue_milliseconds},
                               {u"Sluice", u"AnchorSeconds", plan.anchor_seconds},
                               {u"Sluice", u"Port", plan.port},
                               {u"Sluice", u"Mode", static_cast<uint32_t>(plan.mode)}};
  return result;
}

}  // namespace sluice::stress
