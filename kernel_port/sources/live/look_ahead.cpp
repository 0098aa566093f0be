#include "kernel_port/sources/live/look_ahead.h"

#include <algorithm>

namespace sluice::live {

mapping_kind mapping_kind_of(const std::string& path) {
  if (path == "//toolong" || path == "//enomem") return mapping_kind::file_without_path;
  if (path.empty() || path.starts_with("//") || path.starts_with('[')) return mapping_kind::anonymous;
  return mapping_kind::file;
}

observed_record look_ahead::observe(linux_record&& record) {
  observed_record observed{.record = std::move(record)};
  const linux_record& seen = observed.record;
  if (seen.is_process_fork()) {
    settle(seen.parent_pid);
    observed.forked = std::make_shared<birth>();
    observed.forked->time = seen.time;
    if (seen.parent_pid == kernel_parent_ && kernel_parent_ != 0) observed.forked->result = birth::outcome::fork;
    if (seen.pid > 0) watched_[seen.pid] = {.since = seen.time, .forked = observed.forked};
  } else if (seen.kind == record_kind::fork) {
    settle(seen.pid);
  } else if (seen.is_exec()) {
    observe_exec(observed);
  } else if (seen.kind == record_kind::mapping) {
    observe_mapping(seen);
  } else if (seen.kind == record_kind::exit) {
    observe_exit(seen);
  }
  return observed;
}

// The process runs code of its own: a fork that has not called exec is taken for what it is.
void look_ahead::settle(int32_t pid) {
  auto found = watched_.find(pid);
  if (found == watched_.end()) return;
  watched_process& process = found->second;
  if (process.forked && process.forked->result == birth::outcome::open) process.forked->result = birth::outcome::fork;
  if (process.current && process.current->command_line_state == program::naming::wanted) read_name(*process.current);
}

void look_ahead::observe_exec(observed_record& observed) {
  const linux_record& record = observed.record;
  if (record.pid <= 0) return;
  watched_process& process = watched_[record.pid];
  if (process.since == 0) process.since = record.time;
  if (process.current) {
    program& before = *process.current;
    // What was read after this exec is the new program's.
    if (before.command_line_state == program::naming::wanted || before.read_at >= record.time) give_up_name(before);
    before.image_known = true;
  }
  process.current = std::make_shared<program>();
  process.current->pid = record.pid;
  process.current->exec_time = record.time;
  process.current->command_line_state = program::naming::wanted;
  read_name(*process.current);
  if (process.current->command_line_state == program::naming::wanted) unnamed_.push_back(process.current);
  observed.executed = process.current;
  if (process.forked && process.forked->result == birth::outcome::open) {
    process.forked->result = birth::outcome::exec;
    process.forked->executed = process.current;
  }
}

// The first file that an exec maps is the program itself; the loader and the libraries follow.
void look_ahead::observe_mapping(const linux_record& record) {
  auto found = watched_.find(record.pid);
  if (found == watched_.end() || !found->second.current) return;
  program& current = *found->second.current;
  mapping_kind kind = mapping_kind_of(record.text);
  if (!current.image_known && kind != mapping_kind::anonymous) {
    current.image_known = true;
    if (kind == mapping_kind::file) current.image_path = record.text;
  }
  if (current.command_line_state == program::naming::wanted) read_name(current);
}

void look_ahead::observe_exit(const linux_record& record) {
  settle(record.pid);
  if (record.tid != record.pid) return;
  // With its first thread a process loses what /proc shows of it.
  auto found = watched_.find(record.pid);
  if (found == watched_.end() || !found->second.current) return;
  program& current = *found->second.current;
  if (current.command_line_state == program::naming::wanted) give_up_name(current);
  current.image_known = true;
}

void look_ahead::read_name(program& program) {
  command_line_read read = names_.read_command_line(program.pid);
  program.read_at = names_.now();
  if (read.result != command_line_read::outcome::gone && read.started <= program.exec_time)
    program.parent_pid = read.parent_pid;
  if (read.result == command_line_read::outcome::gone || read.started > program.exec_time) {
    give_up_name(program);
  } else if (read.result == command_line_read::outcome::read) {
    program.command_line_state = program::naming::read;
    program.command_line = std::move(read.command_line);
  }
}

void look_ahead::give_up_name(program& program) {
  program.command_line_state = program::naming::gone;
  program.command_line.reset();
}

void look_ahead::retry(uint64_t horizon) {
  for (auto& waiting : unnamed_) {
    if (waiting->command_line_state != program::naming::wanted) continue;
    if (horizon >= waiting->read_at + retry_interval_) read_name(*waiting);
    if (waiting->command_line_state == program::naming::wanted && horizon >= waiting->exec_time + fork_window_)
      give_up_name(*waiting);
  }
  std::erase_if(unnamed_, [](const auto& p) { return p->command_line_state != program::naming::wanted; });
}

bool look_ahead::decide(const observed_record& observed, uint64_t horizon) {
  if (observed.unannounced) return decide_program(*observed.executed, horizon);
  if (!observed.forked) return true;
  birth& forked = *observed.forked;
  if (forked.result == birth::outcome::open) {
    if (horizon < forked.time + fork_window_) return false;
    forked.result = birth::outcome::timed_out;
  }
  return forked.result != birth::outcome::exec || decide_program(*forked.executed, horizon);
}

bool look_ahead::decide_program(program& executed, uint64_t horizon) {
  if (!executed.image_known) {
    if (horizon < executed.exec_time + fork_window_) return false;
    executed.image_known = true;  // nothing executable mapped: ask /proc
    executed.image_path = names_.read_image_path(executed.pid);
  }
  if (executed.command_line_state == program::naming::read) return horizon > executed.read_at;
  return executed.command_line_state != program::naming::wanted;
}

std::optional<uint64_t> look_ahead::next_look(const observed_record& front) const {
  std::optional<uint64_t> next;
  auto consider = [&](uint64_t time) { next = next ? std::min(*next, time) : time; };
  for (const auto& waiting : unnamed_) consider(waiting->read_at + retry_interval_);
  if (front.forked && front.forked->result == birth::outcome::open) consider(front.forked->time + fork_window_);
  const program* awaited = front.forked ? front.forked->executed.get() : nullptr;
  if (front.unannounced) awaited = front.executed.get();
  if (awaited != nullptr) {
    const program& executed = *awaited;
    if (!executed.image_known) consider(executed.exec_time + fork_window_);
    if (executed.image_known && executed.command_line_state == program::naming::read) consider(executed.read_at + 1);
  }
  return next;
}

void look_ahead::forget(int32_t pid, uint64_t time) {
  auto found = watched_.find(pid);
  if (found != watched_.end() && found->second.since <= time) watched_.erase(found);
}

}  // namespace sluice::live
