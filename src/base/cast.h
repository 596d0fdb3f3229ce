/*-------------------------------------------------------------------------
 *
 * cast.h
 *	  Values of JSON as values of a type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_CAST_H
#define CHATROOM_CAST_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"
#include "utils/jsonb.h"

typedef enum CastResult
{
	CAST_OK,
	CAST_NULL,					/* a JSON null */
	CAST_INVALID,				/* no value of the type */
	CAST_TOO_LONG				/* more characters than varchar(n) has */
} CastResult;

/* How JSON becomes values of one type. */
typedef struct Caster
{
	uint8		kind;			/* private to cast.c */
	bool		checked;		/* a domain with constraints */
	Oid			typid;			/* as asked for: may be a domain */
	Oid			base;			/* what is under the domain */
	int32		typmod;
	Oid			parameter;		/* for the input function */
	FmgrInfo	input;
	struct Caster *parts;		/* of arrays: 1, of composites: attributes */
	TupleDesc	tupdesc;		/* of composites */
	MemoryContext context;		/* where all of this is */
} Caster;

extern void chatroom_prepare_cast(Caster *caster, Oid typid, int32 typmod,
								  MemoryContext context);

/*
 * Cast a value.  Nothing is raised for what is no value of the type.  The
 * caller has pinned the settings that input depends on, see values.h.
 */
extern CastResult chatroom_cast(Caster *caster, const JsonbValue *value,
								Datum *result);

/*
 * Would Ecto's cast() take a value?  PostgreSQL's own input takes more: " 5 ",
 * yes, NaN, now.  What rows have, which is cast as well, may be such a value.
 */
extern bool chatroom_ecto_takes(const Caster *caster,
								const JsonbValue *value);

/* The text of a scalar that is no null; NULL for anything else. */
extern char *chatroom_scalar_text(const JsonbValue *value);

/* The most characters that a type of limited length has; -1: no limit. */
extern int	chatroom_max_characters(const Caster *caster);

/* Is a value a string of nothing but white space? */
extern bool chatroom_is_empty_value(const JsonbValue *value);

#endif							/* CHATROOM_CAST_H */
