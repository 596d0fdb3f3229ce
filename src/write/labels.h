/*-------------------------------------------------------------------------
 *
 * labels.h
 *	  What a label must not take from others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_LABELS_H
#define CHATROOM_LABELS_H

#include "postgres.h"

/*
 * Until the transaction ends nobody else makes a label, or grants topics that
 * one might take.
 */
extern void chatroom_lock_labels(void);

/* Refuse a new label that would take topics that somebody uses: 55006. */
extern void chatroom_check_label_unused(const char *label);

/*
 * Refuse a new label that would take topics that are granted, or another
 * label's: 42710.  The labels are locked.
 */
extern void chatroom_check_label_free(const char *label);

/* Refuse to grant topics that are a label's: 42939.  The labels are locked. */
extern void chatroom_check_pattern_free(const char *pattern, int len);

#endif							/* CHATROOM_LABELS_H */
