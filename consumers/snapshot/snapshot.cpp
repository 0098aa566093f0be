#include "consumers/snapshot/snapshot.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <utility>

namespace sluice {
namespace {

// How often a ring is begun anew because its producer has overtaken the copy; then what was copied last stays.
constexpr int most_beginnings = 8;

// The driver is not doubted, its version is.
protocol::ring_copy check(std::span<const uint8_t> answer, const protocol::ring_copy_request& request) {
  protocol::ring_copy piece{};
  const auto refuse = [&](const char* why) {
    throw source_error(fmt::format("the copy of the ring of cpu {}, lane {}: {}", request.cpu, request.lane, why));
  };
  if (answer.size() < sizeof piece) refuse("shorter than its header");
  std::memcpy(&piece, answer.data(), sizeof piece);
  if (piece.version != protocol::version) refuse("of another version of the protocol");
  if (piece.header_bytes < sizeof piece || uint64_t{piece.header_bytes} + piece.record_bytes != answer.size() ||
      piece.end - piece.begin != piece.record_bytes) {
    refuse("its lengths contradict each other");
  }
  if (check_header(piece.region) != region_status::ok || piece.region.cpu != request.cpu ||
      piece.region.lane != request.lane) {
    refuse("of no such ring");
  }
  return piece;
}

void begin(ring_snapshot& ring, const protocol::ring_copy& piece) {
  ring = {};
  ring.about = piece;
  ring.begin = ring.end = piece.begin;
}

// Piece by piece, until all that was published when the ring's turn came is here. None: its CPU does not run yet.
std::optional<ring_snapshot> copy_ring(event_source& from, uint16_t cpu, uint8_t lane, std::span<uint8_t> buffer) {
  ring_snapshot ring;
  protocol::ring_copy_request request{protocol::version, cpu, lane, 0};
  for (int beginnings = 0;;) {
    const std::span<const uint8_t> answer = buffer.first(from.copy_ring(request, buffer));
    if (answer.empty()) return std::nullopt;
    const protocol::ring_copy piece = check(answer, request);
    if (request.next == 0 || piece.begin != ring.end || piece.overtaken != 0) {
      if (beginnings++ == most_beginnings) {
        ring.missing = ring.about.until - ring.end;
        return ring;
      }
      begin(ring, piece);
    }
    const std::span<const uint8_t> records = answer.subspan(piece.header_bytes);
    ring.records.insert(ring.records.end(), records.begin(), records.end());
    ring.end = piece.end;
    ring.about.until = piece.until;
    ring.damaged = piece.damaged != 0;
    ring.overtaken = piece.overtaken != 0;
    if (ring.damaged || (ring.end == piece.until && !ring.overtaken)) return ring;
    request.next = ring.overtaken ? 0 : 1;
  }
}

}  // namespace

snapshot take_snapshot(event_source& from, size_t buffer_bytes) {
  snapshot taken;
  const protocol::capabilities about = from.capabilities();
  taken.boot = about.boot;
  std::vector<uint8_t> buffer(buffer_bytes);
  for (uint32_t cpu = 0; cpu < about.cpu_count; ++cpu) {
    for (uint8_t lane = 0; lane < lanes_per_cpu; ++lane) {
      std::optional<ring_snapshot> ring = copy_ring(from, static_cast<uint16_t>(cpu), lane, buffer);
      if (ring) taken.rings.push_back(std::move(*ring));
    }
  }
  taken.types = from.types();  // behind the records: whatever type they are of was declared by then
  return taken;
}

}  // namespace sluice
