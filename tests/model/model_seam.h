// The seam of pipeline/seam.h over relacy: the templates of pipeline/ are checked as they are.
//
//   word     rl::atomic<uint32_t>. Each load may return any of the last three values that coherence and
//            happens-before allow.
//   memory   every 32-bit word of the ring's data, apron included, is an rl::var (two accesses, one of them a
//   store,
//            without happens-before: data race), and every word on a multiple of 8 also an rl::atomic: where
//            a later lap puts a header on what was payload. Accesses of the two kinds race with each other as
//            well. Outside of capacity and apron: an assertion.
//   copy_out  a reader of an overwriting ring, on purpose without happens-before: relaxed loads of all words, in storage that
//            keeps an rl::atomic for each (`raced`). What such a copy may be is for the assertions to find out.
//
// The accessors stand for machine instructions, so a weaker order here is a weaker instruction there; what a
// compiler may do beyond that is the C++ model's, see docs/proof.md.
#pragma once

#include "pipeline/region.h"
#include "tests/model/model_machine.h"

namespace sluice::model {

constexpr rl::memory_order order_of(memory_order order) {
  return order == memory_order::relaxed   ? rl::mo_relaxed
         : order == memory_order::acquire ? rl::mo_acquire
                                          : rl::mo_release;
}

// Finds unordered accesses of different kinds, plain and atomic, to the same word, with relacy's own clocks.
class mixed_access {
 public:
  void plain_load() {
    check(word_store_);
    mark(plain_load_);
  }
  void plain_store() {
    check(word_store_);
    check(word_load_);
    mark(plain_store_);
  }
  void word_load() {
    check(plain_store_);
    mark(word_load_);
  }
  void word_store() {
    check(plain_store_);
    check(plain_load_);
    mark(word_store_);
  }

 private:
  using clocks = rl::timestamp_t[max_threads];

  static void mark(clocks& when) {
    rl::thread_info_base& self = *rl::ctx().threadx_;
    self.own_acq_rel_order_ += 1;
    when[self.index_] = self.own_acq_rel_order_;
  }
  static void check(const clocks& when) {
    const rl::thread_info_base& self = *rl::ctx().threadx_;
    for (int i = 0; i < machine.threads; ++i) {
      if (self.acq_rel_order_[i] < when[i]) {
        rl::ctx().fail_test("plain and atomic access to a word", rl::test_result_data_race, RL_INFO);
      }
    }
  }

  clocks plain_load_ = {};
  clocks plain_store_ = {};
  clocks word_load_ = {};
  clocks word_store_ = {};
};

class model_word {
 public:
  explicit model_word(uint32_t value = 0) { value_.store(value, rl::mo_relaxed, RL_INFO); }

  uint32_t load(memory_order order) const {
    step(RL_INFO);
    const no_preemption guard;
    if (mixed_ != nullptr) mixed_->word_load();
    return value_.load(order_of(order), RL_INFO);
  }
  void store(uint32_t value, memory_order order) {
    if (order != memory_order::relaxed) step(RL_INFO);
    const no_preemption guard;
    if (mixed_ != nullptr) mixed_->word_store();
    value_.store(value, order_of(order), RL_INFO);
  }

  // One word of a copy that another thread may be overwriting.
  uint32_t load_racing() const {
    step(RL_INFO);
    const no_preemption guard;
    return value_.load(rl::mo_relaxed, RL_INFO);
  }

  void mix_with(mixed_access& mixed) { mixed_ = &mixed; }
  // A plain store to the same memory; the caller has checked that it is ordered.
  void overwrite(uint32_t value) {
    const no_preemption guard;
    value_.store(value, rl::mo_relaxed, RL_INFO);
  }

