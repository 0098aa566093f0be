// What a random case is made of: a setup, and a sequence of operations that means something whatever is left
// out of it, so that a failing one can be shrunk by leaving things out.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <vector>

#include <rapidcheck.h>

namespace sluice::reference {

enum class verb {
  write,    // reserve, copy and commit at once, `times` times
  reserve,  // `times` times
  // Once, and a pass runs when the record is published and has no time yet.
  write_under_a_look,
  reserve_under_a_look,
  fill,    // the `which`-th open record
  commit,  // the `which`-th open record, whoever reserved it
  discard,
  wait,       // `ticks` pass
  turn_back,  // the clock goes back by `ticks`
  consume,    // one pass into a sink with room for `times` records
  consume_all,
  release,  // the room of what was consumed goes back
  flush,    // the margin passes, a pass, release
  settle,   // a CPU's account against the model's, type by type
};

struct operation {
  verb what = verb::write;
  uint32_t cpu = 0;
  uint32_t which = 0;
  uint32_t times = 1;
  uint32_t ticks = 1;
  uint32_t type = 0;
  uint32_t payload = 0;
  uint32_t inside = 0;  // consume_all: so many of the operations that follow happen in the middle of it,
                        // between T and the look
};

struct setup {
  uint32_t cpus = 1;
  uint32_t margin = 0;  // ticks; 0: exact order
  uint32_t set_aside_after = 0;
  uint32_t critical_bytes = 0;
  uint32_t before_the_turn = 0;  // the rings' positions begin so many bytes before 2^32; 0: at 0
  bool overwrites = false;
  bool clocks_differ = false;    // by a tick, between neighbours
};

using sequence = std::vector<operation>;

rc::Gen<setup> any_setup();
rc::Gen<sequence> any_sequence();

void showValue(const operation& each, std::ostream& out);
void showValue(const setup& with, std::ostream& out);
// One operation a line.
void show(const sequence& operations, std::ostream& out);

inline constexpr uint16_t ordinary_types[] = {40, 39, 38};
inline constexpr uint16_t critical_type = 41;
inline constexpr uint32_t longest_payload = 1064;  // of the smallest ring

}  // namespace sluice::reference
