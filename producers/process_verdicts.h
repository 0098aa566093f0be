// What the rules of one filter say of each process: a hash table from process id to verdict, written while it is read.
//
//   verdict_of           any IRQL, any thread, no lock
//   put, remove          one at a time (process_tree holds its lock), up to DISPATCH_LEVEL
//
// An entry is one 32-bit word, so a reader sees a process with its verdict or not at all. Words never move: a removed one becomes a
// grave, which a later entry may take, and becomes empty again where no entry can lie behind it.
#pragma once

#include "pipeline/atomic.h"
#include "producers/filter_message.h"
#include "producers/pool.h"

namespace sluice {

enum class process_verdict : uint32_t { none = 0, include = 1, exclude = 2 };

struct process_judgement {
  process_verdict own;        // of the process itself
  process_verdict inherited;  // what its children begin with
};

class process_verdicts {
 public:
  process_verdicts() = default;
  process_verdicts(const process_verdicts&) = delete;
  process_verdicts& operator=(const process_verdicts&) = delete;

  // PASSIVE_LEVEL. Room for so many processes. False: no memory.
  [[nodiscard]] bool create(const kernel_functions& functions, uint32_t processes) {
    uint32_t size = 16;
    while (size < 2 * processes) size *= 2;
    if (!words_.allocate(functions, size)) return false;
    mask_ = size - 1;
    most_ = processes;
    return true;
  }

  process_judgement find(uint32_t pid) const {
    // Relaxed: the word says all there is to say, and what a process's own callbacks did before is seen by the same thread.
    for (uint32_t i = 0, at = slot_of(pid); i <= mask_; ++i, at = (at + 1) & mask_) {
      const uint32_t word = words_[at].load(memory_order::relaxed);
      if (word == empty) break;
      if (word != grave && word >> verdict_bits == pid) return judgement_of(word);
    }
    return {process_verdict::none, process_verdict::none};
  }

  // False: the table is full, or no word holds this id; nothing changed.
  [[nodiscard]] bool put(uint32_t pid, process_judgement judgement) {
    if (pid > max_filter_process_id) return false;
    const uint32_t word = pid << verdict_bits | static_cast<uint32_t>(judgement.own) |
                          static_cast<uint32_t>(judgement.inherited) << 2;
    uint32_t free = mask_ + 1;
    for (uint32_t i = 0, at = slot_of(pid); i <= mask_; ++i, at = (at + 1) & mask_) {
      const uint32_t there = words_[at].load(memory_order::relaxed);
      if (there != empty && there != grave) {
        if (there >> verdict_bits != pid) continue;
        words_[at].store(word, memory_order::relaxed);
        return true;
      }
      if (free > mask_) free = at;
      if (there == empty) break;
    }
    if (free > mask_ || used_ >= most_) return false;
    words_[free].store(word, memory_order::relaxed);
    ++used_;
    return true;
  }

  void remove(uint32_t pid) {
    for (uint32_t i = 0, at = slot_of(pid); i <= mask_; ++i, at = (at + 1) & mask_) {
      const uint32_t there = words_[at].load(memory_order::relaxed);
      if (there == empty) return;
      if (there == grave || there >> verdict_bits != pid) continue;
      --used_;
      words_[at].store(grave, memory_order::relaxed);
      // Behind the last entry of a run, graves lead nowhere.
      if (words_[(at + 1) & mask_].load(memory_order::relaxed) != empty) return;
      for (; words_[at].load(memory_order::relaxed) == grave; at = (at - 1) & mask_) {
        words_[at].store(empty, memory_order::relaxed);
      }
      return;
    }
  }

 private:
  static constexpr uint32_t verdict_bits = 4;
  static constexpr uint32_t empty = 0;           // an entry has a verdict, so it is never 0
  static constexpr uint32_t grave = 0xffffffff;  // the verdict of no entry
  static_assert(max_filter_process_id == ~uint32_t{0} >> verdict_bits);

  static process_judgement judgement_of(uint32_t word) {
    return {static_cast<process_verdict>(word & 3), static_cast<process_verdict>(word >> 2 & 3)};
  }
  // Process ids are multiples of 4, as a rule, and close together.
  uint32_t slot_of(uint32_t pid) const { return (pid * 0x9e3779b1u) >> 8 & mask_; }

  nonpaged_array<atomic_word> words_;
  uint32_t mask_ = 0;
  uint32_t most_ = 0;
  uint32_t used_ = 0;
};

}  // namespace sluice
