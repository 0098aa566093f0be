#include "kernel_port/sim/host/connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "kernel_port/sim/counter_page.h"
#include "kernel_port/sim/time.h"

namespace sluice::sim {
namespace {

// How long a host that stops waits for a process to read.
constexpr std::chrono::milliseconds last_answers{2000};

wire::descriptor make_wake() {
  const int made = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) throw std::system_error(errno, std::generic_category(), "eventfd of a connection");
  return wire::descriptor(made);
}

// False: it is shorter than that. What follows the structure stays in `bytes`.
template <class message>
bool take_front(std::span<const uint8_t>& bytes, message& to) {
  if (bytes.size() < sizeof to) return false;
  memcpy(&to, bytes.data(), sizeof to);
  bytes = bytes.subspan(sizeof to);
  return true;
}

template <class message>
std::span<const uint8_t> bytes_of(const message& what) {
  return {reinterpret_cast<const uint8_t*>(&what), sizeof what};
}

bool take_name(std::span<const uint8_t> bytes, std::u16string& name) {
  if (bytes.empty() || bytes.size() % sizeof(char16_t) != 0 || bytes.size() > wire::max_name_bytes) return false;
  name.resize(bytes.size() / sizeof(char16_t));
  memcpy(name.data(), bytes.data(), bytes.size());
  return true;
}

}  // namespace

connection::connection(machine& machine, wire::descriptor socket, uint32_t pid, uint32_t user, const connection_limits& limits,
                       std::shared_ptr<process_space> space)
    : machine_(machine),
      socket_(std::move(socket)),
      wake_(make_wake()),
      pid_(pid),
      user_(user),
      limits_(limits),
      output_(socket_.get(), wake_.get()),
      space_(std::move(space)),
      hello_limit_(std::chrono::steady_clock::now() + limits.hello) {}

connection::~connection() = default;

void connection::stop() {
  stopping_.store(true);
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void connection::run(const std::function<void()>& opened) {
  opened_ = &opened;
  const auto tid = static_cast<uint32_t>(::syscall(SYS_gettid));
  const activity thread(machine_, tid % machine_.processors(), pid_, tid);
  serve();
  const process_space::inside kernel(*space_, *this);
  close_handle();
}

void connection::serve() {
  const auto limit = [this] {
    const bool open = stage_ == stage::device || stage_ == stage::port;
    return open ? std::nullopt : std::optional(hello_limit_);
  };
  while (stage_ != stage::over && wait(limit()) == event::input) {
    const frame_input::state state = input_.fill(socket_.get());
    take_all();
    if (state == frame_input::state::ended || input_.now() == frame_input::state::broken) return;
  }
}

// Every whole frame that is there; those that had to wait for an answer first.
void connection::take_all() {
  while (stage_ != stage::over) {
    if (!deferred_.empty()) {
      const deferred_frame next = std::move(deferred_.front());
      deferred_.pop_front();
      deferred_bytes_ -= next.bytes.size();
      take({next.header, next.bytes});
    } else if (const std::optional<frame> next = input_.next()) {
      take(*next);
    } else {
      return;
    }
  }
}

// Until there may be something to read. A process that does not read its answers is not read from.
connection::event connection::wait(std::optional<std::chrono::steady_clock::time_point> until) {
  for (;;) {
    if (stopping_.load() || output_.broken()) return event::over;
    const size_t unread = output_.waiting();
    pollfd ready[2] = {{socket_.get(), 0, 0}, {wake_.get(), POLLIN, 0}};
    if (unread < limits_.unread) ready[0].events |= POLLIN;
    if (unread != 0) ready[0].events |= POLLOUT;
    int patience = -1;
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return event::time;
      patience = static_cast<int>(left.count());
    }
    if (::poll(ready, 2, patience) < 0) continue;  // EINTR: the machine asks its threads by signals
    if (ready[1].revents != 0) {
      uint64_t count;
      (void)!::read(wake_.get(), &count, sizeof count);
    }
    if (ready[0].revents & POLLOUT) output_.flush();
    if (ready[0].revents & (POLLERR | POLLNVAL)) return event::over;
    if (ready[0].revents & POLLIN) return event::input;
    if (ready[0].revents & POLLHUP) return event::over;  // both directions are closed, and nothing is left to read
  }
}

