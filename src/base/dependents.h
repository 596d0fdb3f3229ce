/*-------------------------------------------------------------------------
 *
 * dependents.h
 *	  What depends on an object, as pg_depend says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_DEPENDENTS_H
#define CHATROOM_DEPENDENTS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/snapshot.h"

/*
 * The oids of all objects of the catalog "dependent" (TriggerRelationId, ...)
 * that depend on an object of the catalog "catalog", oldest first, each once.
 * Snapshot NULL: a catalog's own.
 */
extern List *chatroom_dependents(Oid catalog, Oid object, Oid dependent,
								 Snapshot snapshot);

#endif							/* CHATROOM_DEPENDENTS_H */
