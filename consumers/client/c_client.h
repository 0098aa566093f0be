// A sluice_client made of a client: for who has one that a name does not reach.
#pragma once

#include <memory>

#include "consumers/client/client.h"
#include "consumers/client/sluice.h"

namespace sluice {

// Throws std::bad_alloc. sluice_close destroys both.
sluice_client* as_c_client(std::unique_ptr<client> of);

}  // namespace sluice
