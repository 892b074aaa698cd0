/* Faults that a healthy machine does not have, for a program that is loaded with LD_PRELOAD.
 *
 * SHIM_DISK names the folder that is the disk, SHIM_DIR the folder whose files switch the faults on; they are read at
 * every call, so a test changes them while the program runs:
 *
 *   capacity      bytes: what would make the files of the disk larger together fails with ENOSPC
 *   quota         any content: the capacity is a quota's, so it fails with EDQUOT
 *   write-fails   any content: writing below the disk fails with EIO
 *   fsync-fails   any content: fsync and fdatasync below the disk fail with EIO
 *   clock-offset  seconds, which may be negative, that the wall clock is ahead
 *
 * Real calls go straight to the kernel: nothing here looks a symbol up or allocates where it stands in for itself.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* What a fault's file says; 0 if it is not there. `text` may be empty. */
static int fault(const char *name, char *text, size_t size) {
  char path[4096];
  const char *dir = getenv("SHIM_DIR");
  if (!dir || snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return 0;
  int saved = errno;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    errno = saved;
    return 0;
  }
  long n = syscall(SYS_read, fd, text, size - 1);
  syscall(SYS_close, fd);
  text[n > 0 ? n : 0] = 0;
  errno = saved;
  return 1;
}

static int on_disk(int fd) {
  char link[64], path[4096];
  const char *disk = getenv("SHIM_DISK");
  if (!disk || !*disk) return 0;
  int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (n <= 0) return 0;
  path[n] = 0;
  size_t length = strlen(disk);
  return !strncmp(path, disk, length) && path[length] == '/';
}

/* What all files of the disk hold. A file that goes away meanwhile holds nothing. */
static long long used(void) {
  long long sum = 0;
  DIR *dir = opendir(getenv("SHIM_DISK"));
  if (!dir) return 0;
  for (struct dirent *entry; (entry = readdir(dir));) {
    struct stat st;
    if (!fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode)) sum += st.st_size;
  }
  closedir(dir);
  return sum;
}

/* Whether the file may reach up to `end`; sets errno if not. */
static int may_grow(int fd, long long end) {
  char text[32];
  if (!fault("capacity", text, sizeof text)) return 1;
  struct stat st;
  int saved = errno;
  int fits = fstat(fd, &st) || end <= st.st_size || used() + end - st.st_size <= atoll(text);
  char none[8];
  errno = fits ? saved : fault("quota", none, sizeof none) ? EDQUOT : ENOSPC;
  return fits;
}

/* Whether `count` bytes may be written at `at`, or where the file stands if that is negative. */
static int may_write(int fd, long long at, size_t count) {
  char text[8];
  if (!on_disk(fd)) return 1;
  if (fault("write-fails", text, sizeof text)) {
    errno = EIO;
    return 0;
  }
  if (at < 0) {
    int flags = fcntl(fd, F_GETFL);
    struct stat st;
    at = flags >= 0 && (flags & O_APPEND) && !fstat(fd, &st) ? st.st_size : lseek(fd, 0, SEEK_CUR);
  }
  return at < 0 || may_grow(fd, at + (long long)count);
}

static int may_sync(int fd) {
  char text[8];
  if (!fault("fsync-fails", text, sizeof text) || !on_disk(fd)) return 1;
  errno = EIO;
  return 0;
}

static size_t total(const struct iovec *parts, int count) {
  size_t sum = 0;
  for (int i = 0; i < count; i++) sum += parts[i].iov_len;
  return sum;
}

PUBLIC ssize_t write(int fd, const void *bytes, size_t count) {
  return may_write(fd, -1, count) ? syscall(SYS_write, fd, bytes, count) : -1;
}

PUBLIC ssize_t writev(int fd, const struct iovec *parts, int count) {
  return may_write(fd, -1, total(parts, count)) ? syscall(SYS_writev, fd, parts, count) : -1;
}

PUBLIC ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  return may_write(fd, at, count) ? syscall(SYS_pwrite64, fd, bytes, count, at) : -1;
}

PUBLIC ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

PUBLIC int ftruncate64(int fd, off64_t length) {
  /* As a write that ends there; what makes a file shorter always fits. */
  return may_write(fd, 0, (size_t)length) ? (int)syscall(SYS_ftruncate, fd, length) : -1;
}

PUBLIC int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

PUBLIC int fallocate64(int fd, int mode, off64_t at, off64_t length) {
  if (mode == 0 && !may_write(fd, at, (size_t)length)) return -1;
  return (int)syscall(SYS_fallocate, fd, mode, at, length);
}

PUBLIC int fallocate(int fd, int mode, off_t at, off_t length) { return fallocate64(fd, mode, at, length); }

/* Says the error instead of setting it. */
PUBLIC int posix_fallocate64(int fd, off64_t at, off64_t length) {
  int saved = errno, code = fallocate64(fd, 0, at, length) ? errno : 0;
  errno = saved;
  return code;
}

PUBLIC int posix_fallocate(int fd, off_t at, off_t length) { return posix_fallocate64(fd, at, length); }

PUBLIC int fsync(int fd) { return may_sync(fd) ? (int)syscall(SYS_fsync, fd) : -1; }

PUBLIC int fdatasync(int fd) { return may_sync(fd) ? (int)syscall(SYS_fdatasync, fd) : -1; }

static long long clock_offset(void) {
  char text[32];
  return fault("clock-offset", text, sizeof text) ? atoll(text) : 0;
}

PUBLIC int clock_gettime(clockid_t clock, struct timespec *now) {
  int code = (int)syscall(SYS_clock_gettime, clock, now);
  if (!code && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += clock_offset();
  return code;
}

PUBLIC int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  int code = (int)syscall(SYS_gettimeofday, now, zone);
  if (!code) now->tv_sec += clock_offset();
  return code;
}

PUBLIC time_t time(time_t *into) {
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}
