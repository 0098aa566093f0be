#include "consumers/client/c_guard.h"

int sluice_event(sluice_client* client, void** event) {
  return sluice::guarded([&] {
    *event = client->client->descriptor();
    return 0;
  });
}
