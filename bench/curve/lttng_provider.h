// The tracepoint of the LTTng-UST contestant: 64 bytes of payload, as every contestant carries. Read several times by LTTng's macros.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER sluice_curve

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "bench/curve/lttng_provider.h"

#if !defined(SLUICE_BENCH_CURVE_LTTNG_PROVIDER_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define SLUICE_BENCH_CURVE_LTTNG_PROVIDER_H

#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(sluice_curve, event, LTTNG_UST_TP_ARGS(const uint64_t*, words),
                           LTTNG_UST_TP_FIELDS(lttng_ust_field_array(uint64_t, words, words, 8)))

#endif

#include <lttng/tracepoint-event.h>
