/*-------------------------------------------------------------------------
 *
 * refs.h
 *	  References of multi's operations to earlier results.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_REFS_H
#define CHATROOM_REFS_H

#include "postgres.h"

#include "utils/jsonb.h"

/* Where values go in an operation. */
typedef struct RefNode RefNode;

/* The value that a path of earlier results leads to. */
typedef Jsonb *(*ResolveRef) (const void *arg, const char *path);

/*
 * Read {"attrs.post_id": "post.id"}: where values go, and where they are from.
 * They may go into the members named, of which NULL is the last.
 */
extern RefNode *chatroom_read_refs(Jsonb *refs, const char *operation,
								   const char *const *members,
								   ResolveRef resolve, const void *arg);

/* A member with the values that go there; NULL: it has none, and gets none. */
extern Jsonb *chatroom_apply_refs(const RefNode *refs, const char *member,
								  Jsonb *value);

/* Is the member as a whole a reference's value? */
extern bool chatroom_is_ref(const RefNode *refs, const char *member);

#endif							/* CHATROOM_REFS_H */
