#include "stress/event.h"

#include <cstring>

#include "stress/random.h"

namespace sluice::stress {
namespace {

constexpr uint32_t starts = 4096;

uint8_t anonymous_byte(uint32_t length) { return static_cast<uint8_t>(length * 37 + 1); }

}  // namespace

const char* name_of_type(uint32_t type) {
  switch (type) {
    case record_type_loss: return "LOSS";
    case event_type::section: return "section";
    case event_type::section_switched: return "section_switched";
    case event_type::section_critical: return "section_critical";
    case event_type::hoarded: return "hoarded";
    case event_type::duet: return "duet";
    case event_type::duet_critical: return "duet_critical";
    case event_type::anonymous: return "anonymous";
    case event_type::free: return "free";
    case event_type::free_switched: return "free_switched";
    case event_type::free_critical: return "free_critical";
    case event_type::wandering: return "wandering";
    case event_type::wandering_critical: return "wandering_critical";
  }
  return "unknown";
}

filler::filler(uint32_t longest) : bytes_(longest + starts) {
  random_source random(7);
  for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(random.next());
}

const uint8_t* filler::start_of(const event_head& head) const {
  return bytes_.data() + (head.sequence * 0x9e3779b97f4a7c15u + head.writer * 2654435761u) % starts;
}

void filler::put(uint8_t* to, const event_head& head) const {
  std::memcpy(to, start_of(head), head.payload_length - sizeof(event_head));
}

bool filler::matches(const uint8_t* bytes, const event_head& head) const {
  return std::memcmp(bytes, start_of(head), head.payload_length - sizeof(event_head)) == 0;
}

uint32_t checksum_of(const event_head& head) {
  uint8_t bytes[offsetof(event_head, checksum)];
  std::memcpy(bytes, &head, sizeof bytes);
  uint64_t sum = 0xcbf29ce484222325u;
  static_assert(sizeof bytes % 4 == 0);
  for (size_t i = 0; i < sizeof bytes; i += 4) {
    uint32_t word;
    std::memcpy(&word, bytes + i, sizeof word);
    sum = (sum ^ word) * 0x100000001b3u;
    sum ^= sum >> 29;
  }
  return static_cast<uint32_t>(sum ^ sum >> 32);
}

void put_event(uint8_t* payload, event_head& head, const filler& from, bool context_stands) {
  head.checksum = checksum_of(head);
  const size_t skip = context_stands ? sizeof(event_context) : 0;
  std::memcpy(payload + skip, reinterpret_cast<const uint8_t*>(&head) + skip, sizeof head - skip);
  from.put(payload + sizeof head, head);
}

const char* check_event(const uint8_t* payload, uint32_t length, const filler& from, event_head& head) {
  if (length < sizeof head) return "the payload is shorter than what was written";
  std::memcpy(&head, payload, sizeof head);
  if (head.checksum != checksum_of(head)) return "the checksum of the event's head is wrong";
  if (head.payload_length != length) return "the record is not as long as its writer made it";
  if (!from.matches(payload + sizeof head, head)) return "the payload behind the head is not what was written";
  return nullptr;
}

void put_anonymous(uint8_t* payload, uint32_t length) {
  if (length != 0) std::memset(payload, anonymous_byte(length), length);
}

bool is_anonymous(const uint8_t* payload, uint32_t length) {
  for (uint32_t i = 0; i < length; ++i) {
    if (payload[i] != anonymous_byte(length)) return false;
  }
  return true;
}

}  // namespace sluice::stress
