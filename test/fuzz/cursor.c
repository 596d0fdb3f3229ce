/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  Fuzzes the reading of cursors, and the judgement of what they say.
 *
 * What was read is written and read again, which must come to the same text;
 * and is judged against a history of two timelines and two incarnations.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/cursor.h"
#include "base/memory.h"
#include "fuzz.h"

/* Timeline 2 began at 0x3000, incarnation 0xb after 0x4000. */
static void
make_history(void)
{
	chatroom_control->cursor_epoch = 1;
	chatroom_control->tli = 2;
	chatroom_control->ntimelines = 1;
	chatroom_control->timelines[0] = (TimelineSwitch){
		1, 0x3000};
	chatroom_control->nincarnations = 2;
	chatroom_control->incarnations[0] = (Incarnation){
		0xa, 0x1000};
	chatroom_control->incarnations[1] = (Incarnation){
		0xb, 0x4000};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Cursor cursor;
	Cursor own;
	StringInfoData text;
	CursorCheck check;

	make_history();
	if (!chatroom_parse_cursor((const char *) data, (int) size, &cursor))
		return 0;
	CHECK(cursor.nholes >= 0 && cursor.nholes <= CURSOR_MAX_HOLES);
	for (int i = 0; i < cursor.nholes; i++)
		CHECK(cursor.holes[i] < cursor.lsn &&
			  (i == 0 || cursor.holes[i - 1] < cursor.holes[i]));

	/* leading zeros are read, but not written */
	initStringInfo(&text);
	chatroom_append_cursor(&text, &cursor);
	CHECK(text.len <= (int) size && text.len <= CURSOR_MAX_TEXT);
	CHECK(chatroom_parse_cursor(text.data, text.len, &own));
	CHECK(own.lsn == cursor.lsn && own.tli == cursor.tli &&
		  own.incarnation == cursor.incarnation &&
		  own.nholes == cursor.nholes);

	/* one that we would have issued is good, and no other at its place is */
	check = chatroom_check_cursor(&cursor, 0x8000);
	chatroom_make_cursor(cursor.lsn, &own);
	CHECK(chatroom_check_cursor(&own, PG_UINT64_MAX) == CURSOR_GOOD);
	if (cursor.lsn > 0x8000)
		CHECK(check != CURSOR_GOOD);
	if (check == CURSOR_GOOD)
		CHECK(own.system == cursor.system && own.dboid == cursor.dboid);
	if (check == CURSOR_GOOD && cursor.lsn > 0x4000)
		CHECK(own.incarnation == cursor.incarnation);
	if (check == CURSOR_GOOD && cursor.lsn > 0x3000)
		CHECK(own.tli == cursor.tli);
	forget_memory();
	return 0;
}

void
write_seeds(void)
{
	static const XLogRecPtr places[] = {0x500, 0x2000, 0x3800, 0x5000, 0x9000};
	Cursor cursor;
	StringInfoData text;

	make_history();
	for (int i = 0; i < (int) lengthof(places); i++)
	{
		char name[16];

		initStringInfo(&text);
		chatroom_make_cursor(places[i], &cursor);
		for (int j = 0; j < i; j++)
			cursor.holes[cursor.nholes++] = 0x100 * (j + 1);
		chatroom_append_cursor(&text, &cursor);
		snprintf(name, sizeof(name), "cursor%d", i);
		write_seed(name, text.data, text.len);
	}
}
