/*-------------------------------------------------------------------------
 *
 * descriptors.c
 *	  Descriptors of the events that this process has logged.
 *
 * A descriptor is logged once in a while by anybody, so a process that reads
 * its own transaction's events (pending) need not find theirs in WAL.  They
 * are few: one for each watch and each of its definitions met here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/descriptors.h"
#include "base/hash.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct OwnDescriptor
{
	uint64		id;				/* hash key */
	bool		valid;
	Descriptor	descriptor;		/* points into a copy of the body */
} OwnDescriptor;

static HTAB *own_descriptors = NULL;
static MemoryContext own_context = NULL;

/* Remember a descriptor, by its encoded body. */
void
chatroom_remember_descriptor(uint64 id, const char *body, int len)
{
	OwnDescriptor *own;
	MemoryContext old;
	ByteReader	reader;
	char	   *copy;
	bool		found;

	if (own_descriptors == NULL)
	{
		own_context = AllocSetContextCreate(TopMemoryContext,
											"chatroom own descriptors",
											ALLOCSET_SMALL_SIZES);
		own_descriptors = chatroom_make_hash("chatroom own descriptors",
											 own_context, 32, sizeof(uint64),
											 sizeof(OwnDescriptor));
	}
	own = hash_search(own_descriptors, &id, HASH_ENTER, &found);
	if (found && own->valid)
		return;
	own->valid = false;
	old = MemoryContextSwitchTo(own_context);
	copy = palloc(len);
	memcpy(copy, body, len);
	reader.pos = copy;
	reader.end = copy + len;
	reader.failed = false;
	own->valid = chatroom_decode_descriptor(&reader, &own->descriptor);
	MemoryContextSwitchTo(old);
}

/* The descriptor of an event of this process; NULL: not remembered. */
const Descriptor *
chatroom_recall_descriptor(uint64 id)
{
	OwnDescriptor *own;

	if (own_descriptors == NULL)
		return NULL;
	own = hash_search(own_descriptors, &id, HASH_FIND, NULL);
	return own != NULL && own->valid ? &own->descriptor : NULL;
}
