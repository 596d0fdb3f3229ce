/*-------------------------------------------------------------------------
 *
 * graphemes.c
 *	  Fuzzes the lengths of texts.
 *
 * The first byte chooses the database's encoding, half of the times UTF-8.
 * The fast ways of counting must come to what asking utf8proc about each pair
 * of codepoints does, and nothing past a text's end is read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <utf8proc.h>

#include "base/graphemes.h"
#include "fuzz.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

static int encoding = PG_UTF8;
volatile sig_atomic_t InterruptPending = false;

int
GetDatabaseEncoding(void)
{
	return encoding;
}

int
pg_mblen(const char *text)
{
	return pg_encoding_mblen(encoding, text);
}

void
ProcessInterrupts(void)
{
	abort();
}

/* Read one codepoint; what is no UTF-8 is one U+FFFD a byte. */
static int
read_codepoint(const uint8_t *text, size_t len, utf8proc_int32_t *codepoint)
{
	utf8proc_ssize_t used = utf8proc_iterate(text, len, codepoint);

	if (used > 0)
		return used;
	*codepoint = 0xFFFD;
	return 1;
}

/* The same, without haste. */
static void
count_slowly(const uint8_t *text, size_t len, int64 *graphemes,
			 int64 *codepoints)
{
	utf8proc_int32_t state = 0;
	utf8proc_int32_t last;
	utf8proc_int32_t next;

	*graphemes = *codepoints = 0;
	for (size_t pos = 0; pos < len; last = next, (*codepoints)++)
	{
		pos += read_codepoint(text + pos, len - pos, &next);
		if (pos > 0 && *codepoints == 0)
			*graphemes = 1;
		else if (utf8proc_grapheme_break_stateful(last, next, &state))
			(*graphemes)++;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data + 1;
	int len = (int) size - 1;
	int64 graphemes;
	int64 codepoints;
	bool blank;

	if (size == 0)
		return 0;
	encoding = data[0] & 1 ? (data[0] >> 1) % (PG_ENCODING_BE_LAST + 1) :
		PG_UTF8;
	graphemes = chatroom_count_graphemes(text, len);
	codepoints = chatroom_count_codepoints(text, len);
	blank = chatroom_is_blank(text, len);

	CHECK(graphemes <= codepoints && codepoints <= len);
	CHECK((graphemes == 0) == (len == 0));
	CHECK(len > 0 || blank);
	if (encoding == PG_UTF8)
	{
		int64 slow_graphemes;
		int64 slow_codepoints;

		count_slowly(data + 1, len, &slow_graphemes, &slow_codepoints);
		CHECK(graphemes == slow_graphemes);
		CHECK(codepoints == slow_codepoints);
	}
	return 0;
}

/* A seed in UTF-8, and in an encoding of bytes in pairs. */
static void
write_text(const char *name, const char *text)
{
	char input[128];
	char file[64];
	int len = snprintf(input, sizeof(input), "%c%s", PG_UTF8 << 1, text);

	write_seed(name, input, len);
	snprintf(file, sizeof(file), "%s-euc", name);
	input[0] = PG_EUC_JP << 1 | 1;
	write_seed(file, input, len);
}

void
write_seeds(void)
{
	write_text("empty", "");
	write_text("ascii", "Hello, world! How are you?");
	write_text("crlf", "one\r\ntwo\r\rthree\n\r\n\nfour and more\r\n");
	write_text("blank", " \t\xc2\xa0\xe3\x80\x80\xe2\x80\xa8");
	write_text("combining", "12345678e\xcc\x81\xcc\xb2z\xcc\x81 abcdefgh");
	write_text("emoji",
			   "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d"
			   "\xf0\x9f\x91\xa7 \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd");
	write_text("flags", "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab"
						"\xf0\x9f\x87\xb7\xf0\x9f\x87\xaa");
	write_text("hangul", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\xea\xb0\x80");
	write_text("indic", "\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xb7\xe0\xa4\xbf");
	write_text("prepend", "\xd8\x80\xd8\xb1 a\xe2\x80\x8d" "b");
	write_text("broken", "\xe2\x82 \xff\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80");
}
