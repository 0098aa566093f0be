#include "kernel_port/sources/live/process_tracker.h"

#include <algorithm>

namespace sluice::live {
namespace {

uint32_t number(int32_t id) { return id > 0 ? static_cast<uint32_t>(id) : 0; }

activity_place place_of(const linux_record& record) {
  return {.cpu = record.cpu, .pid = number(record.pid), .tid = number(record.tid)};
}

std::shared_ptr<program> program_of(const snapshot_process& process) {
  auto running = std::make_shared<program>();
  running->pid = process.pid;
  running->image_known = true;
  running->image_path = process.image_path;
  running->command_line = process.command_line;
  return running;
}

// Start times from /proc are rounded, and converted between clocks.
constexpr uint64_t start_tolerance = 100'000'000;

}  // namespace

process_tracker::process process_tracker::process_of(const snapshot_process& found, uint64_t snapshot_end) {
  process known{.since = found.started, .snapshot_end = snapshot_end, .running = program_of(found)};
  for (int32_t tid : found.threads) known.threads.emplace(tid, found.started);
  return known;
}

void process_tracker::begin(const process_snapshot& snapshot) {
  for (const snapshot_process& found : snapshot.processes) {
    processes_.emplace(found.pid, process_of(found, snapshot.end));
    sink_.add_existing_process({.pid = number(found.pid),
                                .parent_pid = number(found.parent_pid),
                                .image_path = found.image_path,
                                .command_line = found.command_line});
    for (int32_t tid : found.threads) sink_.add_existing_thread(number(found.pid), number(tid));
    ++statistics_.existing_processes;
    statistics_.existing_threads += found.threads.size();
  }
}

void process_tracker::raise(const observed_record& observed) {
  const linux_record& record = observed.record;
  if (record.pid <= 0 || record.tid <= 0) {
    // Idle tasks, and tasks of pid namespaces that this process does not see.
    ++statistics_.outside_namespace;
    return;
  }
  switch (record.kind) {
    case record_kind::fork:
      if (observed.forked)
        fork_process(record, *observed.forked);
      else
        fork_thread(record);
      break;
    case record_kind::name:
      if (observed.executed) exec(record, observed.executed);
      break;  // a plain rename means nothing to NT
    case record_kind::mapping: map(record); break;
    case record_kind::exit: exit(record); break;
    default: break;
  }
}

void process_tracker::fork_process(const linux_record& record, const birth& forked) {
  activity_place place{.cpu = record.cpu, .pid = number(record.parent_pid), .tid = number(record.parent_tid)};
  auto found = processes_.find(record.pid);
  if (found != processes_.end()) {
    if (record.time <= found->second.snapshot_end) {
      ++statistics_.before_start;
      return;
    }
    // The pid is in use again: the end of the process that had it was lost.
    ++statistics_.reconciled;
    end({.cpu = record.cpu, .pid = number(record.pid), .tid = number(record.pid)}, found);
  }

  std::shared_ptr<program> running = forked.executed;
  if (forked.result == birth::outcome::exec) {
    count_name(*running);
  } else {
    ++statistics_.forks_without_exec;
    if (forked.result == birth::outcome::timed_out) ++statistics_.forks_timed_out;
    auto parent = processes_.find(record.parent_pid);
    if (parent != processes_.end()) running = parent->second.running;
    if (running && running->command_line) ++statistics_.command_lines_inherited;
  }

  process& created = processes_[record.pid];
  created.since = record.time;
  created.running = running;
  create(place, record.pid, record.parent_pid, running.get());
  created.threads.emplace(record.pid, record.time);
  create_thread(place, record.pid, record.pid);
}

void process_tracker::fork_thread(const linux_record& record) {
  auto found = processes_.find(record.pid);
  if (found == processes_.end()) {
    ++statistics_.unknown_tasks;
    return;
  }
  process& owner = found->second;
  if (!owner.threads.emplace(record.tid, record.time).second) {
    if (record.time <= owner.snapshot_end) {
      ++statistics_.before_start;
      return;
    }
    ++statistics_.reconciled;
    exit_thread(place_of(record), record.pid, record.tid);
  }
  create_thread({.cpu = record.cpu, .pid = number(record.parent_pid), .tid = number(record.parent_tid)}, record.pid,
                record.tid);
}

void process_tracker::exec(const linux_record& record, const std::shared_ptr<program>& executed) {
  auto found = processes_.find(record.pid);
  if (found == processes_.end()) {
    // Its fork has no record: it begins here. Who forked is not known; the parent is /proc's.
    ++statistics_.found_by_exec;
    count_name(*executed);
    found = processes_.emplace(record.pid, process{.since = record.time, .running = executed}).first;
    activity_place place{
        .cpu = record.cpu, .pid = number(executed->parent_pid), .tid = number(executed->parent_pid)};
    create(place, record.pid, executed->parent_pid, executed.get());
    found->second.threads.emplace(record.pid, record.time);
    create_thread(place, record.pid, record.pid);
  }
  process& caller = found->second;
  if (caller.running != executed) {
    ++statistics_.replaced_programs;
    caller.running = executed;
  }
  // The thread that calls exec becomes the first thread: it takes the number of the process. Linux reports no end of the
  // number it had.
  if (!caller.threads.contains(record.pid)) {
    activity_place place = place_of(record);
    if (!caller.threads.empty()) place.tid = number(caller.threads.begin()->first);
    create_thread(place, record.pid, record.pid);
    caller.threads.emplace(record.pid, record.time);
  }
  for (auto tid = caller.threads.begin(); tid != caller.threads.end();) {
    if (tid->first == record.pid) {
      ++tid;
      continue;
    }
    exit_thread({.cpu = record.cpu, .pid = number(record.pid), .tid = number(tid->first)}, record.pid, tid->first);
    tid = caller.threads.erase(tid);
  }
}

void process_tracker::map(const linux_record& record) {
  mapping_kind kind = mapping_kind_of(record.text);
  if (kind == mapping_kind::anonymous) {
    ++statistics_.anonymous_mappings;
    return;
  }
  if (!knows(record.pid)) {
    ++statistics_.unknown_tasks;
    return;
  }
  image_description image{.pid = number(record.pid), .base = record.address, .size = record.length};
  if (kind == mapping_kind::file) image.path = record.text;
  sink_.load_image(place_of(record), image);
  ++statistics_.image_loads;
}

void process_tracker::exit(const linux_record& record) {
  if (expecting_) ended_tasks_.insert(record.tid);
  auto found = processes_.find(record.pid);
  if (found == processes_.end()) {
    ++statistics_.unknown_tasks;
    return;
  }
  process& owner = found->second;
  if (!owner.threads.contains(record.tid)) {
    if (record.time <= owner.snapshot_end)
      ++statistics_.before_start;
    else
      ++statistics_.unknown_tasks;
    return;
  }
  if (owner.threads.size() == 1) {
    end(place_of(record), found);
    return;
  }
  owner.threads.erase(record.tid);
  exit_thread(place_of(record), record.pid, record.tid);
}

void process_tracker::count_name(const program& executed) {
  if (executed.command_line)
    ++statistics_.command_lines_read;
  else
    ++statistics_.command_lines_gone;
}

void process_tracker::create(const activity_place& place, int32_t pid, int32_t parent_pid, const program* running) {
  process_description description{.pid = number(pid), .parent_pid = number(parent_pid)};
  if (running != nullptr) {
    description.image_path = running->image_path;
    description.command_line = running->command_line;
  }
  if (!description.image_path) ++statistics_.image_paths_missing;
  sink_.create_process(place, description);
  ++statistics_.process_creates;
}

// The last thread ends, and the process with it.
void process_tracker::end(const activity_place& place, process_map::iterator found) {
  sink_.exit_process(place, number(found->first));
  statistics_.thread_exits += found->second.threads.size();
  ++statistics_.process_exits;
  processes_.erase(found);
}

void process_tracker::create_thread(const activity_place& place, int32_t pid, int32_t tid) {
  sink_.create_thread(place, number(pid), number(tid));
  ++statistics_.thread_creates;
}

void process_tracker::exit_thread(const activity_place& place, int32_t pid, int32_t tid) {
  sink_.exit_thread(place, number(pid), number(tid));
  ++statistics_.thread_exits;
}

void process_tracker::reconcile(const process_snapshot& snapshot, uint32_t cpu, bool again) {
  std::unordered_map<int32_t, const snapshot_process*> living;
  for (const snapshot_process& found : snapshot.processes) living.emplace(found.pid, &found);

  // Ended without a record, or the pid is another process's by now. What began after the snapshot did may have been missed
  // by it.
  for (auto known = processes_.begin(); known != processes_.end();) {
    auto next = std::next(known);
    auto found = living.find(known->first);
    bool gone = found == living.end() ? known->second.since < snapshot.begin
                                      : found->second->started > known->second.since + start_tolerance;
    if (gone) {
      ++statistics_.reconciled;
      end({.cpu = cpu, .pid = number(known->first), .tid = number(known->first)}, known);
    }
    known = next;
  }

  for (const snapshot_process& found : snapshot.processes) {
    // What has ended since, with a record, is not begun again.
    bool lives = std::any_of(found.threads.begin(), found.threads.end(),
                             [&](int32_t tid) { return !ended_tasks_.contains(tid); });
    if (!lives) continue;
    auto known = processes_.find(found.pid);
    if (known == processes_.end()) {
      ++statistics_.reconciled;
      known = processes_.emplace(found.pid, process{.since = found.started, .running = program_of(found)}).first;
      create({.cpu = cpu, .pid = number(found.parent_pid), .tid = number(found.parent_pid)}, found.pid,
             found.parent_pid, known->second.running.get());
    }
    compare_threads(known, found, snapshot.begin, cpu);
  }
  if (!again) {
    expecting_ = false;
    ended_tasks_.clear();
  }
  ++statistics_.reconciliations;
}

void process_tracker::compare_threads(process_map::iterator known, const snapshot_process& now, uint64_t begin,
                                      uint32_t cpu) {
  auto& threads = known->second.threads;
  int32_t pid = known->first;
  // New ones first: a process never stands without a thread.
  for (int32_t tid : now.threads) {
    if (ended_tasks_.contains(tid) || !threads.emplace(tid, begin).second) continue;
    ++statistics_.reconciled;
    create_thread({.cpu = cpu, .pid = number(pid), .tid = number(pid)}, pid, tid);
  }
  for (auto thread = threads.begin(); thread != threads.end();) {
    bool lives = std::find(now.threads.begin(), now.threads.end(), thread->first) != now.threads.end();
    if (lives || thread->second >= begin) {
      ++thread;
      continue;
    }
    ++statistics_.reconciled;
    exit_thread({.cpu = cpu, .pid = number(pid), .tid = number(thread->first)}, pid, thread->first);
    thread = threads.erase(thread);
  }
}

}  // namespace sluice::live
