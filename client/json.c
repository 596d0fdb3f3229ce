/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Read the server's answers, piece by piece.
 *
 * A value is a piece of the answer's text: so numbers of any size keep all
 * their digits, and what is passed on is passed on as it came.  The text ends
 * with a null byte and is what a server sent; if it is no JSON, values are
 * missing, but nothing past its end is read.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

static const char *
skip_blanks(const char *text)
{
	return text + strspn(text, " \t\r\n");
}

/* Where a string ends that begins here, after its closing quote. */
static const char *
skip_string(const char *text)
{
	for (text++; *text && *text != '"'; text++)
	{
		if (*text == '\\' && text[1])
			text++;
	}
	return *text ? text + 1 : text;
}

/* Where a value ends that begins here. */
static const char *
skip_value(const char *text)
{
	int			depth = 0;

	do
	{
		text = skip_blanks(text);
		switch (*text)
		{
			case '\0':
				return text;
			case '"':
				text = skip_string(text);
				break;
			case '{':
			case '[':
				depth++;
				text++;
				break;
			case '}':
			case ']':
				if (depth == 0)
					return text;
				depth--;
				text++;
				break;
			case ',':
			case ':':
				if (depth == 0)
					return text;
				text++;
				break;
			default:
				text += strcspn(text, " \t\r\n\",:{}[]");
				break;
		}
	} while (depth > 0);
	return text;
}

/* The value that a text begins with. */
Json
json_value(const char *text)
{
	Json		value = {skip_blanks(text), 0};

	value.len = skip_value(value.text) - value.text;
	if (value.len == 0)
		value.text = NULL;
	return value;
}

static bool
json_begins(Json value, char c)
{
	return value.text != NULL && value.text[0] == c;
}

/* The element after this one; the first after one without text. */
bool
json_next(Json array, Json *element)
{
	const char *from;

	if (!json_begins(array, '['))
		return false;
	if (element->text == NULL)
		from = array.text + 1;
	else
	{
		from = skip_blanks(element->text + element->len);
		if (*from++ != ',')
			return false;
	}
	*element = json_value(from);
	return element->text != NULL;
}

/* The member after that of *value; the first if that has no text. */
bool
json_next_member(Json object, Json *key, Json *value)
{
	const char *from;

	if (!json_begins(object, '{'))
		return false;
	if (value->text == NULL)
		from = object.text + 1;
	else
	{
		from = skip_blanks(value->text + value->len);
		if (*from++ != ',')
			return false;
	}
	*key = json_value(from);
	if (!json_begins(*key, '"'))
		return false;
	from = skip_blanks(key->text + key->len);
	if (*from++ != ':')
		return false;
	*value = json_value(from);
	return value->text != NULL;
}

/* The value of an object's key; keys with escapes are none of ours. */
Json
json_get(Json object, const char *key)
{
	Json		name;
	Json		value = {NULL, 0};
	size_t		len = strlen(key);

	while (json_next_member(object, &name, &value))
	{
		if (name.len == len + 2 && memcmp(name.text + 1, key, len) == 0)
			return value;
	}
	return (Json){NULL, 0};
}

/* Four hexadecimal digits; -1: there are none. */
static long
read_hex(const char *text)
{
	char		digits[5];
	char	   *end;
	long		code;

	memcpy(digits, text, 4);
	digits[4] = '\0';
	code = strtol(digits, &end, 16);
	return strspn(digits, "0123456789abcdefABCDEF") == 4 ? code : -1;
}

