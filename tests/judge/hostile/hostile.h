// What every program of this folder shares. One that gets through says so; silence is containment.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ESCAPED(...) (printf("ESCAPED: " __VA_ARGS__), putchar('\n'), fflush(stdout))
#define MUST_FAIL(call) do { errno = 0; if ((long)(call) >= 0) ESCAPED("%s succeeded", #call); } while (0)

static inline void burn(void) { for (volatile long i = 0;; i = i + 1); }