// The process of the request that the kernel is serving. What it says meanwhile waits; what it says is not believed further than that
// it sees its own memory where it says.
NTSTATUS connection::ask_to_map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) {
  const uint64_t id = next_question_++;
  const wire::map_request request{offset, bytes, writable ? 1u : 0u, 0};
  output_.put(wire::frame_kind::map, id, bytes_of(request), {}, descriptor);
  const auto until = std::chrono::steady_clock::now() + limits_.answer;
  wire::map_answer answer;
  for (;;) {
    if (const std::optional<event> found = look_for_answer(id, answer)) {
      if (*found == event::over) return STATUS_PROCESS_IS_TERMINATING;
      break;
    }
    const event next = wait(until);
    if (next == event::time) return STATUS_IO_TIMEOUT;
    if (next == event::over) return STATUS_PROCESS_IS_TERMINATING;
    if (input_.fill(socket_.get()) != frame_input::state::open) {
      // Its last words may be the answer; to map for who has gone would be in vain.
      return STATUS_PROCESS_IS_TERMINATING;
    }
  }
  if (!NT_SUCCESS(answer.status)) return answer.status;
  if (answer.address == 0 || answer.address % PAGE_SIZE != 0) return STATUS_INVALID_PARAMETER;
  address = answer.address;
  return STATUS_SUCCESS;
}

// input: it is there. over: the process broke a rule. None: not yet.
std::optional<connection::event> connection::look_for_answer(uint64_t id, wire::map_answer& answer) {
  while (const std::optional<frame> next = input_.next()) {
    std::span<const uint8_t> bytes_untrusted = next->bytes_untrusted;
    if (next->header.kind == static_cast<uint16_t>(wire::frame_kind::answer)) {
      if (next->header.id != id) continue;  // to a question that was given up
      if (take_front(bytes_untrusted, answer)) return event::input;
      return stage_ = stage::over, event::over;
    }
    deferred_bytes_ += bytes_untrusted.size();
    if (deferred_.size() >= limits_.requests || deferred_bytes_ > limits_.bytes) return stage_ = stage::over, event::over;
    deferred_.push_back({next->header, {bytes_untrusted.begin(), bytes_untrusted.end()}});
  }
  if (input_.now() == frame_input::state::broken) return stage_ = stage::over, event::over;
  return std::nullopt;
}

void connection::ask_to_unmap(uint64_t address, uint64_t bytes) {
  const wire::unmap_request request{address, bytes};
  output_.put(wire::frame_kind::unmap, next_question_++, bytes_of(request));
}

void connection::take(const frame& next) {
  if (stage_ == stage::hello) {
    if (next.header.kind == static_cast<uint16_t>(wire::frame_kind::hello) && take_hello(next.bytes_untrusted)) {
      stage_ = stage::no_handle;
    } else {
      stage_ = stage::over;
    }
    return;
  }
  const process_space::inside kernel(*space_, *this);
  request(next);
}

bool connection::take_hello(std::span<const uint8_t> bytes_untrusted) {
  wire::client_hello hello;
  if (!take_front(bytes_untrusted, hello) || hello.magic != wire::hello_magic) return false;
  wire::server_hello mine{wire::hello_magic, wire::version, STATUS_SUCCESS, counter_page_bytes};
  int page = -1;
  if (hello.version != wire::version) {
    mine.status = STATUS_REVISION_MISMATCH;
  } else {
    page = share_counter();
  }
  output_.put(wire::frame_kind::hello, 0, bytes_of(mine), {}, page);
  return mine.status == STATUS_SUCCESS;
}

