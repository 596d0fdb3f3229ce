/*-------------------------------------------------------------------------
 *
 * hash.h
 *	  Hash tables of this process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_HASH_H
#define CHATROOM_HASH_H

#include "postgres.h"

#include "utils/hsearch.h"

/*
 * Make a hash table, in a memory context, whose keys are compared as bytes;
 * "size" is about how many entries it will have.
 */
extern HTAB *chatroom_make_hash(const char *name, MemoryContext context,
								long size, Size keysize, Size entrysize);

#endif							/* CHATROOM_HASH_H */
