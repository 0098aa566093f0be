// relacy, as the model checks use it. It predates C++20 but compiles as such; only warnings have to be kept
// away, which its place among the system headers does.
//
// How old a value may a load return? relacy keeps the last three values of each atomic word. Its random
// search lets a load return any of them; its full and context-bound searches only the newest and the one
// before, although they could return all three as well. Two stores of one word may wait in a store buffer at
// once (two publications, say), so every search here may go back by two. -DSLUICE_MODEL_SHALLOW leaves relacy
// as it is.
#pragma once

#include <relacy/base.hpp>

#include <relacy/thread_local_ctx.hpp>

#include <relacy/context_base.hpp>

#ifndef SLUICE_MODEL_SHALLOW
#define is_random_sched() get_thread_count() != 0
#endif
#include <relacy/thread.hpp>
#ifndef SLUICE_MODEL_SHALLOW
#undef is_random_sched
#endif

#include <relacy/relacy.hpp>

// relacy takes these words for programs that were not written for it; this one was.
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
