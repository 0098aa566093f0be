// Loaded in front of the C library (LD_PRELOAD): lets one call of a program fail. By environment variable:
//   SLUICE_FAIL_CALL=KIND:NTH:ERROR   the NTH call (from 1) of KIND after the program's main began fails with this errno; 0: it does
//                                     half of what was asked for (a short write or read)
//   SLUICE_FAIL_COUNTS=FILE           at the end, a line "KIND calls" for each kind goes there
//   SLUICE_FAIL_STACK=1               the failing call's stack goes to stderr
// A kind is a function's name; "memory" is everything that allocates, operator new included. Calls of the C library inside itself
// (printf's write) are not seen.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KINDS(X)                                                                                                          \
  X(memory) X(open) X(openat) X(fopen) X(read) X(pread) X(write) X(pwrite) X(writev) X(lseek) X(fsync) X(fdatasync)      \
  X(ftruncate) X(fallocate) X(posix_fallocate) X(fstat) X(lstat) X(mmap) X(mprotect) X(socket) X(connect) X(bind)        \
  X(listen) X(accept4) X(recv) X(recvmsg) X(send) X(sendmsg) X(poll) X(ppoll) X(epoll_create1) X(epoll_ctl)              \
  X(epoll_wait) X(eventfd) X(signalfd) X(memfd_create) X(fcntl) X(ioctl) X(pthread_create) X(syscall) X(mkdir) X(link)   \
  X(renameat2) X(unlink) X(readlink) X(mkostemp) X(chmod) X(fchmod) X(setsockopt) X(getsockopt)

enum kind {
#define KIND(name) kind_##name,
  KINDS(KIND)
#undef KIND
  kind_count
};
static const char* const names[] = {
#define KIND(name) #name,
  KINDS(KIND)
#undef KIND
};

enum { proceed = -1, half = 0 };

static atomic_bool armed;
static atomic_ulong calls[kind_count];
static enum kind chosen = kind_count;
static unsigned long chosen_call;
static int chosen_error;
static int shows_stack;

// The errno that this call is to fail with, `half`, or `proceed`.
static int failing(enum kind kind) {
  if (!atomic_load_explicit(&armed, memory_order_relaxed)) return proceed;
  if (atomic_fetch_add(&calls[kind], 1) + 1 != chosen_call || kind != chosen) return proceed;
  if (shows_stack) {
    atomic_store(&armed, 0);
    void* frames[40];
    backtrace_symbols_fd(frames, backtrace(frames, 40), 2);
    atomic_store(&armed, 1);
  }
  return chosen_error;
}

static void* next_of(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

static long (*system_call)(long, ...);

static void read_settings(void) {
  system_call = (long (*)(long, ...))next_of("syscall");
  const char* const call = getenv("SLUICE_FAIL_CALL");
  shows_stack = getenv("SLUICE_FAIL_STACK") != NULL;
  if (shows_stack) {
    void* frame;
    backtrace(&frame, 1);  // loads what it needs
  }
  if (call == NULL) return;
  char name[32];
  if (sscanf(call, "%31[^:]:%lu:%d", name, &chosen_call, &chosen_error) != 3) abort();
  for (int kind = 0; kind < kind_count; ++kind) {
    if (strcmp(names[kind], name) == 0) chosen = (enum kind)kind;
  }
  if (chosen == kind_count) abort();
}

static void write_counts(void) {
  const char* const path = getenv("SLUICE_FAIL_COUNTS");
  if (path == NULL) return;
  char text[4096];
  size_t length = 0;
  for (int kind = 0; kind < kind_count; ++kind) {
    length += (size_t)snprintf(text + length, sizeof text - length, "%s %lu\n", names[kind], atomic_load(&calls[kind]));
  }
  const int file = (int)system_call(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || system_call(SYS_write, file, text, length) != (long)length) abort();
  system_call(SYS_close, file);
}

// Between main's begin and end.
static int (*program)(int, char**, char**);
static int guarded_program(int count, char** arguments, char** environment) {
  atomic_store(&armed, 1);
  const int result = program(count, arguments, environment);
  atomic_store(&armed, 0);
  write_counts();
  return result;
}

int __libc_start_main(int (*main)(int, char**, char**), int count, char** arguments, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void* stack_end) {
  int (*const start)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*) =
      next_of("__libc_start_main");
  program = main;
  read_settings();
  return start(&guarded_program, count, arguments, init, fini, rtld_fini, stack_end);
}

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