/* Write a code point as UTF-8; returns its end. */
static char *
write_utf8(char *to, long code)
{
	/* neither half a pair nor a null byte is a character */
	if (code <= 0 || (code >= 0xD800 && code <= 0xDFFF))
		code = 0xFFFD;
	if (code < 0x80)
		*to++ = code;
	else if (code < 0x800)
	{
		*to++ = 0xC0 | (code >> 6);
		*to++ = 0x80 | (code & 0x3F);
	}
	else if (code < 0x10000)
	{
		*to++ = 0xE0 | (code >> 12);
		*to++ = 0x80 | ((code >> 6) & 0x3F);
		*to++ = 0x80 | (code & 0x3F);
	}
	else
	{
		*to++ = 0xF0 | (code >> 18);
		*to++ = 0x80 | ((code >> 12) & 0x3F);
		*to++ = 0x80 | ((code >> 6) & 0x3F);
		*to++ = 0x80 | (code & 0x3F);
	}
	return to;
}

/* An escape, after its backslash; returns where reading goes on. */
static const char *
read_escape(const char *from, const char *end, char **to)
{
	long		code;

	switch (*from)
	{
		case 'b':
			*(*to)++ = '\b';
			return from + 1;
		case 'f':
			*(*to)++ = '\f';
			return from + 1;
		case 'n':
			*(*to)++ = '\n';
			return from + 1;
		case 'r':
			*(*to)++ = '\r';
			return from + 1;
		case 't':
			*(*to)++ = '\t';
			return from + 1;
		case 'u':
			if (end - from < 5)
				return end;
			code = read_hex(from + 1);
			from += 5;
			if (code >= 0xD800 && code <= 0xDBFF && end - from >= 6 &&
				from[0] == '\\' && from[1] == 'u')
			{
				long		low = read_hex(from + 2);

				if (low >= 0xDC00 && low <= 0xDFFF)
				{
					code = 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00;
					from += 6;
				}
			}
			*to = write_utf8(*to, code);
			return from;
		default:
			*(*to)++ = *from;
			return from + 1;
	}
}

/* A string's text, or a number as it is written; NULL for null.  malloc'd. */
char *
json_text(Json value)
{
	char	   *text;
	char	   *to;
	const char *from;
	const char *end;

	if (json_null(value))
		return NULL;
	text = to = need(malloc(value.len + 1));
	if (value.text[0] != '"')
	{
		memcpy(text, value.text, value.len);
		text[value.len] = '\0';
		return text;
	}

	/* no escape is longer than what it stands for */
	end = value.text + value.len;
	if (value.len > 1 && end[-1] == '"')
		end--;
	for (from = value.text + 1; from < end;)
	{
		if (*from == '\\' && from + 1 < end)
			from = read_escape(from + 1, end, &to);
		else
			*to++ = *from++;
	}
	*to = '\0';
	return text;
}

/* Is it a string with this text, or a number so written? */
bool
json_is(Json value, const char *text)
{
	char	   *what = json_text(value);
	bool		same = what != NULL && strcmp(what, text) == 0;

	free(what);
	return same;
}

bool
json_true(Json value)
{
	return value.text != NULL && value.len == 4 &&
		memcmp(value.text, "true", 4) == 0;
}

/* Is there no value, or null? */
bool
json_null(Json value)
{
	return value.text == NULL ||
		(value.len == 4 && memcmp(value.text, "null", 4) == 0);
}

/* Are they written alike? */
bool
json_same(Json a, Json b)
{
	return a.text != NULL && b.text != NULL && a.len == b.len &&
		memcmp(a.text, b.text, a.len) == 0;
}

/*
 * Print a value and a line end, on one line: blanks between values may be line
 * ends.  Characters that would steer a terminal become escapes, which mean the
 * same; below U+0020 JSON has none.
 */
void
json_print(Json value, FILE *to)
{
	const char *end = value.text + value.len;

	for (const char *from = value.text; from < end;)
	{
		int32_t		code;
		size_t		len = next_code(from, &code);

		if (code == '\n' || code == '\r' || code == '\t')
			fputc(' ', to);
		else if (code >= 0 && code < 0x10000 && is_control(code))
			fprintf(to, "\\u%04x", (unsigned int) code);
		else
			fwrite(from, 1, len, to);
		from += len;
	}
	fputc('\n', to);
}
