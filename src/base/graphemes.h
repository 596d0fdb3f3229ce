/*-------------------------------------------------------------------------
 *
 * graphemes.h
 *	  Lengths of texts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_GRAPHEMES_H
#define CHATROOM_GRAPHEMES_H

#include "postgres.h"

/* How many graphemes (what a reader calls characters) a text has. */
extern int64 chatroom_count_graphemes(const char *text, int len);

/* How many codepoints a text has. */
extern int64 chatroom_count_codepoints(const char *text, int len);

/* Is a text empty, but for white space at its beginning? */
extern bool chatroom_is_blank(const char *text, int len);

#endif							/* CHATROOM_GRAPHEMES_H */
