/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  Checks of SQL arguments that many functions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_ARGUMENTS_H
#define CHATROOM_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"

/* Refuse a null argument by name: 22004. */
extern void chatroom_require_argument(FunctionCallInfo fcinfo, int argument,
									  const char *name);

#endif							/* CHATROOM_ARGUMENTS_H */
