/*-------------------------------------------------------------------------
 *
 * hash.c
 *	  Hash tables of this process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/hash.h"

/* Make a hash table; see hash.h. */
HTAB *
chatroom_make_hash(const char *name, MemoryContext context, long size,
				   Size keysize, Size entrysize)
{
	HASHCTL		control = {0};

	control.keysize = keysize;
	control.entrysize = entrysize;
	control.hcxt = context;
	return hash_create(name, size, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}
