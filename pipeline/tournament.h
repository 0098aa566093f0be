// A tournament over n keys: finds the smallest in one look, and takes a new key for the winner in log2(n) comparisons, each
// against the loser that is kept at its node. Equal keys: the lower leaf wins. Memory comes from the caller:
// tournament_nodes(n) nodes. Freestanding.
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

  // Plays every match: first each node gets its winner, from the leaves up, then, from the top down, its loser.
  void rebuild() {
    for (uint32_t node = width_ - 1; node != 0; --node) {
      const bool right = before(nodes_[2 * node + 1], nodes_[2 * node]);
      nodes_[node] = nodes_[2 * node + right];
    }
    winner_ = nodes_[1];
    for (uint32_t node = 1; node < width_; ++node) {
      const bool right = before(nodes_[2 * node + 1], nodes_[2 * node]);
      nodes_[node] = nodes_[2 * node + !right];
    }
  }

  // A new key for the winner. No branch depends on a key: which way a comparison goes cannot be predicted.
  SLUICE_ALWAYS_INLINE void replace_winner(uint64_t key) {
    uint32_t leaf = winner_.leaf;
    for (uint32_t node = (width_ + leaf) / 2; node != 0; node /= 2) {
      const uint64_t kept_key = nodes_[node].key;
      const uint32_t kept_leaf = nodes_[node].leaf;
      const bool loses = (kept_key < key) | ((kept_key == key) & (kept_leaf < leaf));
      // Changes places, or not. By masks: compilers make branches of conditions.
      const uint64_t key_swap = (key ^ kept_key) & (0 - static_cast<uint64_t>(loses));
      const uint32_t leaf_swap = (leaf ^ kept_leaf) & (0 - static_cast<uint32_t>(loses));
      nodes_[node].key = kept_key ^ key_swap;
      nodes_[node].leaf = kept_leaf ^ leaf_swap;
      key ^= key_swap;
      leaf ^= leaf_swap;
    }
    winner_ = {key, leaf};
  }

  tournament_node* nodes() const { return nodes_; }

  // The smallest (key, leaf).
  const tournament_node& winner() const { return winner_; }

  // The smallest (key, leaf) of all but the winner: the best of those that lost to it.
  tournament_node runner_up() const {
    tournament_node best{never, ~0u};
    for (uint32_t node = (width_ + winner_.leaf) / 2; node != 0; node /= 2) {
      if (before(nodes_[node], best)) best = nodes_[node];
    }
    return best;
  }

  static SLUICE_ALWAYS_INLINE bool before(const tournament_node& a, const tournament_node& b) {
    return a.key < b.key || (a.key == b.key && a.leaf < b.leaf);
  }

 private:
  tournament_node* nodes_ = nullptr;
  tournament_node winner_{never, 0};
  uint32_t width_ = 1;
};

}  // namespace sluice