// What breaks the framing ends the connection; everything else has an answer.
void connection::request(const frame& next) {
  const uint64_t id = next.header.id;
  const auto kind = static_cast<wire::frame_kind>(next.header.kind);
  std::span<const uint8_t> bytes_untrusted = next.bytes_untrusted;
  if (kind == wire::frame_kind::cancel) {
    wire::cancel_request which;
    if (!take_front(bytes_untrusted, which)) {
      stage_ = stage::over;
    } else {
      cancel(which.id);
    }
    return;
  }
  if (kind == wire::frame_kind::answer) return;  // to a question that was given up
  {
    const internal_lock lock(mutex_);
    if (id == 0 || pending_.contains(id)) stage_ = stage::over;
  }
  if (stage_ == stage::over) return;

  wire::capacity_request room{};
  const auto require = [&](stage needed) {
    if (stage_ == needed) return true;
    answer(id, stage_ == stage::no_handle ? STATUS_INVALID_HANDLE : STATUS_OBJECT_TYPE_MISMATCH);
    return false;
  };
  const auto require_room = [&] {
    const bool complete = take_front(bytes_untrusted, room);
    if (!complete) answer(id, STATUS_INFO_LENGTH_MISMATCH);
    return complete;
  };
  switch (kind) {
    case wire::frame_kind::open_device: return open_device(id, bytes_untrusted);
    case wire::frame_kind::connect_port: return connect_port(id, bytes_untrusted);
    case wire::frame_kind::read:
      if (!require(stage::device) || !require_room() || !admit(id, room.capacity)) return;
      return file_.begin_read(room.capacity, id, *this);
    case wire::frame_kind::control: {
      wire::control_request what;
      if (!require(stage::device)) return;
      if (!take_front(bytes_untrusted, what)) return answer(id, STATUS_INFO_LENGTH_MISMATCH);
      if (!admit(id, std::max<uint64_t>(what.capacity, bytes_untrusted.size()))) return;
      return file_.begin_control(what.code, bytes_untrusted, what.capacity, id, *this);
    }
    case wire::frame_kind::get_message:
      if (!require(stage::port) || !require_room() || !admit(id, room.capacity)) return;
      return port_.begin_get(room.capacity, id, *this);
    case wire::frame_kind::reply:
      if (require(stage::port)) answer(id, port_.reply(bytes_untrusted));
      return;
    case wire::frame_kind::send:
      if (require(stage::port) && require_room()) send_message(id, room.capacity, bytes_untrusted);
      return;
    case wire::frame_kind::set_information: {
      wire::information_request what;
      if (!require(stage::device)) return;
      if (!take_front(bytes_untrusted, what)) return answer(id, STATUS_INFO_LENGTH_MISMATCH);
      return answer(id, file_.set_information(what.information_class, bytes_untrusted));
    }
    default: return answer(id, STATUS_INVALID_DEVICE_REQUEST);
  }
}

void connection::open_device(uint64_t id, std::span<const uint8_t> bytes_untrusted) {
  std::u16string name;
  if (stage_ != stage::no_handle) return answer(id, STATUS_INVALID_PARAMETER);
  if (!take_name(bytes_untrusted, name)) return answer(id, STATUS_OBJECT_NAME_INVALID);
  opened_handle(id, file_.open(machine_, name, pid_, user_), stage::device);
}

void connection::connect_port(uint64_t id, std::span<const uint8_t> bytes_untrusted) {
  std::u16string name;
  uint16_t name_bytes = 0;
  if (stage_ != stage::no_handle) return answer(id, STATUS_INVALID_PARAMETER);
  if (!take_front(bytes_untrusted, name_bytes) || bytes_untrusted.size() < name_bytes ||
      !take_name(bytes_untrusted.first(name_bytes), name)) {
    return answer(id, STATUS_OBJECT_NAME_INVALID);
  }
  opened_handle(id, port_.connect(machine_, name, bytes_untrusted.subspan(name_bytes), pid_, user_), stage::port);
}

