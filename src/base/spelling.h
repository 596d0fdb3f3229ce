/*-------------------------------------------------------------------------
 *
 * spelling.h
 *	  Which values are spelled alike when they are equal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_SPELLING_H
#define CHATROOM_SPELLING_H

#include "postgres.h"

#include "access/attnum.h"

/* Have equal values of a type, as a column has it, one spelling in events? */
extern bool chatroom_one_spelling(Oid typid, int32 typmod, Oid collation);

/* The same of a table's column; false, too, where there is none. */
extern bool chatroom_column_one_spelling(Oid relid, AttrNumber attnum);

/*
 * Of two types whose values have one spelling each: do values that a foreign
 * key takes for equal have the same?
 */
extern bool chatroom_same_spelling(Oid typid, int32 typmod, Oid other,
								   int32 other_typmod);

#endif							/* CHATROOM_SPELLING_H */
