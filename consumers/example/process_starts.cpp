// An example: prints each process start of a stream, and what was lost. README.md shows this function.
#include <fmt/format.h>

#include "consumers/event_stream.h"
#include "consumers/example/process_starts.h"
#include "consumers/utf16.h"

void print_process_starts(sluice::event_source& source, const bool& stop) {
  sluice::event_stream stream(source);  // typed, in order, duplicates dropped
  while (!stop) {
    const sluice::decoded_event* event = stream.next(std::chrono::milliseconds(100));
    if (event == nullptr) continue;  // nothing in time
    if (const auto* start = std::get_if<sluice::process_create_event>(&event->body)) {
      const std::string image = start->image_path ? sluice::to_utf8(start->image_path->text) : "?";
      fmt::print("cpu {}: process {} starts: {}\n", event->identity.cpu, start->pid.value_or(0), image);
    } else if (const auto* loss = std::get_if<sluice::loss_event>(&event->body)) {
      fmt::print("cpu {}: {} events are missing here\n", event->identity.cpu, loss->events);
    }
  }
}
