// An example: follows a process and everything that it starts, directly or not, and says how each of them ended.
#include <fmt/format.h>

#include <cstdlib>
#include <unordered_map>

#include "consumers/client/client.h"

namespace {

class process_tree {
 public:
  explicit process_tree(uint32_t root) : depths_{{root, 0}} {}

  bool empty() const { return depths_.empty(); }

  void note(const sluice::decoded_event& event) {
    if (const auto* start = std::get_if<sluice::process_create_event>(&event.body)) {
      const auto parent = depths_.find(start->parent_pid.value_or(0));
      if (parent == depths_.end()) return;
      const uint32_t depth = parent->second + 1;
      depths_[start->pid.value_or(0)] = depth;
      const std::string image = start->image_path ? sluice::to_utf8(start->image_path->text) : "?";
      fmt::print("{:{}}{} starts {}: {}\n", "", 2 * depth, *start->parent_pid, *start->pid, image);
    } else if (const auto* exit = std::get_if<sluice::process_exit_event>(&event.body)) {
      const auto found = depths_.find(exit->pid.value_or(0));
      if (found == depths_.end()) return;
      fmt::print("{:{}}{} ends with {}\n", "", 2 * found->second, found->first, exit->exit_status.value_or(0));
      depths_.erase(found);
    } else if (const auto* loss = std::get_if<sluice::loss_event>(&event.body)) {
      // A process whose start is missing would be missing with all that it starts: better said than guessed.
      fmt::print("{} events are missing here: from now on the tree may be incomplete\n", loss->events);
    }
  }

 private:
  std::unordered_map<uint32_t, uint32_t> depths_;  // by id; ids are used again only after their process has ended
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    fmt::print(stderr, "usage: {} NAME PID\n", arguments[0]);
    return 1;
  }
  try {
    sluice::client_options what;
    what.name = arguments[1];
    what.types = uint64_t{1} << sluice::event_type_process_create | uint64_t{1} << sluice::event_type_process_exit;
    what.client_name = "process_tree";
    what.reconnects = true;
    sluice::client client(what);
    process_tree tree(static_cast<uint32_t>(std::strtoul(arguments[2], nullptr, 10)));
    while (!tree.empty()) {
      if (const sluice::decoded_event* event = client.next({})) tree.note(*event);
      for (const sluice::interruption& gap : client.take_interruptions()) {
        fmt::print("interrupted ({}): the tree may be incomplete\n", gap.why);
      }
    }
    return 0;
  } catch (const sluice::source_error& error) {
    fmt::print(stderr, "process_tree: {}\n", error.what());
    return 1;
  }
}
