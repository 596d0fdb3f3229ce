/*-------------------------------------------------------------------------
 *
 * graphemes.c
 *	  Lengths of texts.
 *
 * Extended grapheme clusters as UAX #29 defines them, found with utf8proc: a
 * small library that the Julia project maintains.  ICU would do, too, but
 * takes two to four times as long for texts of a chat's length, and 0.2 ms to
 * begin with.  What needs no library takes no time in it: ASCII is counted
 * eight bytes at a time, and between two codepoints under U+0300 there always
 * is a boundary, but between CR and LF.
 *
 * Which Unicode that is, utf8proc decides: 15.0 in Debian 12, where conjuncts
 * of Indic scripts (one cluster since 15.1) still count as their parts.
 *
 * Bytes that are no UTF-8 count as one each, as U+FFFD would.  In a database
 * with another encoding than UTF8 a grapheme is a character of the encoding;
 * CR LF is one there, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <utf8proc.h>

#include "base/graphemes.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

/* All under this are boundaries to each other, but CR LF. */
#define FIRST_COMBINING		0x300

#define NOT_UTF8			0xFFFD

/* Bytes between two looks for interrupts. */
#define STRIDE				(64 * 1024)

/* Do eight bytes have one that is not ASCII, or a CR? */
static inline bool
is_plain(const char *text)
{
	uint64		word;
	uint64		cr;

	memcpy(&word, text, sizeof(word));
	if (word & UINT64CONST(0x8080808080808080))
		return false;

	/* a zero byte where there was a CR: with no high bits this is exact */
	cr = word ^ UINT64CONST(0x0D0D0D0D0D0D0D0D);
	return ((cr - UINT64CONST(0x0101010101010101)) &
			UINT64CONST(0x8080808080808080)) == 0;
}

/* Decode one codepoint; returns its bytes. */
static inline int
decode(const char *text, int len, int32 *codepoint)
{
	utf8proc_ssize_t used;

	if (!IS_HIGHBIT_SET(*text))
	{
		*codepoint = *text;
		return 1;
	}
	used = utf8proc_iterate((const utf8proc_uint8_t *) text, len, codepoint);
	if (used > 0)
		return used;
	*codepoint = NOT_UTF8;
	return 1;
}

/* Count in UTF-8. */
static int64
count_utf8(const char *text, int len)
{
	int64		count = 0;
	int			pos = 0;
	int			look = STRIDE;
	int32		last = '\n';	/* nothing sticks to it */
	utf8proc_int32_t state = 0;

	while (pos < len)
	{
		int32		next;

		if (last < FIRST_COMBINING && last != '\r' && pos + 8 <= len &&
			is_plain(text + pos))
		{
			count += 8;
			pos += 8;
			last = text[pos - 1];
			state = 0;
			continue;
		}
		if (unlikely(pos >= look))
		{
			CHECK_FOR_INTERRUPTS();
			look = pos + STRIDE;
		}
		pos += decode(text + pos, len - pos, &next);
		if (last < FIRST_COMBINING && next < FIRST_COMBINING)
		{
			if (last != '\r' || next != '\n')
				count++;
			state = 0;
		}
		else if (count == 0 ||
				 utf8proc_grapheme_break_stateful(last, next, &state))
			count++;
		last = next;
	}
	return count;
}

/* The bytes of one character of another encoding. */
static int
character_length(const char *text, const char *end)
{
	char		last[MAX_MULTIBYTE_CHAR_LEN] = {0};

	/* what is cut off at the end must not make us look beyond it */
	if (end - text < sizeof(last))
	{
		memcpy(last, text, end - text);
		text = last;
	}
	return pg_mblen(text);
}

/* Count in another encoding. */
static int64
count_characters(const char *text, int len, bool join_crlf)
{
	int64		count = 0;
	const char *end = text + len;
	const char *look = text + STRIDE;

	while (text < end)
	{
		int			used = character_length(text, end);

		if (join_crlf && *text == '\r' && end - text > 1 && text[1] == '\n')
			used = 2;
		text += Min(Max(used, 1), end - text);
		count++;
		if (unlikely(text >= look))
		{
			CHECK_FOR_INTERRUPTS();
			look = text + STRIDE;
		}
	}
	return count;
}

/* How many graphemes a text has. */
int64
chatroom_count_graphemes(const char *text, int len)
{
	return GetDatabaseEncoding() == PG_UTF8 ? count_utf8(text, len) :
		count_characters(text, len, true);
}

/* How many codepoints a text has. */
int64
chatroom_count_codepoints(const char *text, int len)
{
	int64		count = 0;
	int32		codepoint;

	if (GetDatabaseEncoding() != PG_UTF8)
		return count_characters(text, len, false);
	for (int pos = 0; pos < len; count++)
		pos += decode(text + pos, len - pos, &codepoint);
	return count;
}

/* Unicode's White_Space. */
static bool
is_space(int32 codepoint)
{
	return (codepoint >= 0x09 && codepoint <= 0x0D) || codepoint == ' ' ||
		codepoint == 0x85 || codepoint == 0xA0 || codepoint == 0x1680 ||
		(codepoint >= 0x2000 && codepoint <= 0x200A) ||
		codepoint == 0x2028 || codepoint == 0x2029 || codepoint == 0x202F ||
		codepoint == 0x205F || codepoint == 0x3000;
}

/* Is a text empty, but for white space? */
bool
chatroom_is_blank(const char *text, int len)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;
	int			pos = 0;

	while (pos < len)
	{
		int32		codepoint = (unsigned char) text[pos];

		if (utf8)
			pos += decode(text + pos, len - pos, &codepoint);
		else
		{
			if (codepoint >= 0x80)
				return false;
			pos++;
		}
		if (!is_space(codepoint))
			return false;
	}
	return true;
}
