/*-------------------------------------------------------------------------
 *
 * memory.h
 *	  The control struct: what all processes share besides the caches.
 *
 * It is small enough to be taken from the slack of the main shared memory
 * segment, so it exists without shared_preload_libraries too (as
 * autoprewarm's).  The caches are dynamic segments, one a database, found
 * through its table of databases.
 *
 * Locking: "lock" protects the fields marked (L).  Fields marked (T) are
 * written by the tailer alone; others read them without lock where they are
 * atomics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_MEMORY_H
#define CHATROOM_MEMORY_H

#include "postgres.h"

#include "base/compat.h"
#include "base/event.h"
#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

/*
 * Bump this when anything in shared memory changes its place or its meaning:
 * a library that was replaced while the server runs must not attach.
 */
#define CHATROOM_LAYOUT			"1"

/* Slots that remember which descriptors were logged since a redo point. */
#define CHATROOM_LOGGED_SLOTS	256

/* Timeline switches that cursors are checked against; older ones reset. */
#define CHATROOM_MAX_TIMELINES	16

typedef enum TailerState
{
	TAILER_NONE = 0,			/* never started, or ended */
	TAILER_STARTING,			/* registered, not yet reading */
	TAILER_REBUILDING,			/* reading up to the end of WAL */
	TAILER_RUNNING				/* all that is flushed is published */
} TailerState;

/* A notifier that the postmaster was asked for, and that isn't there yet. */
#define NOTIFIER_ASKED_FOR		(-1)

/* A database's place in the control struct; unused where dboid is invalid. */
typedef struct DatabaseSlot
{
	Oid			dboid;			/* (L) */
	dsm_handle	handle;			/* (L) DSM_HANDLE_INVALID: none */
	uint32		generation;		/* (L) counts caches made in this slot */
	bool		wanted;			/* (L) a reader asks for a cache */
	bool		failed;			/* (L) the cache could not be made */
	bool		want_notifier;	/* (L) someone registered interest */
	int			notifier_pid;	/* (L) 0: not running, or NOTIFIER_... */
} DatabaseSlot;

typedef struct TimelineSwitch
{
	TimeLineID	tli;			/* the timeline that ended ... */
	XLogRecPtr	end;			/* ... here */
} TimelineSwitch;

typedef struct ChatroomControl
{
	LWLock		lock;
	int			tranche;		/* of lock and of the caches' stripes */

	/* Tailer's life; see worker/tailer.c */
	int			tailer_pid;		/* (L) 0: not running */
	bool		tailer_registered;	/* (L) postmaster has been asked */
	bool		stopped;		/* (L) by chatroom.stop() */
	bool		refused;		/* (L) there was no worker slot for it */
	int			failed_starts;	/* (L) since the tailer last ran well */
	pg_atomic_uint32 tailer_state;	/* (T) TailerState */
	pg_atomic_uint32 tailer_procno; /* (T) PG_UINT32_MAX: none */
	pg_atomic_uint64 ended_at;	/* (T) when the last one ended; us of
								 * base/clock.h */

	/* Written by committing backends. */
	pg_atomic_uint64 flush_wanted;	/* largest LSN of a commit with events */
	pg_atomic_uint64 logged[CHATROOM_LOGGED_SLOTS]; /* see write/emit.c */
	pg_atomic_uint64 descriptor_epoch;	/* (T) bump: log descriptors again */

	/* Where the tailer is. */
	pg_atomic_uint64 read_lsn;	/* (T) end of the last record read */
	pg_atomic_uint64 caught_up; /* (T) all that ends up to here was read */

	/* Cursors; (L), written by the tailer. */
	TimeLineID	tli;
	int			ntimelines;
	TimelineSwitch timelines[CHATROOM_MAX_TIMELINES];	/* newest first */
	int			nincarnations;
	Incarnation incarnations[MAX_INCARNATIONS]; /* oldest first */
	uint64		cursor_epoch;	/* bumped when any of these changes */

	/* From where a tailer started anew rebuilds the caches; (L). */
	XLogRecPtr	anchor_restart;
	XLogRecPtr	anchor_floor;

	/* Counters of the cluster, (T); reset by stat_reset. */
	pg_atomic_uint64 messages_forged;
	pg_atomic_uint64 messages_torn;
	pg_atomic_uint64 messages_read;
	pg_atomic_uint64 bytes_read;	/* of WAL */
	pg_atomic_uint64 transactions_reread;
	pg_atomic_uint64 tailer_starts;
	pg_atomic_uint64 assembly_bytes;	/* memory held for open xacts */

	int			ndatabases;		/* that can have a cache at a time */
	DatabaseSlot databases[FLEXIBLE_ARRAY_MEMBER];
} ChatroomControl;

extern ChatroomControl *chatroom_control;

/* Attach to the control struct, making it on first use. */
extern void chatroom_attach_control(void);

/* Shared memory is of another library than this process has loaded. */
CHATROOM_NORETURN extern void chatroom_refuse_layout(const char *found);

/* For _PG_init under shared_preload_libraries. */
extern void chatroom_request_control(void);

/* Set the tailer's latch, if it runs. */
extern void chatroom_wake_tailer(void);

/*
 * Called by whoever logs a message: makes the commit of this transaction wake
 * the tailer, and tells the first LSN that pending() has to read from.
 */
extern void chatroom_note_message(XLogRecPtr lsn);

/* Have WAL flushed up to lsn, by the tailer: nobody waits for it. */
extern void chatroom_want_flush(XLogRecPtr lsn);

extern void chatroom_note_suppressed(void);
extern XLogRecPtr chatroom_first_message(void);

#endif							/* CHATROOM_MEMORY_H */
