#include "tests/reference/operations.h"

#include <ostream>

namespace sluice::reference {
namespace {

rc::Gen<verb> any_verb() {
  return rc::gen::weightedElement<verb>({{24, verb::write},
                                         {20, verb::reserve},
                                         {2, verb::write_under_a_look},
                                         {3, verb::reserve_under_a_look},
                                         {6, verb::fill},
                                         {18, verb::commit},
                                         {6, verb::discard},
                                         {10, verb::wait},
                                         {1, verb::turn_back},
                                         {4, verb::consume},
                                         {5, verb::consume_all},
                                         {4, verb::release},
                                         {2, verb::flush},
                                         {2, verb::settle}});
}

rc::Gen<uint32_t> any_type() {
  return rc::gen::weightedElement<uint32_t>({{40, ordinary_types[0]},
                                             {20, ordinary_types[1]},
                                             {10, ordinary_types[2]},
                                             {28, critical_type},
                                             {1, 0},
                                             {1, 64}});
}

rc::Gen<uint32_t> below(uint32_t end) {
  return rc::gen::inRange<uint32_t>(0, end);
}

rc::Gen<uint32_t> any_payload() {
  return rc::gen::weightedOneOf<uint32_t>(
      {{70, below(200)},
       {20, rc::gen::map(below(30), [](uint32_t n) { return n * 8; })},
       {6, rc::gen::inRange<uint32_t>(longest_payload - 16, longest_payload + 1)},
       {2, rc::gen::inRange<uint32_t>(longest_payload + 1, longest_payload + 64)},
       {1, rc::gen::element<uint32_t>(1u << 27, ~0u)}});
}

rc::Gen<uint32_t> any_times() {
  return rc::gen::weightedOneOf<uint32_t>(
      {{12, rc::gen::just(1u)}, {3, rc::gen::inRange(1u, 6u)}, {1, rc::gen::inRange(1u, 90u)}});
}

rc::Gen<uint32_t> any_ticks() {
  return rc::gen::weightedOneOf<uint32_t>({{6, below(3)}, {3, below(30)}, {1, below(3000)}});
}

const char* name_of(verb what) {
  switch (what) {
    case verb::write:
      return "write";
    case verb::reserve:
      return "reserve";
    case verb::write_under_a_look:
      return "write, and before it has its time consume all";
    case verb::reserve_under_a_look:
      return "reserve, and before it has its time consume all";
    case verb::fill:
      return "fill";
    case verb::commit:
      return "commit";
    case verb::discard:
      return "discard";
    case verb::wait:
      return "wait";
    case verb::turn_back:
      return "turn the clock back";
    case verb::consume:
      return "consume";
    case verb::consume_all:
      return "consume all";
    case verb::release:
      return "release";
    case verb::flush:
      return "flush";
    case verb::settle:
      return "settle";
  }
  return "?";
}

}  // namespace

rc::Gen<setup> any_setup() {
  return rc::gen::build<setup>(
      rc::gen::set(&setup::cpus, rc::gen::inRange(1u, 5u)),
      rc::gen::set(&setup::margin,
                   rc::gen::weightedOneOf<uint32_t>({{2, rc::gen::just(0u)}, {1, below(20)}})),
      rc::gen::set(&setup::set_aside_after,
                   rc::gen::weightedOneOf<uint32_t>({{1, rc::gen::just(0u)}, {1, below(60)}})),
      rc::gen::set(&setup::critical_bytes, rc::gen::element<uint32_t>(0, 1024, 1936)),
      rc::gen::set(&setup::before_the_turn, rc::gen::map(below(1500), [](uint32_t n) { return n * 8; })),
      rc::gen::set(&setup::overwrites, rc::gen::weightedElement<bool>({{3, false}, {2, true}})),
      rc::gen::set(&setup::clocks_differ));
}

rc::Gen<sequence> any_sequence() {
  return rc::gen::container<sequence>(rc::gen::build<operation>(
      rc::gen::set(&operation::what, any_verb()), rc::gen::set(&operation::cpu, below(4)),
      rc::gen::set(&operation::which, below(20)), rc::gen::set(&operation::times, any_times()),
      rc::gen::set(&operation::ticks, any_ticks()), rc::gen::set(&operation::type, any_type()),
      rc::gen::set(&operation::payload, any_payload()),
      rc::gen::set(&operation::inside,
                   rc::gen::weightedOneOf<uint32_t>({{3, rc::gen::just(0u)}, {1, below(4)}}))));
}

void showValue(const operation& each, std::ostream& out) {
  out << name_of(each.what);
  switch (each.what) {
    case verb::write:
    case verb::reserve:
      if (each.times != 1) out << ' ' << each.times << " times";
      [[fallthrough]];
    case verb::write_under_a_look:
    case verb::reserve_under_a_look:
      out << ": cpu " << each.cpu << ", type " << each.type
          << (each.type == critical_type ? " (critical)" : "") << ", " << each.payload << " bytes";
      break;
    case verb::fill:
    case verb::commit:
    case verb::discard:
      out << " open record " << each.which;
      break;
    case verb::wait:
    case verb::turn_back:
      out << ' ' << each.ticks << " ticks";
      break;
    case verb::consume:
      out << " at most " << each.times;
      break;
    case verb::consume_all:
      if (each.inside != 0) out << ", the next " << each.inside << " in the middle of it";
      break;
    case verb::settle:
      out << " cpu " << each.cpu;
      break;
    case verb::release:
    case verb::flush:
      break;
  }
}

void showValue(const setup& with, std::ostream& out) {
  out << with.cpus << " CPUs, ";
  if (with.margin == 0) {
    out << "exact order";
  } else {
    out << "slack order with a margin of " << with.margin;
  }
  if (with.set_aside_after != 0) out << ", set aside after " << with.set_aside_after << " ticks";
  if (with.overwrites) out << ", overwriting";
  out << ", " << with.critical_bytes << " bytes for critical types";
  if (with.before_the_turn != 0) out << ", positions from 2^32 - " << with.before_the_turn;
  if (with.clocks_differ) out << ", clocks a tick apart";
}

void show(const sequence& operations, std::ostream& out) {
  size_t number = 0;
  for (const operation& each : operations) {
    out << "  " << ++number << ". ";
    showValue(each, out);
    out << '\n';
  }
}

}  // namespace sluice::reference
