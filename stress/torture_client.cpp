#include "stress/torture_client.h"

#include <fmt/format.h>

#include <cstring>

#include "consumers/nt/simulated_system.h"
#include "stress/driver_client.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

using std::chrono::milliseconds;

constexpr auto patience = std::chrono::seconds(120);

filter_header filter_of_types(uint64_t types) {
  filter_header message{};
  message.magic = filter_magic;
  message.version = filter_version;
  message.header_bytes = message.total_bytes = sizeof message;
  message.types = types;
  return message;
}

}  // namespace

torture_client::torture_client(sim::machine& machine, const torture_plan& plan, uint32_t activities, uint16_t own_type,
                               const filler& from)
    : plan_(plan), own_type_(own_type), from_(from), random_(plan.seed), activities_(activities) {
  client_options options;
  options.system = simulated_system(machine, plan.pid);
  options.by = plan.by;
  options.types = plan.types;
  try {
    client_ = std::make_unique<client>(std::move(options));
  } catch (const nt_error&) {
    return;
  }
  thread_ = std::thread([this] { run(); });
}

torture_client::~torture_client() {
  if (!client_) return;
  order_.store(order::end);
  client_->cancel();
  thread_.join();
}

void torture_client::settle() {
  order_.store(order::settle);
  client_->cancel();
  order_.wait(order::settle);
}

void torture_client::run() try {
  for (;;) {
    const order now = order_.load();
    if (now == order::end) return;
    if (now == order::settle) {
      read_to_the_end();
      order_.store(order::read);
      order_.notify_all();
      continue;
    }
    if (random_.one_in(64)) meddle();
    take_batch(milliseconds(1 + random_.below(20)));  // with 0 it would read nothing
    if (plan_.slow) std::this_thread::sleep_for(std::chrono::microseconds(random_.below(20'000)));
  }
} catch (const std::exception& error) {
  broken("client", no_cpu, "a client by {} was told: {}", name_of(plan_.by), error.what());
}

// What a client does besides reading.
void torture_client::meddle() {
  if (random_.one_in(2)) return client_->flush();
  if (!plan_.own_filter) return;
  if (random_.one_in(2)) return client_->clear_own_filter();
  const filter_header filter = filter_of_types(random_.next());
  const filter_answer answer = client_->set_own_filter({reinterpret_cast<const uint8_t*>(&filter), sizeof filter});
  if (answer.error != 0) broken("client", no_cpu, "a filter of its own gave error {} at {}", answer.error, answer.offset);
}

void torture_client::take_batch(client_timeout timeout) {
  const std::span<const delivered_record> batch = client_->read(timeout);
  if (!has_read_.exchange(true)) has_read_.notify_all();
  for (const delivered_record& each : batch) check(each);
  for (const std::string& fault : client_->take_faults()) broken("client", no_cpu, "a batch by {}: {}", name_of(plan_.by), fault);
  // Its connection is never lost: what it took for a duplicate was an event.
  if (client_->account().duplicates() != 0) broken("M2", no_cpu, "a client by {} has thrown a record away", name_of(plan_.by));
  records_.fetch_add(batch.size(), std::memory_order_relaxed);
  missed_.store(client_->account().missed_events(), std::memory_order_relaxed);
}

void torture_client::read_to_the_end() {
  const auto limit = std::chrono::steady_clock::now() + patience;
  // What an own filter keeps away is nobody's loss, and the client cannot tell; its row in the driver's account says what was offered.
  const bool since_load = plan_.since_load && !plan_.own_filter;
  for (;;) {
    const auto answered_by = std::chrono::steady_clock::now() + patience;
    client_->flush();
    do {
      take_batch(milliseconds(100));
      if (std::chrono::steady_clock::now() > answered_by) {
        broken("W1", no_cpu, "nothing happens, and the answer to a flush by {} has not come", name_of(plan_.by));
      }
    } while (client_->last() != client_outcome::flushed);
    const std::vector<std::string> wrong = client_->check(since_load);
    if (wrong.empty()) return;
    if (std::chrono::steady_clock::now() > limit) {
      broken("R3", no_cpu, "nothing happens any more; by {}: {}", name_of(plan_.by), fmt::join(wrong, "; "));
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
}

void torture_client::check(const delivered_record& record) {
  if (record.figures || record.of_stream || record.client_loss || record.overwritten) return;
  if (record.type == event_type_image_load) check_image(record);
  if (record.type == own_type_) check_own(record);
  if (plan_.by == transport::port && record.type >= first_event_type && (plan_.types >> record.type & 1) == 0) {
    broken("client", record.identity.cpu, "an event of type {}, which was not asked for, came", record.type);
  }
}

void torture_client::check_number(const char* what, const delivered_record& record, uint64_t index, uint64_t number,
                                  numbered& so_far) {
  if (so_far.seen.size() <= number) so_far.seen.resize(number + 1024);
  if (so_far.seen[number]) broken("M2", record.identity.cpu, "{} {} of activity {} came twice", what, number, index);
  so_far.seen[number] = true;
  if (number >= so_far.next) {
    so_far.next = number + 1;
    so_far.time = record.time;
    return;
  }
  // Set aside and late, or written on another CPU within the same tick.
  if (record.late || record.time <= so_far.time + 1 || plan_.clock_steps) return;
  broken("M1", record.identity.cpu, "{} {} of activity {} at {} came after number {} at {}", what, number, index, record.time,
         so_far.next - 1, so_far.time);
}

void torture_client::check_image(const delivered_record& record) {
  image_load_payload image;
  if (record.payload_length < sizeof image) broken("M2", record.identity.cpu, "an image of {} bytes", record.payload_length);
  std::memcpy(&image, record.payload, sizeof image);
  const uint64_t index = (image.base >> 40) - 1;
  const uint64_t number = (image.base & ((1ull << 40) - 1)) >> 12;
  if (index >= activities_.size() || image.size != number + 1) {
    broken("M2", record.identity.cpu, "an image at {:#x} of size {:#x}", image.base, image.size);
  }
  const std::u16string expected = image_path_of(static_cast<uint32_t>(index), number);
  if (image.path.length != expected.size() * 2 || image.path.offset + image.path.length > record.payload_length ||
      std::memcmp(record.payload + image.path.offset, expected.data(), image.path.length) != 0) {
    broken("M2", record.identity.cpu, "image {} of activity {}: its path is not what was given", number, index);
  }
  activity_state& state = activities_[index];
  check_number("image", record, index, number, state.images);
}

void torture_client::check_own(const delivered_record& record) {
  event_head head;
  if (const char* wrong = check_event(record.payload, record.payload_length, from_, head)) {
    broken("M2", record.identity.cpu, "an own event: {}", wrong);
  }
  if (head.writer >= activities_.size()) broken("M2", record.identity.cpu, "an own event of activity {}", head.writer);
  activity_state& state = activities_[head.writer];
  check_number("own event", record, head.writer, head.sequence, state.own);
}

}  // namespace sluice::stress
