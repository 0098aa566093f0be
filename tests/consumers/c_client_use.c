/* What a C program does with a client, compiled as C: tests/consumers/c_client_test.cpp gives it one. */
#include "tests/consumers/c_client_use.h"

#include <poll.h>
#include <string.h>

int read_in_c(sluice_client* client, uint16_t type, uint64_t wanted, struct counts_in_c* counts) {
  memset(counts, 0, sizeof *counts);
  while (counts->of_type < wanted) {
    const sluice_record* records = NULL;
    size_t count = 0, i;
    const int outcome = sluice_read(client, (int64_t)60 * 1000000000, &records, &count);
    if (outcome != SLUICE_EVENTS) return outcome;
    for (i = 0; i < count; ++i) {
      uint64_t utc = 0;
      if (records[i].type != type) continue;
      ++counts->of_type;
      counts->payload_bytes += records[i].payload_bytes;
      if (sluice_utc(client, records[i].time, &utc) == 0 && utc != 0) ++counts->with_time;
    }
  }
  return SLUICE_EVENTS;
}

int poll_in_c(sluice_client* client, int timeout_milliseconds) {
  struct pollfd what;
  what.fd = sluice_descriptor(client);
  what.events = POLLIN;
  what.revents = 0;
  return what.fd < 0 ? -1 : poll(&what, 1, timeout_milliseconds);
}

int open_in_c(const char* name, int transport) {
  sluice_options options = SLUICE_OPTIONS_DEFAULT;
  sluice_client* client;
  options.name = name;
  options.transport = transport;
  client = sluice_open(&options);
  if (client == NULL) return -1;
  sluice_close(client);
  return 0;
}
