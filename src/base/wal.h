/*-------------------------------------------------------------------------
 *
 * wal.h
 *	  Reading WAL as it grows, or up to an end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_WAL_H
#define CHATROOM_WAL_H

#include "postgres.h"

#include "access/xlogreader.h"

/* Called where all WAL up to "available" was handed out. */
typedef void (*WalWaitCallback) (XLogRecPtr available, TimeLineID tli);

extern XLogReaderState *chatroom_open_wal(WalWaitCallback wait);
extern void chatroom_trim_wal(XLogReaderState *reader);
extern void chatroom_begin_wal(XLogReaderState *reader, XLogRecPtr lsn);
extern void chatroom_close_wal(XLogReaderState *reader);

/*
 * The end of what may be read, flushed or replayed, and the timeline it is on
 * unless that is NULL.  All that others can see ends before, but for commits
 * that did not wait for the disk.
 */
extern XLogRecPtr chatroom_available_wal(TimeLineID *tli);

/*
 * An LSN by which all that ends now has its record: the end of WAL, or on a
 * standby of what is being replayed.
 */
extern XLogRecPtr chatroom_wal_position(void);

/* Start of the oldest segment that the server has not removed. */
extern XLogRecPtr chatroom_oldest_wal(void);

#endif							/* CHATROOM_WAL_H */
