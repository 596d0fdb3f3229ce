/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  A wall clock that can be stepped, for LD_PRELOAD.
 *
 * The file that SOAK_CLOCK names holds a 64-bit number, in seconds: so far is
 * the clock of who loads this from the real one.  It is mapped, so a step is
 * seen at once by all processes, in signal handlers, too.  Monotonic clocks
 * stay real.
 *
 * libfaketime isn't made for this: it reads its file with stdio in each call,
 * and fakes nothing in processes that were forked in a signal handler while
 * select() was interrupted, as PostgreSQL 15 forks many of its own.  Half of a
 * server would live in another time.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *step;

__attribute__((constructor)) static void
map_clock(void)
{
	const char *path = getenv("SOAK_CLOCK");
	int			fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void	   *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		step = map;
	close(fd);
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int			result = syscall(SYS_clock_gettime, id, ts);

	if (result == 0 && step != NULL &&
		(id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += *step;
	return result;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return (time_t) -1;
	if (result != NULL)
		*result = ts.tv_sec;
	return ts.tv_sec;
}
