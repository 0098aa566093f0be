#ifndef SLUICE_C_CLIENT_USE_H
#define SLUICE_C_CLIENT_USE_H

#include "consumers/client/sluice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct counts_in_c {
  uint64_t of_type, payload_bytes, with_time;
};
/* Until `wanted` of `type` have come; SLUICE_EVENTS, or what came instead. */
int read_in_c(sluice_client* client, uint16_t type, uint64_t wanted, struct counts_in_c* counts);
int poll_in_c(sluice_client* client, int timeout_milliseconds);
int open_in_c(const char* name, int transport);

#ifdef __cplusplus
}
#endif

#endif