#define WITHOUT_MEMORY                  \
  if (failing(kind_memory) != proceed) { \
    errno = ENOMEM;                     \
    return NULL;                        \
  }

void* malloc(size_t size) {
  WITHOUT_MEMORY
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  WITHOUT_MEMORY
  return __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) {
  WITHOUT_MEMORY
  return __libc_realloc(block, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  WITHOUT_MEMORY
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** block, size_t alignment, size_t size) {
  if (failing(kind_memory) != proceed) return ENOMEM;
  *block = __libc_memalign(alignment, size);
  return *block == NULL ? ENOMEM : 0;
}

#define NEXT(name, type)           \
  static __typeof__(type) real;    \
  if (real == NULL) real = (__typeof__(type))next_of(name)

// An int (ssize_t, ...) function that says -1 and errno.
#define CALL(name, result, parameters, ...)              \
  result name parameters {                               \
    NEXT(#name, result(*) parameters);                   \
    const int error = failing(kind_##name);              \
    if (error > 0) {                                     \
      errno = error;                                     \
      return (result)-1;                                 \
    }                                                    \
    return real(__VA_ARGS__);                            \
  }
// The same; half of `size` is done.
#define TRANSFER(name, result, parameters, size, ...)    \
  result name parameters {                               \
    NEXT(#name, result(*) parameters);                   \
    const int error = failing(kind_##name);              \
    if (error > 0) {                                     \
      errno = error;                                     \
      return (result)-1;                                 \
    }                                                    \
    if (error == half && (size) > 1) (size) /= 2;        \
    return real(__VA_ARGS__);                            \
  }

// Event, signal and timer descriptors neither fill up nor break.
static int counts_only(int file) {
  struct stat about;
  return system_call(SYS_fstat, file, &about) == 0 && (about.st_mode & S_IFMT) == 0;
}

#define TRANSFER_OF_FILE(name, result, parameters, size, ...)              \
  result name parameters {                                                 \
    NEXT(#name, result(*) parameters);                                     \
    const int error = counts_only(file) ? proceed : failing(kind_##name);  \
    if (error > 0) {                                                       \
      errno = error;                                                       \
      return (result)-1;                                                   \
    }                                                                      \
    if (error == half && (size) > 1) (size) /= 2;                          \
    return real(__VA_ARGS__);                                              \
  }

TRANSFER_OF_FILE(read, ssize_t, (int file, void* to, size_t size), size, file, to, size)
TRANSFER(pread, ssize_t, (int file, void* to, size_t size, off_t at), size, file, to, size, at)
TRANSFER_OF_FILE(write, ssize_t, (int file, const void* from, size_t size), size, file, from, size)
TRANSFER(pwrite, ssize_t, (int file, const void* from, size_t size, off_t at), size, file, from, size, at)
TRANSFER(recv, ssize_t, (int file, void* to, size_t size, int flags), size, file, to, size, flags)
TRANSFER(send, ssize_t, (int file, const void* from, size_t size, int flags), size, file, from, size, flags)
CALL(recvmsg, ssize_t, (int file, struct msghdr* message, int flags), file, message, flags)
CALL(sendmsg, ssize_t, (int file, const struct msghdr* message, int flags), file, message, flags)
CALL(lseek, off_t, (int file, off_t at, int whence), file, at, whence)
CALL(fsync, int, (int file), file)
CALL(fdatasync, int, (int file), file)
CALL(ftruncate, int, (int file, off_t size), file, size)
CALL(fallocate, int, (int file, int mode, off_t at, off_t size), file, mode, at, size)
CALL(fstat, int, (int file, struct stat* about), file, about)
CALL(lstat, int, (const char* path, struct stat* about), path, about)
CALL(mprotect, int, (void* at, size_t size, int protection), at, size, protection)
CALL(socket, int, (int domain, int type, int protocol), domain, type, protocol)
CALL(connect, int, (int file, const struct sockaddr* to, socklen_t size), file, to, size)
CALL(bind, int, (int file, const struct sockaddr* to, socklen_t size), file, to, size)
CALL(listen, int, (int file, int backlog), file, backlog)
CALL(accept4, int, (int file, struct sockaddr* from, socklen_t* size, int flags), file, from, size, flags)
CALL(poll, int, (struct pollfd* files, nfds_t count, int timeout), files, count, timeout)
CALL(ppoll, int, (struct pollfd* files, nfds_t count, const struct timespec* timeout, const sigset_t* mask), files, count,
     timeout, mask)
CALL(epoll_create1, int, (int flags), flags)
CALL(epoll_ctl, int, (int epoll, int operation, int file, struct epoll_event* event), epoll, operation, file, event)
CALL(epoll_wait, int, (int epoll, struct epoll_event* events, int count, int timeout), epoll, events, count, timeout)
CALL(eventfd, int, (unsigned count, int flags), count, flags)
CALL(signalfd, int, (int file, const sigset_t* mask, int flags), file, mask, flags)
CALL(memfd_create, int, (const char* name, unsigned flags), name, flags)
CALL(mkdir, int, (const char* path, mode_t mode), path, mode)
CALL(link, int, (const char* from, const char* to), from, to)
CALL(renameat2, int, (int from_in, const char* from, int to_in, const char* to, unsigned flags), from_in, from, to_in, to, flags)
CALL(unlink, int, (const char* path), path)
CALL(readlink, ssize_t, (const char* path, char* to, size_t size), path, to, size)
CALL(mkostemp, int, (char* path, int flags), path, flags)
CALL(chmod, int, (const char* path, mode_t mode), path, mode)
CALL(fchmod, int, (int file, mode_t mode), file, mode)
CALL(setsockopt, int, (int file, int level, int option, const void* value, socklen_t size), file, level, option, value, size)
CALL(getsockopt, int, (int file, int level, int option, void* value, socklen_t* size), file, level, option, value, size)

int posix_fallocate(int file, off_t at, off_t size) {
  NEXT("posix_fallocate", int (*)(int, off_t, off_t));
  const int error = failing(kind_posix_fallocate);
  return error > 0 ? error : real(file, at, size);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*), void* argument) {
  NEXT("pthread_create", int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*));
  const int error = failing(kind_pthread_create);
  return error > 0 ? error : real(thread, attributes, routine, argument);
}

void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) {
  const int error = failing(kind_mmap);
  if (error > 0) {
    errno = error;
    return (void*)-1;
  }
  return (void*)system_call(SYS_mmap, at, size, protection, flags, file, offset);
}

// A futex is no call that fails.
long syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long arguments[6];
  for (int i = 0; i < 6; ++i) arguments[i] = va_arg(rest, long);
  va_end(rest);
  const int error = number == SYS_futex || number == SYS_gettid ? proceed : failing(kind_syscall);
  if (error > 0) {
    errno = error;
    return -1;
  }
  return system_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  const int error = failing(kind_open);
  if (error > 0) {
    errno = error;
    return -1;
  }
  return (int)system_call(SYS_openat, AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) __attribute__((alias("open")));

int openat(int in, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  const int error = failing(kind_openat);
  if (error > 0) {
    errno = error;
    return -1;
  }
  return (int)system_call(SYS_openat, in, path, flags, mode);
}

int fcntl(int file, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  NEXT("fcntl", int (*)(int, int, ...));
  const int error = failing(kind_fcntl);
  if (error > 0) {
    errno = error;
    return -1;
  }
  return real(file, command, argument);
}

int ioctl(int file, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  NEXT("ioctl", int (*)(int, unsigned long, ...));
  const int error = failing(kind_ioctl);
  if (error > 0) {
    errno = error;
    return -1;
  }
  return real(file, request, argument);
}

FILE* fopen(const char* path, const char* mode) {
  NEXT("fopen", FILE * (*)(const char*, const char*));
  const int error = failing(kind_fopen);
  if (error > 0) {
    errno = error;
    return NULL;
  }
  return real(path, mode);
}
FILE* fopen64(const char* path, const char* mode) __attribute__((alias("fopen")));
