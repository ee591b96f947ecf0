"""A slower disk for other processes: every sync takes longer, whoever calls it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

ADDED_MS = 2

NO_COMPILER = "there is no C compiler, which makes the disk slower; left out"

# What is loaded before the C library. A device flushes its cache for one caller at a time, and
# whoever asks meanwhile is served by the next flush, all of them by one: so does Linux, see
# block/blk-flush.c there. The one word that all processes share is when the last flush began.
# LMDB syncs its meta page by writing to a descriptor that was opened with O_DSYNC.
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define ADDED_NS (ADDED_MS * 1000000LL)

static _Atomic int64_t *began;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("BENCH_FLUSHES");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, 4096))
        abort();
    began = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (began == MAP_FAILED)
        abort();
    close(fd);
}

static void flush(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t now = time.tv_sec * 1000000000LL + time.tv_nsec;
    int64_t last = *began, mine;
    do
        mine = last >= now ? last : last + ADDED_NS > now ? last + ADDED_NS : now;
    while (mine != last && !__atomic_compare_exchange_n(
        (int64_t *)began, &last, mine, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    mine += ADDED_NS;
    time.tv_sec = mine / 1000000000LL;
    time.tv_nsec = mine % 1000000000LL;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, 0))
        ;
}

#define WRAP(if_so, type, name, parameters, ...) \
    type name parameters \
    { \
        static type (*next) parameters; \
        if (!next) \
            next = (type (*) parameters)dlsym(RTLD_NEXT, #name); \
        if (if_so) \
            flush(); \
        return next(__VA_ARGS__); \
    }
#define IS_SYNCED(fd) (fcntl(fd, F_GETFL) & O_DSYNC)

WRAP(1, int, fsync, (int fd), fd)
WRAP(1, int, fdatasync, (int fd), fd)
WRAP(1, int, syncfs, (int fd), fd)
WRAP(how & MS_SYNC, int, msync, (void *at, size_t size, int how), at, size, how)
WRAP(IS_SYNCED(fd), ssize_t, write, (int fd, const void *data, size_t size), fd, data, size)
WRAP(IS_SYNCED(fd), ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at),
     fd, data, size, at)
WRAP(IS_SYNCED(fd), ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at),
     fd, data, size, at)
WRAP(IS_SYNCED(fd), ssize_t, writev, (int fd, const struct iovec *data, int count),
     fd, data, count)
WRAP(IS_SYNCED(fd), ssize_t, pwritev, (int fd, const struct iovec *data, int count, off_t at),
     fd, data, count, at)
"""


def slower_disk(folder: str) -> Mapping[str, str] | None:
    """Return the environment of processes for which every sync takes `ADDED_MS` longer.

    None where it cannot be made, which takes Linux and a C compiler. Its files are in `folder`.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = os.path.join(folder, "slower.so")
    command = [compiler, "-x", "c", "-", "-shared", "-fPIC", "-O1", f"-DADDED_MS={ADDED_MS}"]
    made = subprocess.run(
        [*command, "-o", library, "-ldl"], input=_SOURCE, capture_output=True, text=True
    )
    if made.returncode:
        return None
    return {"LD_PRELOAD": library, "BENCH_FLUSHES": os.path.join(folder, "flushes")}
