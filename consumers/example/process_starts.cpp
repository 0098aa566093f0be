// An example, the smallest client: prints each process start of a kernel, and what was lost. README.md shows this function.
#include <fmt/format.h>

#include "consumers/client/client.h"
#include "consumers/utf16.h"

void print_process_starts(const std::string& name) {
  sluice::client_options what;
  what.name = name;
  sluice::client client(what);
  for (;;) {
    const sluice::decoded_event* event = client.next({});  // typed, in order, duplicates dropped; waits for ever
    if (event == nullptr) continue;
    if (const auto* start = std::get_if<sluice::process_create_event>(&event->body)) {
      const std::string image = start->image_path ? sluice::to_utf8(start->image_path->text) : "?";
      fmt::print("cpu {}: process {} starts: {}\n", event->identity.cpu, start->pid.value_or(0), image);
    } else if (const auto* loss = std::get_if<sluice::loss_event>(&event->body)) {
      fmt::print("cpu {}: {} events are missing here\n", event->identity.cpu, loss->events);
    }
  }
}

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: {} NAME\n", arguments[0]);
    return 1;
  }
  try {
    print_process_starts(arguments[1]);
  } catch (const sluice::source_error& error) {
    fmt::print(stderr, "process_starts: {}\n", error.what());
    return 1;
  }
}
