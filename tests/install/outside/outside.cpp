// Reads from the kernel that is named until it has seen as many events as asked for, and checks its account.
// Exit codes: 0 all is well; 3 nobody has that name.
#include "consumers/client/client.h"

#include <cstdio>
#include <cstdlib>

int main(int count, char** arguments) {
  if (count != 3) return 2;
  try {
    sluice::client_options what;
    what.name = arguments[1];
    what.client_name = "outside";
    sluice::client client(what);
    unsigned long long events = 0;
    while (events < std::strtoull(arguments[2], nullptr, 10)) {
      if (const sluice::decoded_event* event = client.next(std::chrono::seconds(60))) {
        events += event->type >= sluice::first_event_type;
      } else if (client.last() == sluice::client_outcome::timeout) {
        std::fprintf(stderr, "nothing comes\n");
        return 1;
      }
    }
    std::printf("%llu events by %s\n", events, std::string(name_of(client.by())).c_str());
    return 0;
  } catch (const sluice::source_error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
