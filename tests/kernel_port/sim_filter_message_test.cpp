// The filter manager's ports: a driver's messages to a process, replies, timeouts.
#include "tests/kernel_port/sim_filter_port_support.h"

namespace sluice::sim {
namespace {

NTSTATUS ask(std::string_view question, std::string& answer, uint32_t room, std::optional<LARGE_INTEGER> timeout = {}) {
  std::vector<char> reply(room);
  ULONG length = room;
  const NTSTATUS status = FltSendMessage(port_driver::filter, &port_driver::client, const_cast<char*>(question.data()),
                                         static_cast<ULONG>(question.size()), reply.data(), &length,
                                         timeout ? &*timeout : nullptr);
  answer.assign(reply.data(), length);
  return status;
}

std::vector<uint8_t> reply_to(uint64_t id, std::string_view text) {
  const filter_reply_header header{0, 0, id};
  std::vector<uint8_t> reply(sizeof header + text.size());
  memcpy(reply.data(), &header, sizeof header);
  memcpy(reply.data() + sizeof header, text.data(), text.size());
  return reply;
}

TEST_F(filter_port_test, a_message_waits_for_its_getter_and_the_sender_with_it) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::atomic<bool> returned{false};
  sending_thread sender(system, port, [&] {
    EXPECT_EQ(port_driver::send("hello"), STATUS_SUCCESS);
    returned = true;
  });
  EXPECT_FALSE(returned) << "nobody has asked yet";
  std::vector<uint8_t> buffer;
  ASSERT_NO_FATAL_FAILURE(next_message(port, buffer));
  sender.join();
  EXPECT_EQ(text_of(buffer), "hello");
  EXPECT_EQ(header_of(buffer).reply_length, 0u);
}

TEST_F(filter_port_test, a_pending_get_takes_the_message_at_once) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message first, second;
  ASSERT_EQ(port.begin_get(64, first), STATUS_PENDING);
  ASSERT_EQ(port.begin_get(64, second), STATUS_PENDING);
  EXPECT_FALSE(first.is_done());
  activity thread(system, 0, 4, 40);
  EXPECT_EQ(port_driver::send("one", LARGE_INTEGER{}), STATUS_SUCCESS) << "a timeout of 0 is enough";
  EXPECT_TRUE(first.is_done());
  EXPECT_FALSE(second.is_done());
  EXPECT_EQ(port_driver::send("two", LARGE_INTEGER{}), STATUS_SUCCESS);
  EXPECT_EQ(text_of(first.message()), "one");
  EXPECT_EQ(text_of(second.message()), "two");
  EXPECT_LT(header_of(first.message()).message_id, header_of(second.message()).message_id);
  EXPECT_EQ(port_driver::send("three", LARGE_INTEGER{}), STATUS_TIMEOUT);
}

TEST_F(filter_port_test, a_message_that_nobody_takes_in_time_was_not_sent) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  {
    activity thread(system, 0, 4, 40);
    const NTSTATUS status = port_driver::send("lost", milliseconds(2));
    EXPECT_EQ(status, STATUS_TIMEOUT);
    EXPECT_TRUE(NT_SUCCESS(status)) << "beware";
  }
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  EXPECT_EQ(port.get_message(buffer, bytes, std::chrono::milliseconds(2)), STATUS_TIMEOUT);
}

TEST_F(filter_port_test, a_get_that_timed_out_is_no_longer_there) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  EXPECT_EQ(port.get_message(buffer, bytes, std::chrono::milliseconds(2)), STATUS_TIMEOUT);
  activity thread(system, 0, 4, 40);
  EXPECT_EQ(port_driver::send("x", LARGE_INTEGER{}), STATUS_TIMEOUT);
}

TEST_F(filter_port_test, a_buffer_too_short_is_told_to_both) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(sizeof(filter_message_header) + 4, message), STATUS_PENDING);
  activity thread(system, 0, 4, 40);
  EXPECT_EQ(port_driver::send("12345", LARGE_INTEGER{}), STATUS_BUFFER_OVERFLOW);
  EXPECT_EQ(message.wait(long_enough), STATUS_BUFFER_TOO_SMALL);
  pending_message none;
  EXPECT_EQ(port.begin_get(sizeof(filter_message_header) - 1, none), STATUS_INVALID_PARAMETER);
}

TEST_F(filter_port_test, a_cancelled_get_ends_so) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(64, message), STATUS_PENDING);
  port.cancel(message);
  EXPECT_EQ(message.wait(long_enough), STATUS_CANCELLED);
}

