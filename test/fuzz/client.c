/*-------------------------------------------------------------------------
 *
 * client.c
 *	  Fuzzes how the terminal client reads answers, and shows what is in them.
 *
 * Whatever a server sends, nothing past its end is read, and nothing that is
 * printed steers the terminal.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define MAX_DEPTH	100

/* What is printed has no control characters, and is UTF-8. */
static void
check_printed(const char *text)
{
	while (*text)
	{
		int32_t code;
		size_t len = next_code(text, &code);

		CHECK(code >= 0x20 && !is_control(code));
		text += len;
	}
}

/* All lines that a text is broken into are the text, and end. */
static void
check_lines(const char *text, int width)
{
	int sum = 0;

	for (const char *from = text; *from;)
	{
		size_t n = text_fit(from, width, true);

		CHECK(n > 0 && n <= strlen(from));
		from += n;
		sum++;
	}
	CHECK(sum <= (int) strlen(text));
	CHECK(text_width(text) >= 0);
}

/* Go through a value as the client goes through answers. */
static void
walk(Json value, int depth)
{
	Json key;
	Json part = {NULL, 0};
	char *text = json_text(value);

	if (text)
	{
		char *escaped = escape_text(text, false);

		check_printed(escaped);
		check_lines(escaped, 1);
		check_lines(escaped, 20);
		free(escaped);
		free(text);
	}
	if (depth == MAX_DEPTH)
		return;
	while (json_next(value, &part))
		walk(part, depth + 1);
	part.text = NULL;
	while (json_next_member(value, &key, &part))
	{
		walk(key, MAX_DEPTH);
		walk(part, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* as libpq has it: with a null byte behind it, and none before */
	char *text = need(malloc(size + 1));
	char *printed;
	size_t len;
	FILE *to = open_memstream(&printed, &len);
	Json value;

	memcpy(text, data, size);
	text[size] = '\0';
	value = json_value(text);
	walk(value, 0);
	if (value.text)
		json_print(value, to);
	fclose(to);
	CHECK(memchr(printed, '\n', len) == NULL || printed[len - 1] == '\n');
	free(printed);
	free(text);
	return 0;
}

void
write_seeds(void)
{
	static const char *const seeds[] = {
		"{\"cursor\":\"1-8b\",\"reset\":false,\"more\":false,\"events\":["
		"{\"type\":\"insert\",\"key\":{\"id\":1},\"row\":{\"id\":1,"
		"\"text\":\"a \\u001b[2J \\ud83d\\ude00 \\n\",\"n\":1.50e3},"
		"\"old\":null,\"changed\":[\"text\"]}]}",
		"{\"presence\":{\"alice\":{\"metas\":[{\"phx_ref\":\"0a\","
		"\"typing\": true}]}},\"messages\":[],\"end_reached\":true}",
		"[\"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xe2\x80\xae\"]"
	};

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++)
	{
		char name[20];

		snprintf(name, sizeof(name), "seed%zu", i);
		LLVMFuzzerTestOneInput((const uint8_t *) seeds[i],
							   strlen(seeds[i]));
		write_seed(name, seeds[i], strlen(seeds[i]));
	}
}
