/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The extension's settings, and whether the library was preloaded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_SETTINGS_H
#define CHATROOM_SETTINGS_H

#include "postgres.h"

extern int	chatroom_cache_size;		/* kB, of one database's cache */
extern int	chatroom_retain_wal;		/* MB */
extern int	chatroom_max_event_size;	/* kB */
extern int	chatroom_max_wait;			/* ms */
extern int	chatroom_max_waiters;		/* -1: half of max_connections */
extern int	chatroom_max_databases;		/* that can have a cache */
extern int	chatroom_recheck;			/* in s */
extern int	chatroom_max_presence;		/* entries, of one database */
extern int	chatroom_max_presence_per_role; /* -1: half of them */
extern int	chatroom_max_interests_per_role;	/* -1: half of them */
extern bool chatroom_emit_enabled;
extern char *chatroom_default_prefix;
extern char *chatroom_claims;
extern char *chatroom_origin;			/* "" for none */

/* Loaded by shared_preload_libraries? */
extern bool chatroom_preloaded;

extern void chatroom_define_settings(void);

#endif							/* CHATROOM_SETTINGS_H */
