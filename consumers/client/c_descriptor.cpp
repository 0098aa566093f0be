#include "consumers/client/c_guard.h"

int sluice_descriptor(sluice_client* client) {
  return sluice::guarded([&] { return client->client->descriptor(); });
}
