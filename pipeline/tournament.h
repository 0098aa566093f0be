// A tournament over n keys: finds the smallest in one look, and takes a new key for one leaf in log2(n) comparisons.
// Equal keys: the lower leaf wins. Memory comes from the caller: tournament_nodes(n) nodes. Freestanding.
#pragma once

#include "pipeline/atomic.h"

namespace sluice {

struct tournament_node {
  uint64_t key;
  uint32_t leaf;
};

constexpr uint32_t tournament_width(uint32_t leaves) {
  uint32_t width = 1;
  while (width < leaves) width *= 2;
  return width;
}
constexpr uint32_t tournament_nodes(uint32_t leaves) { return 2 * tournament_width(leaves); }

class tournament {
 public:
  static constexpr uint64_t never = ~uint64_t{0};  // the key of a leaf that does not take part

  // `nodes` has room for tournament_nodes(leaves). Every key starts as `never`.
  void attach(tournament_node* nodes, uint32_t leaves) {
    nodes_ = nodes;
    width_ = tournament_width(leaves);
    for (uint32_t i = 0; i < width_; ++i) nodes_[width_ + i] = {never, i};
    rebuild();
  }

  // Sets a key without playing; rebuild() afterwards.
  void set(uint32_t leaf, uint64_t key) { nodes_[width_ + leaf].key = key; }
  void rebuild() {
    for (uint32_t node = width_ - 1; node != 0; --node) play(node);
  }

  void update(uint32_t leaf, uint64_t key) {
    uint32_t node = width_ + leaf;
    nodes_[node].key = key;
    while ((node /= 2) != 0) play(node);
  }

  // The smallest (key, leaf).
  const tournament_node& winner() const { return nodes_[1]; }

  // The smallest (key, leaf) of all but `leaf`, the winner: whoever loses to nobody else on the winner's way up.
  tournament_node runner_up(uint32_t leaf) const {
    tournament_node best{never, ~0u};
    for (uint32_t node = width_ + leaf; node > 1; node /= 2) {
      const tournament_node& other = nodes_[node ^ 1];
      if (before(other, best)) best = other;
    }
    return best;
  }

  static bool before(const tournament_node& a, const tournament_node& b) {
    return a.key != b.key ? a.key < b.key : a.leaf < b.leaf;
  }

 private:
  // The left child holds the lower leaves, so it wins a tie.
  SLUICE_ALWAYS_INLINE void play(uint32_t node) {
    const tournament_node& left = nodes_[2 * node];
    const tournament_node& right = nodes_[2 * node + 1];
    nodes_[node] = right.key < left.key ? right : left;
  }

  tournament_node* nodes_ = nullptr;
  uint32_t width_ = 1;
};

}  // namespace sluice
