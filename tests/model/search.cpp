// Runs a scenario in relacy. The only file that instantiates relacy's searches: one test suite for each
// number of threads.
#include "tests/model/search.h"

#include <chrono>
#include <streambuf>

namespace sluice::model {
namespace {

// relacy's streams must not allocate while a simulation runs.
class report_buffer : public std::streambuf {
 public:
  void clear() { setp(text_, text_ + sizeof text_ - 1); }
  const char* text() {
    *pptr() = 0;
    return text_;
  }

 private:
  int_type overflow(int_type) override { return traits_type::not_eof(0); }  // what does not fit is dropped
  char text_[1 << 20];
};
class null_buffer : public std::streambuf {
  int_type overflow(int_type character) override { return traits_type::not_eof(character); }
};
report_buffer report;
null_buffer nothing;

const scenario_entry* current = nullptr;
uint64_t begun = 0;
uint64_t limit = 0;  // 0: none
double time_limit = 0;
std::chrono::steady_clock::time_point start;

bool is_enough() {
  ++begun;
  if (limit != 0 && begun > limit) return true;
  return time_limit != 0 && begun % 256 == 0 &&
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > time_limit;
}
alignas(128) unsigned char storage[scenario_room];

template <rl::thread_id_t thread_count>
struct suite : rl::test_suite<suite<thread_count>, thread_count> {
  suite() {
    reset_machine(current->barriers, thread_count);
    body_ = current->construct(storage);
  }
  ~suite() { body_->~scenario(); }

  void before() {
    if (is_enough()) rl::ctx().rl_until("stopped", RL_INFO);
    body_->prepare();
  }
  void thread(unsigned index) {
    const running_thread guard;
    body_->work(index);
  }
  void after() { body_->check(); }

 private:
  scenario* body_;
};

template <class suite, class scheduler>
outcome run(const search_options& options, rl::scheduler_type_e type) {
  std::ostream report_stream(&report);
  std::ostream null_stream(&nothing);
  report.clear();
  const bool random = options.kind == search_kind::random;
  rl::test_params params;
  params.search_type = type;
  params.context_bound = options.context_bound;
  params.iteration_count = random ? options.executions : 0;
  params.output_stream = &null_stream;
  params.progress_stream = &null_stream;
  begun = 0;
  limit = random ? 0 : options.executions;
  time_limit = random ? 0 : options.seconds;
  start = std::chrono::steady_clock::now();
  outcome result;
  rl::ostringstream state;
  result.result = rl::run_test<suite, scheduler>(params, state, false);
  result.executions = params.stop_iteration;
  if (result.result == rl::test_result_until_condition_hit) {
    result.result = rl::test_result_success;
    result.executions = begun - 1;
  } else if (result.result == rl::test_result_success) {
    result.complete = !random;
  } else {
    // The failing execution once more, written down.
    params.initial_state = state.str();
    params.collect_history = true;
    params.output_stream = &report_stream;
    limit = 0;
    time_limit = 0;
    rl::ostringstream again;
    (void)rl::run_test<suite, scheduler>(params, again, true);
    result.report = report.text();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

template <rl::thread_id_t threads>
outcome search_threads(const search_options& options) {
  switch (options.kind) {
    case search_kind::full:
      return run<suite<threads>, rl::full_search_scheduler<threads>>(options,
                                                                     rl::fair_full_search_scheduler_type);
    case search_kind::bound:
      return run<suite<threads>, rl::context_bound_scheduler<threads>>(options,
                                                                       rl::fair_context_bound_scheduler_type);
    case search_kind::random:
      break;
  }
  return run<suite<threads>, rl::random_scheduler<threads>>(options, rl::random_scheduler_type);
}

}  // namespace

outcome search(const scenario_entry& entry, const search_options& options) {
  current = &entry;
  return entry.threads == 2 ? search_threads<2>(options) : search_threads<3>(options);
}

}  // namespace sluice::model