TEST_F(filter_port_test, a_reply_finds_its_message_by_id) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::string answer;
  sending_thread sender(system, port, [&] {
    EXPECT_EQ(ask("2+2", answer, 8), STATUS_SUCCESS);
  });
  std::vector<uint8_t> buffer;
  ASSERT_NO_FATAL_FAILURE(next_message(port, buffer));
  const filter_message_header header = header_of(buffer);
  EXPECT_EQ(header.reply_length, sizeof(filter_reply_header) + 8);
  EXPECT_EQ(port.reply(reply_to(header.message_id + 1, "5")), STATUS_FLT_NO_WAITER_FOR_REPLY);
  EXPECT_EQ(port.reply({buffer.data(), sizeof(filter_reply_header) - 1}), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(port.reply(reply_to(header.message_id, "4")), STATUS_SUCCESS);
  sender.join();
  EXPECT_EQ(answer, "4");
  EXPECT_EQ(port.reply(reply_to(header.message_id, "4")), STATUS_FLT_NO_WAITER_FOR_REPLY) << "answered already";
}

TEST_F(filter_port_test, a_reply_longer_than_wanted_is_cut_and_said_to_be) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::string answer;
  sending_thread sender(system, port, [&] {
    EXPECT_EQ(ask("?", answer, 3), STATUS_BUFFER_OVERFLOW);
  });
  std::vector<uint8_t> buffer;
  ASSERT_NO_FATAL_FAILURE(next_message(port, buffer));
  EXPECT_EQ(port.reply(reply_to(header_of(buffer).message_id, "12345")), STATUS_SUCCESS);
  sender.join();
  EXPECT_EQ(answer, "123");
}

TEST_F(filter_port_test, a_reply_that_comes_too_late_finds_nobody) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(64, message), STATUS_PENDING);
  {
    activity thread(system, 0, 4, 40);
    std::string answer;
    EXPECT_EQ(ask("?", answer, 8, milliseconds(2)), STATUS_TIMEOUT);
    EXPECT_EQ(answer, "");
  }
  EXPECT_EQ(message.wait(long_enough), STATUS_SUCCESS);
  EXPECT_EQ(port.reply(reply_to(header_of(message.message()).message_id, "x")), STATUS_FLT_NO_WAITER_FOR_REPLY);
}

TEST_F(filter_port_test, closing_lets_go_who_sends_and_who_gets) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::atomic<bool> sending{false};
  sending_thread sender(system, port, [&] {
    sending = true;
    EXPECT_EQ(port_driver::send("never taken"), STATUS_PORT_DISCONNECTED);
  });
  eventually([&] { return sending.load(); });
  port.close();
  sender.join();
  activity thread(system, 1, 4, 40);
  EXPECT_EQ(port_driver::client, nullptr);
  EXPECT_EQ(port_driver::send("nobody there"), STATUS_PORT_DISCONNECTED);

  filter_port other;
  ASSERT_EQ(connect(other), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(other.begin_get(64, message), STATUS_PENDING);
  other.close();
  EXPECT_EQ(message.wait(long_enough), STATUS_CANCELLED);
}

TEST_F(filter_port_test, a_sender_that_waits_for_a_reply_is_let_go_too) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  sending_thread sender(system, port, [&] {
    std::string answer;
    EXPECT_EQ(ask("?", answer, 8), STATUS_PORT_DISCONNECTED);
  });
  std::vector<uint8_t> buffer;
  ASSERT_NO_FATAL_FAILURE(next_message(port, buffer));
  port.close();
  sender.join();
}

// Everything at once: nothing is sent twice, lost, or left behind.
TEST_F(filter_port_test, sends_gets_timeouts_and_cancels_may_race_and_nothing_is_lost) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  constexpr uint32_t rounds = 2000;
  std::atomic<uint32_t> sent{0};
  std::atomic<bool> done{false};
  sending_thread sender(system, port, [&] {
    LARGE_INTEGER timeout;
    for (uint32_t i = 0; i < rounds; ++i) {
      timeout.QuadPart = -static_cast<int64_t>(i % 7 * 100);
      const NTSTATUS status = port_driver::send("m", timeout);
      EXPECT_TRUE(status == STATUS_SUCCESS || status == STATUS_TIMEOUT);
      sent += status == STATUS_SUCCESS;
    }
    done = true;
  });
  std::vector<uint8_t> buffer(64);
  uint32_t received = 0;
  uint64_t bytes = 0;
  while (!done) received += port.get_message(buffer, bytes, std::chrono::microseconds(received % 50)) == STATUS_SUCCESS;
  sender.join();
  EXPECT_EQ(received, sent);
}

}  // namespace
}  // namespace sluice::sim
