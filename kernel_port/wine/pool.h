// Pool that is told apart by its owner, and that a client can be given a view of. Up to DISPATCH_LEVEL.
//
// A block of a page or more is a section of its own, page-aligned as pool is, so that another process can map it; a smaller one
// lies in the heap between two guards. Blocks of drivers are counted until they are freed.
#pragma once

#include "kernel_port/wine/calls.h"

namespace sluice::wine {

struct pool_place {
  HANDLE section;    // null: not in a block of its own
  uint64_t offset;   // in the section
};
// Where memory of pool lies.
pool_place find_in_pool(const void* memory);

uint64_t pool_blocks();

}  // namespace sluice::wine
