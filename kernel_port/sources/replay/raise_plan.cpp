#include "kernel_port/sources/replay/raise_plan.h"

#include <algorithm>

namespace sluice::replay {
namespace {

constexpr uint32_t system_process = 4;
constexpr uint32_t host_shift = 26;  // above max_id
// Ids of NT are multiples of 4; a thread that the log does not name gets one that is not.
constexpr uint32_t unnamed_thread = 1;

// A process stays on a CPU for a while, as threads do.
constexpr uint32_t least_steps = 32, most_steps = 96;
constexpr size_t boot_digits = 4;

}  // namespace

raise_plan::raise_plan(uint32_t lanes, uint32_t cpus, uint64_t seed, const std::vector<std::string>& hosts)
    : lanes_(lanes), cpus_(cpus), seed_(seed | 1), hosts_(hosts), boots_(hosts.size()), steps_(lanes) {}

uint32_t raise_plan::random(uint32_t below) {
  seed_ ^= seed_ << 13;
  seed_ ^= seed_ >> 7;
  seed_ ^= seed_ << 17;
  return static_cast<uint32_t>((seed_ >> 32) % below);
}

uint32_t raise_plan::host_of(const std::string& name) const {
  return static_cast<uint32_t>(std::find(hosts_.begin(), hosts_.end(), name) - hosts_.begin());
}

uint32_t raise_plan::lane_of(uint32_t pid) const { return (pid * 2654435761u >> 8) % lanes_; }

raise_plan::process& raise_plan::find(uint32_t pid) {
  const auto [found, fresh] = processes_.try_emplace(pid);
  if (fresh) {
    found->second.cpu = random(cpus_);
    found->second.steps_here = least_steps + random(most_steps - least_steps);
  }
  return found->second;
}

void raise_plan::choose_cpu(process& acting, planned_event& planned) {
  if (acting.steps_here == 0) {
    acting.steps_here = least_steps + random(most_steps - least_steps);
    const uint32_t before = acting.cpu;
    acting.cpu = random(cpus_);
    if (acting.cpu != before) {
      planned.moves = true;
      ++counts_.migrations;
    }
  }
  --acting.steps_here;
  planned.cpu = acting.cpu;
}

// The last digits of a GUID change when its host was started anew: none of its processes is there any more.
void raise_plan::note_boot(uint32_t host, const std::string& guid, planned_event& planned) {
  if (guid.size() < boot_digits) return;
  const std::string boot = guid.substr(guid.size() - boot_digits);
  if (boots_[host].empty()) boots_[host] = boot;
  if (boots_[host] == boot) return;
  boots_[host] = boot;
  ++counts_.restarts;
  for (const uint32_t pid : alive_) {
    if (pid >> host_shift == host) planned.forget.push_back(pid);
  }
  for (const uint32_t pid : planned.forget) alive_.erase(pid);
}

// The event happens in a lane that is not that of `other`, or may be, and concerns that process, too.
void raise_plan::concern(planned_event& planned, uint32_t other) {
  const uint32_t lane = lane_of(other);
  process& concerned = find(other);
  planned.moves = true;
  concerned.moved = true;
  planned.after[2] = concerned.held_by;
  concerned.held_by = {};
  if (lane == planned.lane) return;
  planned.after[1] = {lane, steps_[lane]};
  concerned.held_by = {planned.lane, steps_[planned.lane]};
}

planned_event raise_plan::next(repaired_event&& repaired) {
  planned_event planned;
  planned.event = std::move(repaired.event);
  const recorded_event& event = planned.event;
  const uint32_t host = host_of(event.host);
  const uint32_t base = host << host_shift;
  note_boot(host, event.guid, planned);

  const uint32_t acting = base | (event.kind == event_kind::driver_load ? system_process : event.pid);
  planned.lane = lane_of(acting);
  planned.subject = acting;
  ++steps_[planned.lane];
  process& own = find(acting);
  planned.after[0] = own.held_by;
  planned.moves = own.moved;
  own.held_by = {};
  own.moved = false;

  // A creation happens in the parent, and in the lane of the process that begins there.
  planned.pid = event.kind == event_kind::process_create ? base | event.parent_pid : acting;
  planned.tid = planned.pid | unnamed_thread;
  choose_cpu(find(planned.pid), planned);

  switch (event.kind) {
    case event_kind::process_create:
      planned.parent = planned.pid;
      planned.forget_subject = !alive_.insert(acting).second;
      if (planned.forget_subject) ++counts_.ids_used_again;
      concern(planned, planned.parent);
      own.moved = true;
      break;
    case event_kind::process_exit:
      planned.subject_is_new = alive_.erase(acting) == 0;
      if (planned.subject_is_new) ++counts_.unknown_processes;
      break;
    case event_kind::remote_thread:
      planned.subject = base | event.target_pid;
      planned.subject_is_new = alive_.insert(planned.subject).second;
      if (planned.subject_is_new) ++counts_.unknown_processes;
      concern(planned, planned.subject);
      break;
    case event_kind::driver_load: planned.subject = 0; break;
    default: break;
  }
  return planned;
}

}  // namespace sluice::replay
