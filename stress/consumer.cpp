#include "stress/consumer.h"

#include "stress/membarrier.h"
#include "stress/merging_consumer.h"

namespace sluice::stress {

std::unique_ptr<consumer> make_consumer(rig& on, uint32_t writers) {
  if (on.options.order == order_kind::slack) {
    const uint64_t margin = uint64_t{on.options.margin_microseconds} * ticks_per_second / 1'000'000;
    return std::make_unique<merging_consumer<slack_order>>(on, writers, slack_order(margin), margin);
  }
  if (!register_membarrier()) broken("set-up", no_cpu, "this kernel has no membarrier; use --order slack");
  using exact = exact_order<membarrier_on_all>;
  return std::make_unique<merging_consumer<exact>>(on, writers, exact(), 0);
}

}  // namespace sluice::stress
