/*-------------------------------------------------------------------------
 *
 * wal.c
 *	  Reading WAL as it grows, or up to an end.
 *
 * An XLogReader whose page callback hands out what is flushed (on a standby:
 * replayed), and where there is no more of it calls back to wait.  Waiting
 * inside the callback means that the tailer's reader never meets an end of
 * WAL, so it need not be reset after one.
 *
 * Readers with an end read a large transaction again, and pending()'s own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "base/wal.h"
#include "miscadmin.h"

/* A reader's buffer for records that cross pages may stay as large. */
#define RECORD_BUFFER	(1024 * 1024)

/* The reader's private data. */
typedef struct WalSource
{
	WalWaitCallback wait;		/* NULL: stop at the end of WAL */
} WalSource;

/* The end of what may be read, and the timeline it is on. */
XLogRecPtr
chatroom_available_wal(TimeLineID *tli)
{
	if (RecoveryInProgress())
		return GetXLogReplayRecPtr(tli);
	return GetFlushRecPtr(tli);
}

/* Read a page of WAL, waiting for it where the reader has no end. */
static int
read_page(XLogReaderState *reader, XLogRecPtr page, int needed,
		  XLogRecPtr record, char *buffer)
{
	WalSource  *source = (WalSource *) reader->private_data;
	XLogRecPtr	available;
	TimeLineID	tli;
	WALReadError error;
	int			count = XLOG_BLCKSZ;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		available = chatroom_available_wal(&tli);
		if (page + needed <= available)
			break;
		if (source->wait == NULL)
			return -1;
		source->wait(available, tli);
	}

	XLogReadDetermineTimeline(reader, page, needed, tli);

	/* on a historic timeline all of the page is there, up to its end */
	if (reader->currTLI != tli &&
		reader->currTLIValidUntil != InvalidXLogRecPtr)
		available = reader->currTLIValidUntil;
	if (page + XLOG_BLCKSZ > available)
		count = (int) (available - page);
	if (count < needed)
		return -1;
	if (!WALRead(reader, buffer, page, count, reader->currTLI, &error))
		WALReadRaiseError(&error);
	return count;
}

/*
 * Make a reader; wait is called where it has no more WAL, or it stops there
 * where that is NULL.
 */
XLogReaderState *
chatroom_open_wal(WalWaitCallback wait)
{
	XLogReaderState *reader;
	WalSource  *source = palloc(sizeof(WalSource));

	source->wait = wait;
	reader = XLogReaderAllocate(wal_segment_size, NULL,
								XL_ROUTINE(.page_read = read_page,
										   .segment_open = wal_segment_open,
										   .segment_close = wal_segment_close),
								source);
	if (reader == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed while allocating a WAL reading processor.")));
	return reader;
}

/*
 * The reader keeps a buffer as large as the largest record that it met, which
 * anybody may log: let go one that a rare record made large.  What was read
 * last stays valid.
 */
void
chatroom_trim_wal(XLogReaderState *reader)
{
	if (reader->readRecordBufSize <= RECORD_BUFFER)
		return;
	pfree(reader->readRecordBuf);
	reader->readRecordBuf = palloc(RECORD_BUFFER);
	reader->readRecordBufSize = RECORD_BUFFER;
}

/*
 * Read from an LSN on: the beginning of a record, or the end of one.  At a
 * page's start a record begins behind the page's header.
 */
void
chatroom_begin_wal(XLogReaderState *reader, XLogRecPtr lsn)
{
	if (XLogSegmentOffset(lsn, wal_segment_size) == 0)
		lsn += SizeOfXLogLongPHD;
	else if (lsn % XLOG_BLCKSZ == 0)
		lsn += SizeOfXLogShortPHD;
	XLogBeginRead(reader, lsn);
}

void
chatroom_close_wal(XLogReaderState *reader)
{
	pfree(reader->private_data);
	XLogReaderFree(reader);
}

/* Start of the oldest segment that the server has not removed. */
XLogRecPtr
chatroom_oldest_wal(void)
{
	XLogRecPtr	oldest;

	XLogSegNoOffsetToRecPtr(XLogGetLastRemovedSegno() + 1, 0,
							wal_segment_size, oldest);
	return oldest;
}

/*
 * Where WAL ends, or replay has come to; see wal.h.  At a page's start the
 * insert position stands behind the page's header, where no record ends and
 * no flush can get to.
 */
XLogRecPtr
chatroom_wal_position(void)
{
	XLogRecPtr	here;
	TimeLineID	tli;

	if (RecoveryInProgress())
		return GetCurrentReplayRecPtr(&tli);
	here = GetXLogInsertRecPtr();
	if (XLogSegmentOffset(here, wal_segment_size) == SizeOfXLogLongPHD)
		here -= SizeOfXLogLongPHD;
	else if (here % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		here -= SizeOfXLogShortPHD;
	return here;
}
