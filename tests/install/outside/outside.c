/* The same in C. */
#include "consumers/client/sluice.h"

#include <stdio.h>
#include <stdlib.h>

int main(int count, char** arguments) {
  sluice_options options = SLUICE_OPTIONS_DEFAULT;
  const sluice_record* records;
  size_t record_count, i;
  unsigned long long events = 0, wanted;
  sluice_client* client;
  if (count != 3) return 2;
  options.name = arguments[1];
  options.client_name = "outside_c";
  wanted = strtoull(arguments[2], NULL, 10);
  client = sluice_open(&options);
  if (client == NULL) {
    fprintf(stderr, "%s\n", sluice_error());
    return 3;
  }
  while (events < wanted) {
    const int outcome = sluice_read(client, (int64_t)60 * 1000000000, &records, &record_count);
    if (outcome < 0 || outcome == SLUICE_TIMEOUT) {
      fprintf(stderr, "nothing comes: %s\n", outcome < 0 ? sluice_error() : "in 60 s");
      sluice_close(client);
      return 1;
    }
    for (i = 0; i < record_count; ++i) events += records[i].type >= 8;
  }
  printf("%llu events in C\n", events);
  sluice_close(client);
  return 0;
}
