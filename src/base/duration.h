/*-------------------------------------------------------------------------
 *
 * duration.h
 *	  Intervals that callers give as durations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_DURATION_H
#define CHATROOM_DURATION_H

#include "postgres.h"

#include "datatype/timestamp.h"

/*
 * Microseconds of an interval; a month has 30 days.  Raises 22023 for what is
 * negative, infinite, or longer than a hundred years.
 */
extern int64 chatroom_duration(const Interval *interval, const char *name);

#endif							/* CHATROOM_DURATION_H */
