/* Sluice's client for C, and for whatever calls C: docs/client.md.
 *
 * Functions that can fail return 0 or a positive number if they did what they say, and -1 if not: sluice_error says why, for the
 * thread that called. No exception crosses. One thread reads (sluice_read, sluice_descriptor or sluice_event, sluice_account_of, sluice_check,
 * sluice_type_name, sluice_utc); the others may be called from any thread at the same time. sluice_close: nobody else is inside. */
#ifndef SLUICE_CLIENT_H
#define SLUICE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sluice_client sluice_client;

enum { SLUICE_AUTOMATIC = 0, SLUICE_PORT = 1, SLUICE_IOCTL = 2, SLUICE_MAPPING = 3 };

typedef struct sluice_options {
  const char* name;         /* which kernel; not NULL */
  int transport;            /* SLUICE_AUTOMATIC, ... */
  int without_own_process;  /* not 0: events that happen in this process are left out (port only) */
  int reconnects;           /* not 0: a connection that was lost is made again */
  uint64_t types;           /* bit n: type n */
  const char* client_name;  /* for the driver's statistics; NULL: "sluice" */
} sluice_options;

/* Everything, by the port if there is one. `name` is to be set. */
#define SLUICE_OPTIONS_DEFAULT {NULL, SLUICE_AUTOMATIC, 0, 0, ~(uint64_t)0, NULL}

/* NULL: see sluice_error. */
sluice_client* sluice_open(const sluice_options* options);
void sluice_close(sluice_client* client); /* NULL is allowed */

/* What is wrong, of the last call of this thread that failed. Valid until its next call. */
const char* sluice_error(void);

/* Not a record of a ring (docs/wire-format.md): */
enum { SLUICE_LATE = 0x01, SLUICE_FIGURES = 0x02, SLUICE_STREAM = 0x04, SLUICE_OVERWRITTEN = 0x08, SLUICE_CLIENT_LOSS = 0x10 };

typedef struct sluice_record {
  uint64_t boot, position; /* with cpu and lane: which record it is, in every copy of it */
  uint64_t time;           /* ticks: sluice_utc */
  const void* payload;     /* docs/events.md; valid until the next sluice_read */
  uint32_t payload_bytes;
  uint16_t type;
  uint16_t cpu;
  uint8_t lane;
  uint8_t version;
  uint8_t flags; /* SLUICE_LATE, ... */
  uint8_t reserved;
} sluice_record;

/* What sluice_read returns: SLUICE_EVENTS with records, or why there are none. */
enum {
  SLUICE_EVENTS = 0,
  SLUICE_TIMEOUT = 1,
  SLUICE_FLUSHED = 2,   /* the answer to sluice_flush */
  SLUICE_CANCELLED = 3,
  SLUICE_AWAY = 4,      /* the connection is lost, and was not back in time */
  SLUICE_RESTORED = 5   /* it was lost, and is back: sluice_account_of */
};

/* One batch, without what was there before. A timeout below 0 is for ever. */
int sluice_read(sluice_client* client, int64_t timeout_nanoseconds, const sluice_record** records, size_t* count);
int sluice_cancel(sluice_client* client); /* the read in hand, or the next */
/* To wait for: ready while there is something; then read with a timeout of 0 until SLUICE_TIMEOUT. It belongs to the client. */
#ifdef _WIN32
int sluice_event(sluice_client* client, void** event); /* for WaitForMultipleObjects */
#else
int sluice_descriptor(sluice_client* client); /* for poll */
#endif
int sluice_flush(sluice_client* client);

int sluice_set_types(sluice_client* client, uint64_t types);
/* A filter message (docs/filters.md). 0: it is in force; 1: the driver refuses it, `error` and `offset` say why and where. */
int sluice_set_filter(sluice_client* client, const void* message, size_t bytes, uint32_t* error, uint32_t* offset);
int sluice_clear_filter(sluice_client* client);

typedef struct sluice_account {
  uint64_t received;       /* records, each once */
  uint64_t duplicates;     /* that came again, and were dropped */
  uint64_t late;           /* of those received */
  uint64_t dropped;        /* events that the driver had no room for, as announced */
  uint64_t overwritten;    /* and in overwrite mode */
  uint64_t missed;         /* by this client alone, as announced */
  uint64_t interruptions;  /* of the connection */
  uint64_t missed_bytes;   /* of positions that went by in them */
  uint64_t other_streams;  /* of them, how often another load of the driver was there: then all but this begins anew */
} sluice_account;
int sluice_account_of(sluice_client* client, sluice_account* account);

/* How many things do not add up (`text` has them, a line each, as far as they fit); for a client at rest, after a flush.
 * `since_load` not 0: it has had the stream since the driver was loaded. */
int sluice_check(sluice_client* client, int since_load, char* text, size_t text_bytes);

/* 0 and "process_create", an own type's name, or "type_40". */
int sluice_type_name(sluice_client* client, uint16_t type, char* text, size_t text_bytes);
/* 100 ns units since 1601-01-01. -1: not known yet. */
int sluice_utc(sluice_client* client, uint64_t time, uint64_t* utc);

#ifdef __cplusplus
}
#endif

#endif