 private:
  rl::atomic<uint32_t> value_;
  mixed_access* mixed_ = nullptr;
};

// The bytes of one ring's data. The words themselves are in model_storage.
class model_bytes {
 public:
  model_word& state(uint32_t offset) {
    RL_ASSERT(offset % 8 == 0 && offset + 4 <= size_);
    return words_[offset / 8];
  }
  uint32_t load(uint32_t offset) {
    RL_ASSERT(offset % 4 == 0 && offset + 4 <= size_);
    if (offset % 8 == 0) mixed_[offset / 8].plain_load();
    return plain_[offset / 4](RL_INFO);
  }
  void store(uint32_t offset, uint32_t value) {
    RL_ASSERT(offset % 4 == 0 && offset + 4 <= size_);
    plain_[offset / 4](RL_INFO) = value;
    if (offset % 8 == 0) {
      mixed_[offset / 8].plain_store();
      words_[offset / 8].overwrite(value);
    } else if (others_ != nullptr) {
      others_[offset / 8].overwrite(value);
    }
  }
  uint32_t load_racing(uint32_t offset) {
    RL_ASSERT(offset % 4 == 0 && offset + 4 <= size_ && others_ != nullptr);
    return (offset % 8 == 0 ? words_ : others_)[offset / 8].load_racing();
  }

 protected:
  model_bytes(uint32_t size, rl::var<uint32_t>* plain, model_word* words, mixed_access* mixed, model_word* others)
      : size_(size), plain_(plain), words_(words), mixed_(mixed), others_(others) {}

 private:
  uint32_t size_;
  rl::var<uint32_t>* plain_;
  model_word* words_;
  mixed_access* mixed_;
  model_word* others_;  // the words that are on no multiple of 8, for racing readers
};

// `size` is capacity and apron.
template <uint32_t size, bool raced = false>
class model_storage : public model_bytes {
 public:
  model_storage() : model_bytes(size, plain_, words_, mixed_, raced ? others_ : nullptr) {
    for (uint32_t i = 0; i < size / 4; ++i) plain_[i](RL_INFO) = 0;
    for (uint32_t i = 0; i < size / 8; ++i) words_[i].mix_with(mixed_[i]);
  }

 private:
  rl::var<uint32_t> plain_[size / 4];
  model_word words_[size / 8];
  mixed_access mixed_[size / 8];
  model_word others_[raced ? size / 8 : 1];
};

struct model_seam {
  using word = model_word;

  static constexpr uint32_t types = 4;

  class memory {
   public:
    memory() = default;
    explicit memory(model_bytes& bytes) : bytes_(&bytes) {}

    word& state(uint32_t offset) const { return bytes_->state(offset); }
    uint32_t load(uint32_t offset) const { return bytes_->load(offset); }
    void store(uint32_t offset, uint32_t value) const { bytes_->store(offset, value); }
    uint64_t load_time(uint32_t offset) const {
      const uint64_t low = bytes_->load(offset);
      return static_cast<uint64_t>(bytes_->load(offset + 4)) << 32 | low;
    }
    void store_time(uint32_t offset, uint64_t time) const {
      bytes_->store(offset, static_cast<uint32_t>(time));
      bytes_->store(offset + 4, static_cast<uint32_t>(time >> 32));
    }
    void copy_out(uint32_t offset, const memory& to, uint32_t begin, uint32_t end) const {
      for (uint32_t i = begin; i < end; i += 4) to.store(i, bytes_->load_racing(offset + i));
    }
    void prefetch(uint32_t) const {}
    void prefetch_for_writing(uint32_t) const {}
    void copy_in(uint32_t offset, const void* bytes, uint32_t length) const {
      for (uint32_t i = 0; i < length; i += 4) {
        uint32_t value = 0;
        copy_bytes(&value, static_cast<const uint8_t*>(bytes) + i, length - i < 4 ? length - i : 4);
        bytes_->store(offset + i, value);
      }
    }

   private:
    model_bytes* bytes_ = nullptr;
  };

  static void light_barrier() { model::light_barrier(RL_INFO); }

  static void fence(memory_order order) {
    if (order == memory_order::relaxed) return;
    step(RL_INFO);
    const no_preemption guard;
    rl::atomic_thread_fence(order_of(order), RL_INFO);
  }
};

}  // namespace sluice::model
