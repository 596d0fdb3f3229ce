/*-------------------------------------------------------------------------
 *
 * stubs.c
 *	  What the fuzzed code wants of a server.
 *
 * Memory comes straight from malloc, so that the sanitizers see each overrun;
 * forget_memory gives all of it back between two inputs.  An error is a find:
 * what is fuzzed here must answer, whatever the input.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/memory.h"
#include "cache/ring.h"
#include "common/hashfn.h"
#include "fuzz.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/memutils.h"

Oid MyDatabaseId = 5;
MemoryContext CurrentMemoryContext = NULL;
MemoryContext TopMemoryContext = NULL;
static ChatroomControl control;
ChatroomControl *chatroom_control = &control;

/* ------------------------------------------------------------------ memory */

static void **blocks = NULL;
static size_t nblocks = 0;
static size_t room = 0;

static void *
keep_block(void *block)
{
	if (block == NULL)
		abort();
	if (nblocks == room)
	{
		room = room ? room * 2 : 1024;
		blocks = realloc(blocks, room * sizeof(void *));
	}
	blocks[nblocks++] = block;
	return block;
}

/* The place where a block is noted. */
static void **
find_block(void *block)
{
	for (size_t i = nblocks; i-- > 0;)
		if (blocks[i] == block)
			return &blocks[i];
	abort();
}

void
forget_memory(void)
{
	while (nblocks > 0)
		free(blocks[--nblocks]);
}

void *
palloc(Size size)
{
	return keep_block(malloc(size ? size : 1));
}

void *
palloc0(Size size)
{
	return keep_block(calloc(1, size ? size : 1));
}

void *
repalloc(void *block, Size size)
{
	void **place = find_block(block);

	*place = realloc(block, size);
	if (*place == NULL)
		abort();
	return *place;
}

void
pfree(void *block)
{
	void **place = find_block(block);

	free(block);
	*place = blocks[--nblocks];
}

/* The same under the names that libpgcommon's functions use. */
void *
pg_malloc(size_t size)
{
	return palloc(size);
}

/* ------------------------------------------------------------------ errors */

bool
errstart(int elevel, const char *domain)
{
	abort();
}

bool
errstart_cold(int elevel, const char *domain)
{
	abort();
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	abort();
}

int
errmsg_internal(const char *fmt, ...)
{
	abort();
}

/* ------------------------------------------------------------- the cluster */

uint64
GetSystemIdentifier(void)
{
	return UINT64CONST(0x123456789abcdef0);
}

bool
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	return true;
}

void
LWLockRelease(LWLock *lock)
{
}

/* ---------------------------------------------------- what the ring wants */

uint64
chatroom_hash_topic(uint64 seed, const char *topic, int len)
{
	return hash_bytes_extended((const unsigned char *) topic, len, seed) | 1;
}

char *
JsonEncodeDateTime(char *buf, Datum value, Oid typid, const int *tzp)
{
	return strcpy(buf, "2026-11-21T11:09:30.651644+00:00");
}

/* ------------------------------------------------------------------- seeds */

void
write_seed(const char *name, const void *data, size_t size)
{
	FILE *file = fopen(name, "wb");

	CHECK(file != NULL && fwrite(data, 1, size, file) == size);
	CHECK(fclose(file) == 0);

	/* whatever is written must be read without a find */
	(void) LLVMFuzzerTestOneInput(data, size);
}
