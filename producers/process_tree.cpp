#include "producers/process_tree.h"

namespace sluice {

bool process_tree::create(const kernel_functions& functions) {
  PAGED_CODE();
  if (!nodes_memory_.allocate(functions, (capacity + 1) * sizeof(node) + buckets * sizeof(uint32_t))) return false;
  nodes_ = static_cast<node*>(nodes_memory_.get());
  buckets_ = reinterpret_cast<uint32_t*>(nodes_ + capacity + 1);
  return true;
}

void process_tree::started(uint32_t pid, uint32_t parent) {
  const spin_lock_scope lock(lock_);
  // Whatever was known under this id was another process.
  if (const uint32_t old = find(pid); old != nobody) remove(old);
  const uint32_t made = add(pid);
  note(made != nobody);
  if (made != nobody && parent != 0 && parent != pid) {
    uint32_t from = find(parent);
    if (from == nobody) from = add(parent);  // it started before we did
    if (from != nobody) adopt(made, from);
  }
  for (process_verdicts* const verdicts : following_) {
    if (verdicts == nullptr) continue;
    const process_verdict inherited = verdicts->find(parent).inherited;
    if (inherited == process_verdict::none) {
      verdicts->remove(pid);
    } else {
      note(verdicts->put(pid, {inherited, inherited}));
    }
  }
}

void process_tree::exited(uint32_t pid) {
  const spin_lock_scope lock(lock_);
  if (const uint32_t index = find(pid); index != nobody) remove(index);
  for (process_verdicts* const verdicts : following_) {
    if (verdicts != nullptr) verdicts->remove(pid);
  }
}

uint32_t process_tree::follow(process_verdicts& verdicts, const filter_process* rules, uint32_t count) {
  const spin_lock_scope lock(lock_);
  if (const uint32_t twice = fill(verdicts, rules, count); twice != count) return twice;
  for (process_verdicts*& slot : following_) {
    if (slot != nullptr) continue;
    slot = &verdicts;
    break;
  }
  return count;
}

uint32_t process_tree::judge(process_verdicts& verdicts, const filter_process* rules, uint32_t count) {
  const spin_lock_scope lock(lock_);
  return fill(verdicts, rules, count);
}

uint32_t process_tree::fill(process_verdicts& verdicts, const filter_process* rules, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    const process_verdict own =
        (rules[i].flags & filter_rule_exclude) != 0 ? process_verdict::exclude : process_verdict::include;
    const bool speaks_for_descendants = (rules[i].flags & filter_rule_descendants) != 0;
    if (verdicts.find(rules[i].pid).own != process_verdict::none) return i;
    note(verdicts.put(rules[i].pid, {own, speaks_for_descendants ? own : process_verdict::none}));
  }
  for (uint32_t i = 0; i < count; ++i) {
    if ((rules[i].flags & filter_rule_descendants) == 0) continue;
    if (const uint32_t from = find(rules[i].pid); from != nobody) {
      spread(verdicts, from, verdicts.find(rules[i].pid).own);
    }
  }
  return count;
}

void process_tree::forget(process_verdicts& verdicts) {
  const spin_lock_scope lock(lock_);
  for (process_verdicts*& slot : following_) {
    if (slot == &verdicts) slot = nullptr;
  }
}

// To every descendant whose nearest ancestor with a rule for descendants is `from`. Each process is reached from one rule only, so
// what it has when it is reached is a rule of its own. Without recursion: down first, then on, then up.
void process_tree::spread(process_verdicts& verdicts, uint32_t from, process_verdict verdict) {
  uint32_t at = nodes_[from].first_child;
  while (at != nobody) {
    const process_judgement before = verdicts.find(nodes_[at].pid);
    const bool has_heirs_of_its_own = before.inherited != process_verdict::none;
    if (!has_heirs_of_its_own) {
      note(verdicts.put(nodes_[at].pid, {before.own != process_verdict::none ? before.own : verdict, verdict}));
      if (nodes_[at].first_child != nobody) {
        at = nodes_[at].first_child;
        continue;
      }
    }
    while (at != from && nodes_[at].next_sibling == nobody) at = nodes_[at].parent;
    if (at == from) return;
    at = nodes_[at].next_sibling;
  }
}

uint32_t process_tree::find(uint32_t pid) {
  uint32_t at = bucket_of(pid);
  while (at != nobody && nodes_[at].pid != pid) at = nodes_[at].next_in_bucket;
  return at;
}

uint32_t process_tree::add(uint32_t pid) {
  uint32_t index = free_;
  if (index != nobody) {
    free_ = nodes_[index].next_in_bucket;
  } else if (used_ <= capacity) {
    index = used_++;
  } else {
    return nobody;
  }
  nodes_[index] = {pid, nobody, nobody, nobody, nobody, bucket_of(pid)};
  bucket_of(pid) = index;
  return index;
}

void process_tree::remove(uint32_t index) {
  const uint32_t parent = nodes_[index].parent;
  while (nodes_[index].first_child != nobody) {
    const uint32_t child = nodes_[index].first_child;
    leave_parent(child);
    if (parent != nobody) adopt(child, parent);
  }
  leave_parent(index);
  uint32_t* link = &bucket_of(nodes_[index].pid);
  while (*link != index) link = &nodes_[*link].next_in_bucket;
  *link = nodes_[index].next_in_bucket;
  nodes_[index].next_in_bucket = free_;
  free_ = index;
}

void process_tree::adopt(uint32_t child, uint32_t parent) {
  nodes_[child].parent = parent;
  nodes_[child].previous_sibling = nobody;
  nodes_[child].next_sibling = nodes_[parent].first_child;
  if (nodes_[parent].first_child != nobody) nodes_[nodes_[parent].first_child].previous_sibling = child;
  nodes_[parent].first_child = child;
}

void process_tree::leave_parent(uint32_t child) {
  node& gone = nodes_[child];
  if (gone.parent == nobody) return;
  if (gone.previous_sibling != nobody) {
    nodes_[gone.previous_sibling].next_sibling = gone.next_sibling;
  } else {
    nodes_[gone.parent].first_child = gone.next_sibling;
  }
  if (gone.next_sibling != nobody) nodes_[gone.next_sibling].previous_sibling = gone.previous_sibling;
  gone.parent = gone.next_sibling = gone.previous_sibling = nobody;
}

}  // namespace sluice
