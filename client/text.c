/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Memory, time, signals, and text that is safe to print.
 *
 * What other users and servers write must not steer the terminal: control
 * characters and those that turn the direction of writing are shown, not sent.
 * Widths are those of utf8proc, by grapheme: an emoji made of several code
 * points is as wide as its first.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

/* Signals' numbers go through here, so that poll() sees them. */
static int	signal_pipe[2] = {-1, -1};

static void print_message(const char *format, va_list args)
	__attribute__((format(printf, 1, 0)));

/* Print a message of ours to standard error, what is in it escaped. */
static void
print_message(const char *format, va_list args)
{
	char	   *message;
	char	   *escaped;

	if (vasprintf(&message, format, args) < 0)
		abort();
	escaped = escape_text(message, true);
	fflush(stdout);
	fprintf(stderr, "chatroom: %s\n", escaped);
	free(escaped);
	free(message);
}

/* Say what is wrong. */
void
complain(const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	print_message(format, args);
	va_end(args);
}

/* Say what is wrong, and end. */
void
die(const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	print_message(format, args);
	va_end(args);
	exit(EXIT_TROUBLE);
}

/* Memory that was asked for. */
void *
need(void *memory)
{
	if (memory == NULL)
	{
		fputs("chatroom: out of memory\n", stderr);
		exit(EXIT_TROUBLE);
	}
	return memory;
}

/* A copy of a text; NULL of none. */
char *
copy_text(const char *text)
{
	return text ? need(strdup(text)) : NULL;
}

/* A text as of printf.  malloc'd. */
char *
format_text(const char *format, ...)
{
	va_list		args;
	char	   *text;
	int			len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	return need(len < 0 ? NULL : text);
}

/* Milliseconds of a clock that nobody sets. */
int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
note_signal(int signal_number)
{
	int			errno_before = errno;
	unsigned char byte = signal_number;

	/* a full pipe has told it already */
	if (write(signal_pipe[1], &byte, 1) < 0)
		errno = errno_before;
	errno = errno_before;
}

/*
 * Have signals, a list that ends with 0, told by caught_signal().  Returns
 * what to poll for reading.  A second one to end us ends us, if we hang.
 */
int
catch_signals(const int *signals)
{
	if (pipe(signal_pipe) != 0)
		die("could not create a pipe: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
	{
		fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK);
		fcntl(signal_pipe[i], F_SETFD, FD_CLOEXEC);
	}
	for (; *signals; signals++)
	{
		struct sigaction action = {0};
		bool		ends = *signals == SIGINT || *signals == SIGTERM ||
			*signals == SIGHUP;

		action.sa_handler = note_signal;
		action.sa_flags = SA_RESTART | (ends ? SA_RESETHAND : 0);
		sigaction(*signals, &action, NULL);
	}
	return signal_pipe[0];
}

/* The next signal that came; 0: none. */
int
caught_signal(void)
{
	unsigned char byte;

	return read(signal_pipe[0], &byte, 1) == 1 ? byte : 0;
}

/* We speak UTF-8, whatever the locale is. */
void
use_utf8(void)
{
	setlocale(LC_ALL, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
	/* numbers are PostgreSQL's */
	setlocale(LC_NUMERIC, "C");
}

/* Would this code point steer the terminal, or hide in the line? */
bool
is_control(int32_t code)
{
	switch (utf8proc_category(code))
	{
		case UTF8PROC_CATEGORY_CC:
		case UTF8PROC_CATEGORY_CS:
		case UTF8PROC_CATEGORY_ZL:
		case UTF8PROC_CATEGORY_ZP:
			return true;
		default:
			break;
	}
	return code == 0x061C || code == 0x200E || code == 0x200F ||
		(code >= 0x202A && code <= 0x202E) ||
		(code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

/* Read a code point; a byte that is none of UTF-8 comes as a negative one. */
size_t
next_code(const char *text, int32_t *code)
{
	utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *) text,
											-1, code);

	if (len > 0)
		return len;
	*code = -1;
	return 1;
}

/*
 * A text in which nothing steers the terminal: \x1b, \u{202e}.  With lines,
 * line ends and tabs stay.  malloc'd.
 */
char *
escape_text(const char *text, bool lines)
{
	size_t		len = strlen(text);
	char	   *escaped = need(malloc(8 * len + 1));
	char	   *to = escaped;

	while (*text)
	{
		utf8proc_int32_t code;
		size_t		n = next_code(text, &code);

		if (code < 0)
			to += sprintf(to, "\\x%02x", (unsigned char) *text);
		else if (lines && (code == '\n' || code == '\t'))
			*to++ = *text;
		else if (code == '\n')
			to += sprintf(to, "\\n");
		else if (code == '\t')
			to += sprintf(to, "\\t");
		else if (is_control(code))
			to += sprintf(to, code < 0x80 ? "\\x%02x" : "\\u{%x}",
						  (unsigned int) code);
		else
		{
			memcpy(to, text, n);
			to += n;
		}
		text += n;
	}
	*to = '\0';
	return escaped;
}

/* The grapheme that a text begins with: its bytes, and columns. */
static size_t
next_grapheme(const char *text, int *width)
{
	utf8proc_int32_t state = 0;
	utf8proc_int32_t code;
	utf8proc_int32_t next;
	size_t		len = next_code(text, &code);

	*width = code < 0 ? 1 : utf8proc_charwidth(code);
	while (text[len])
	{
		size_t		n = next_code(text + len, &next);

		if (code < 0 || next < 0 ||
			utf8proc_grapheme_break_stateful(code, next, &state))
			break;
		/* U+FE0F asks for the coloured, wide form */
		if (next == 0xFE0F || utf8proc_charwidth(next) > *width)
			*width = 2;
		code = next;
		len += n;
	}
	return len;
}

/* How many columns a text takes. */
int
text_width(const char *text)
{
	int			sum = 0;

	while (*text)
	{
		int			width;

		text += next_grapheme(text, &width);
		sum += width;
	}
	return sum;
}

/*
 * How many bytes of a text fit into so many columns, a grapheme at least; with
 * words, whole words if one fits.
 */
size_t
text_fit(const char *text, int width, bool words)
{
	size_t		len = 0;
	size_t		word_end = 0;
	int			sum = 0;

	while (text[len])
	{
		int			w;
		size_t		n = next_grapheme(text + len, &w);

		if (text[len] == ' ' && len > 0)
			word_end = len;
		if (sum + w > width && len > 0)
			return words && word_end > 0 ? word_end : len;
		sum += w;
		len += n;
	}
	return len;
}