void connection::opened_handle(uint64_t id, NTSTATUS status, stage then) {
  if (NT_SUCCESS(status)) {
    stage_ = then;
    (*opened_)();
  }
  answer(id, status);
}

// It waits inside the kernel: this thread with it, and so the requests of this connection behind it.
void connection::send_message(uint64_t id, uint32_t capacity, std::span<const uint8_t> in_untrusted) {
  if (capacity > wire::max_frame_bytes - sizeof(wire::answer_header)) return answer(id, STATUS_INSUFFICIENT_RESOURCES);
  const auto out = std::make_unique_for_overwrite<uint8_t[]>(capacity);
  uint64_t written = 0;
  const NTSTATUS status = port_.send(in_untrusted, {out.get(), capacity}, written);
  answer(id, status, {out.get(), NT_ERROR(status) ? 0 : static_cast<size_t>(written)});
}

void connection::cancel(uint64_t id) {
  const auto which = id == 0 ? std::nullopt : std::optional(id);
  if (stage_ == stage::port) {
    port_.cancel_begun(which);
  } else if (stage_ == stage::device) {
    which ? file_.cancel(*which) : file_.cancel();
  }
}

// True: the request may pend, and is accounted for until it is answered.
bool connection::admit(uint64_t id, uint64_t bytes) {
  const uint64_t unread = output_.waiting();
  {
    const internal_lock lock(mutex_);
    if (bytes <= wire::max_frame_bytes - sizeof(wire::answer_header) && pending_.size() < limits_.requests &&
        promised_ + unread + bytes <= limits_.bytes) {
      pending_.emplace(id, bytes);
      promised_ += bytes;
      return true;
    }
  }
  answer(id, STATUS_INSUFFICIENT_RESOURCES);
  return false;
}

// The request is forgotten before its answer goes out: the process may use the id again as soon as it has it.
void connection::completed(uint64_t id, NTSTATUS status, std::span<const uint8_t> bytes) noexcept {
  bool goes_out;
  {
    const internal_lock lock(mutex_);
    const auto found = pending_.find(id);
    promised_ -= found->second;
    pending_.erase(found);
    answering_ += 1;
    goes_out = !closing_;
  }
  if (goes_out) answer(id, status, bytes);
  const internal_lock lock(mutex_);
  answering_ -= 1;
  if (closing_) {
    const uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  }
}

void connection::answer(uint64_t id, NTSTATUS status, std::span<const uint8_t> bytes) noexcept {
  const wire::answer_header header{status, 0};
  output_.put(wire::frame_kind::answer, id, bytes_of(header), bytes);
}

bool connection::idle() {
  const internal_lock lock(mutex_);
  return pending_.empty() && answering_ == 0;
}

// As the end of a process closes its handles: what pends is cancelled, and its answers go nowhere. A process that closes its handle
// sees the end of the connection when the handle is closed, as CloseHandle returns then; one that the host leaves learns at once.
void connection::close_handle() {
  {
    const internal_lock lock(mutex_);
    closing_ = true;
  }
  output_.flush();
  // The host goes, not the process: what it has been given already it may still read.
  const auto limit = std::chrono::steady_clock::now() + last_answers;
  while (stopping_.load() && output_.waiting() != 0 && std::chrono::steady_clock::now() < limit) {
    pollfd ready{socket_.get(), POLLOUT, 0};
    if (::poll(&ready, 1, static_cast<int>(last_answers.count())) > 0) output_.flush();
    if (ready.revents & (POLLERR | POLLHUP)) break;
  }
  if (stopping_.load()) ::shutdown(socket_.get(), SHUT_RDWR);
  file_.close();
  port_.close();
  while (!idle()) {
    pollfd woken{wake_.get(), POLLIN, 0};
    if (::poll(&woken, 1, -1) > 0) {
      uint64_t count;
      (void)!::read(wake_.get(), &count, sizeof count);
    }
  }
  ::shutdown(socket_.get(), SHUT_RDWR);
}

}  // namespace sluice::sim
