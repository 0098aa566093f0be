#include "consumers/nt/socket_system.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "consumers/event_source.h"
#include "consumers/nt/socket_link.h"
#include "consumers/nt/socket_name.h"
#include "kernel_port/sim/counter_page.h"

namespace sluice {
namespace {

template <class message>
std::span<const uint8_t> bytes_of(const message& what) {
  return {reinterpret_cast<const uint8_t*>(&what), sizeof what};
}
std::span<const uint8_t> bytes_of(std::u16string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size() * sizeof(char16_t)};
}

// No buffer that the socket carries is longer.
uint32_t capacity_of(std::span<uint8_t> buffer) {
  return static_cast<uint32_t>(std::min<size_t>(buffer.size(), wire::max_frame_bytes - sizeof(wire::answer_header)));
}

class remote_device : public nt_device {
 public:
  explicit remote_device(std::unique_ptr<socket_link> link) : link_(std::move(link)) {}

  nt_status read(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    const wire::capacity_request request{capacity_of(buffer)};
    const std::array parts{bytes_of(request)};
    return link_->call(wire::frame_kind::read, parts, buffer, bytes, timeout, nt::device_removed);
  }
  nt_status control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                    nt_timeout timeout) override {
    const wire::control_request request{code, capacity_of(out)};
    bytes = 0;
    if (in.size() > wire::max_frame_bytes - sizeof request) return nt::insufficient_resources;
    const std::array parts{bytes_of(request), in};
    return link_->call(wire::frame_kind::control, parts, out, bytes, timeout, nt::device_removed);
  }
  void cancel() override { link_->cancel(); }

 private:
  const std::unique_ptr<socket_link> link_;
};

class remote_port : public nt_port {
 public:
  explicit remote_port(std::unique_ptr<socket_link> link) : link_(std::move(link)) {}

  nt_status get_message(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    const wire::capacity_request request{capacity_of(buffer)};
    const std::array parts{bytes_of(request)};
    return link_->call(wire::frame_kind::get_message, parts, buffer, bytes, timeout, nt::port_disconnected);
  }
  nt_status reply(std::span<const uint8_t> reply) override {
    if (reply.size() > wire::max_frame_bytes) return nt::insufficient_resources;
    uint64_t bytes = 0;
    const std::array parts{reply};
    return link_->call(wire::frame_kind::reply, parts, {}, bytes, std::nullopt, nt::port_disconnected);
  }
  nt_status send(std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) override {
    const wire::capacity_request request{capacity_of(out)};
    bytes = 0;
    if (in.size() > wire::max_frame_bytes - sizeof request) return nt::insufficient_resources;
    const std::array parts{bytes_of(request), in};
    return link_->call(wire::frame_kind::send, parts, out, bytes, std::nullopt, nt::port_disconnected);
  }
  void cancel() override { link_->cancel(); }

 private:
  const std::unique_ptr<socket_link> link_;
};

// The pages of the hosts that were there, one after another, under this name. They stay mapped: any thread may be reading one.
class counter_pages {
 public:
  counter_pages() = default;
  ~counter_pages() {
    for (const page& each : pages_) ::munmap(const_cast<sim::counter_page*>(each.memory), sim::counter_page_bytes);
  }
  counter_pages(const counter_pages&) = delete;
  counter_pages& operator=(const counter_pages&) = delete;

  // False: it is no page of a counter.
  bool use(const wire::descriptor& file) {
    struct stat about {};
    if (!file || ::fstat(file.get(), &about) != 0 || about.st_size < static_cast<off_t>(sim::counter_page_bytes)) return false;
    const std::lock_guard lock(mutex_);
    for (const page& each : pages_) {
      if (each.device == about.st_dev && each.node == about.st_ino) return true;
    }
    void* const memory = ::mmap(nullptr, sim::counter_page_bytes, PROT_READ, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) return false;
    pages_.push_back({static_cast<const sim::counter_page*>(memory), about.st_dev, about.st_ino});
    newest_.store(pages_.back().memory, std::memory_order_release);
    return true;
  }
  uint64_t counter() const {
    return sim::read_counter(*newest_.load(std::memory_order_acquire));  // pairs with use(): mapped
  }

 private:
  struct page {
    const sim::counter_page* memory;
    dev_t device;
    ino_t node;
  };
  std::mutex mutex_;
  std::vector<page> pages_;
  std::atomic<const sim::counter_page*> newest_{nullptr};
};

bool is_too_long(std::u16string_view name) { return name.size() > wire::max_name_bytes / sizeof(char16_t); }

class remote_system : public nt_system {
 public:
  explicit remote_system(std::string path) : path_(std::move(path)) {}

  nt_status greet(std::unique_ptr<socket_link>& link) {
    wire::descriptor page;
    const nt_status status = socket_link::connect(path_, link, page);
    if (!succeeded(status)) return status;
    return counter_.use(page) ? nt::success : nt::object_name_not_found;
  }

  nt_status open_device(std::u16string_view name, std::unique_ptr<nt_device>& opened) override {
    if (is_too_long(name)) return nt::object_name_invalid;
    std::unique_ptr<socket_link> link;
    nt_status status = greet(link);
    if (!succeeded(status)) return status;
    uint64_t bytes = 0;
    const std::array parts{bytes_of(name)};
    status = link->call(wire::frame_kind::open_device, parts, {}, bytes, std::nullopt, nt::object_name_not_found);
    if (succeeded(status)) opened = std::make_unique<remote_device>(std::move(link));
    return status;
  }
  nt_status connect_port(std::u16string_view name, std::span<const uint8_t> context,
                         std::unique_ptr<nt_port>& connected) override {
    if (is_too_long(name)) return nt::object_name_invalid;
    if (context.size() > wire::max_context_bytes) return nt::invalid_parameter;
    std::unique_ptr<socket_link> link;
    nt_status status = greet(link);
    if (!succeeded(status)) return status;
    uint64_t bytes = 0;
    const auto name_bytes = static_cast<uint16_t>(name.size() * sizeof(char16_t));
    const std::array parts{bytes_of(name_bytes), bytes_of(name), context};
    status = link->call(wire::frame_kind::connect_port, parts, {}, bytes, std::nullopt, nt::object_name_not_found);
    if (succeeded(status)) connected = std::make_unique<remote_port>(std::move(link));
    return status;
  }
  uint64_t counter() override { return counter_.counter(); }

 private:
  const std::string path_;
  counter_pages counter_;
};

std::string why(nt_status status) {
  switch (status) {
    case nt::object_name_not_found: return "nobody serves there";
    case nt::access_denied: return "access is denied: only its owner and root may connect";
    case nt::connection_count_limit: return "it has as many connections as it serves";
    case nt::revision_mismatch: return "it speaks another version of the framing";
    default: return fmt::format("NT status 0x{:08x}", static_cast<uint32_t>(status));
  }
}

}  // namespace

std::shared_ptr<nt_system> connect_system(std::string_view name) {
  std::string path;
  try {
    path = socket_path(name);
  } catch (const std::invalid_argument& error) {
    throw source_error(error.what());
  }
  auto made = std::make_shared<remote_system>(path);
  std::unique_ptr<socket_link> link;
  if (const nt_status status = made->greet(link); !succeeded(status)) {
    throw source_error(fmt::format("cannot connect to the machine at {}: {}", path, why(status)));
  }
  return made;
}

}  // namespace sluice
