// Lines of the summary that stand there only where there is something to say.
#include "consumers/summary.h"

#include <gtest/gtest.h>

#include <tuple>

#include "tests/consumers/scripted_source.h"

namespace sluice {
namespace {

using namespace test;

std::string summary_of(scripted_source& source) {
  event_stream stream(source);
  while (stream.next(std::chrono::milliseconds(1)) != nullptr) {
  }
  return summarize({stream, source.figures, {}, std::chrono::seconds(1)});
}

TEST(summary, tells_what_this_client_alone_has_missed) {
  scripted_source source;
  record missed{record_type_loss, loss({{event_type_thread_create, 2}, {event_type_image_load, 3}})};
  missed.cpu = batch_no_cpu;
  missed.entry_flags = batch_flag_client_loss;
  source.batches.push_back(batch_builder().add(missed).finish());
  const std::string said = summary_of(source);
  EXPECT_NE(said.find("\nmissed by this client alone, and announced so: 5\n"), std::string::npos) << said;
  EXPECT_NE(said.find("announced as lost: 0;"), std::string::npos) << said;
}

TEST(summary, counts_the_reservations_that_are_still_open_over_all_cpus_and_types) {
  scripted_source source;
  for (const auto& [cpu, type, count] : {std::tuple<uint16_t, uint16_t, uint64_t>{0, event_type_image_load, 1},
                                         {1, event_type_image_load, 2}, {1, event_type_thread_create, 4}}) {
    source.row(cpu, type).attempted = count;
    source.row(cpu, type).open = count;
  }
  const std::string said = summary_of(source);
  EXPECT_NE(said.find("\n7 reservations were still open at the end\n"), std::string::npos) << said;
}

TEST(summary, does_not_speak_of_what_did_not_happen) {
  scripted_source source;
  source.committed(0, event_type_thread_create, 0);
  const std::string said = summary_of(source);
  for (const char* words : {"missed", "overwritten", "still open"}) EXPECT_EQ(said.find(words), std::string::npos) << said;
}

}  // namespace
}  // namespace sluice
