/*-------------------------------------------------------------------------
 *
 * screen.c
 *	  The terminal: lines that come, above the line that is being edited.
 *
 * readline's alternate interface: whoever prints takes the edited line off the
 * screen, and has it drawn again below.  Where input or output is no terminal,
 * lines are read and printed as they come, one line for each message.
 *
 * Return takes the line off the screen instead of leaving it there: the
 * message will be shown when it comes back as an event, as everybody sees it.
 * Ctrl-C is a key, which empties the line; on an empty one it quits, as Ctrl-D
 * does.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#if !defined(RL_READLINE_VERSION) || RL_READLINE_VERSION < 0x0700
#error "the terminal client needs GNU readline 7 or newer: install libreadline-dev, or say make with_client=no"
#endif

/* Columns of the prompt that tell what goes on. */
#define STATUS_WIDTH	40

/* Continued lines begin below what follows the time. */
#define INDENT			6

static bool interactive;
static bool colours;
static bool ended;				/* no more input */
static bool in_callback;		/* the edited line is not on the screen */
static bool held;				/* when it is taken off, it stays off ... */
static bool hidden;				/* ... and was */
static char *own_name;			/* escaped */
static char *status_text;		/* escaped, or NULL */
static char *last_line;			/* what was edited when last asked */
static void (*line_taker) (char *line);
static const char *(*next_name) (int n);

/* Input that makes no line yet, where it is no terminal. */
static char *input;
static size_t input_len;
static size_t input_size;

static const char *
style(const char *codes)
{
	return colours ? codes : "";
}

#define DIM		style("\033[2m")
#define BOLD	style("\033[1m")
#define PLAIN	style("\033[0m")

/* A name's colour, always the same. */
static const char *
name_style(const char *name)
{
	static const char *const codes[] = {
		"\033[31m", "\033[32m", "\033[33m", "\033[34m", "\033[35m",
		"\033[36m"
	};
	unsigned int hash = 5381;

	while (*name)
		hash = hash * 33 + (unsigned char) *name++;
	return style(codes[hash % 6]);
}

/* How wide the terminal is. */
static int
screen_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/* Take the edited line off the screen; draw it again. */
static void
hide_line(void)
{
	if (interactive && !in_callback && !hidden)
		rl_clear_visible_line();
	hidden = held;
}

static void
show_line(void)
{
	if (interactive && !in_callback && !held)
	{
		rl_on_new_line();
		rl_redisplay();
	}
}

/* Much may be printed: draw the edited line once, after all of it. */
void
screen_hold(bool hold)
{
	held = hold;
	if (!hold && hidden)
	{
		hidden = false;
		show_line();
	}
}

/* Everything has been printed, or can't be. */
static void
flush(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
	{
		if (errno == EPIPE)
			exit(EXIT_GOOD);
		exit(EXIT_TROUBLE);
	}
}

/*
 * Print text after what takes some columns, in lines that fit.  Text is
 * escaped, but has line ends.
 */
static void
print_wrapped(const char *text, int column)
{
	int			width = screen_width();
	int			indent = width > 2 * INDENT ? INDENT : 0;

	while (*text)
	{
		size_t		line = strcspn(text, "\n");
		char	   *rest = need(strndup(text, line));
		char	   *from = rest;

		while (*from)
		{
			/* the last column is left free: terminals differ about it */
			size_t		n = text_fit(from, width - column - 1, true);

			printf("%.*s", (int) n, from);
			from += n;
			from += strspn(from, " ");
			if (*from)
			{
				printf("\n%*s", indent, "");
				column = indent;
			}
		}
		free(rest);
		text += line;
		if (*text == '\n')
		{
			text++;
			printf("\n%*s", *text ? indent : 0, "");
			column = indent;
			if (*text == '\0')
				return;
		}
	}
	printf("\n");
}

/* Text as it is shown: for a person in several lines, for a pipe in one. */
static char *
shown_text(const char *text)
{
	char	   *shown = escape_text(text, interactive);

	for (char *c = shown; *c; c++)
	{
		if (*c == '\t')
			*c = ' ';
	}
	return shown;
}

static void print_note(const char *format, va_list args)
	__attribute__((format(printf, 1, 0)));

static void
print_note(const char *format, va_list args)
{
	char	   *text;
	char	   *shown;

	if (vasprintf(&text, format, args) < 0)
		need(NULL);
	shown = shown_text(text);
	free(text);
	hide_line();
	printf("%s* ", DIM);
	if (interactive)
	{
		print_wrapped(shown, 2);
		printf("%s", PLAIN);
	}
	else
		printf("%s\n", shown);
	free(shown);
	flush();
	show_line();
}

/* Tell of the room. */
void
screen_note(const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	print_note(format, args);
	va_end(args);
}

/* Tell what is wrong; that is not for a pipe's next program. */
void
screen_trouble(const char *format, ...)
{
	va_list		args;
	char	   *text;

	va_start(args, format);
	if (interactive)
		print_note(format, args);
	else
	{
		if (vasprintf(&text, format, args) < 0)
			need(NULL);
		complain("%s", text);
		free(text);
	}
	va_end(args);
}

/* Show a message, or what becomes of it; verb stands after the name. */
void
screen_message(const char *time, const char *id, const char *name,
			   const char *verb, const char *text)
{
	char	   *shown_name = escape_text(name, false);
	char	   *shown = shown_text(text);

	hide_line();
	printf("%s%s #%s%s %s%s%s%s%s: ", DIM, time, id, PLAIN,
		   name_style(name), BOLD, shown_name, PLAIN, verb);
	if (interactive)
		print_wrapped(shown, text_width(time) + text_width(id) +
					  text_width(shown_name) + text_width(verb) + 5);
	else
		printf("%s\n", shown);
	free(shown);
	free(shown_name);
	flush();
	show_line();
}

/* The prompt: what goes on, and who we are. */
static char *
make_prompt(void)
{
	/* readline must know what takes no columns */
	const char *start = colours ? "\001\033[2m\002" : "";
	const char *end = colours ? "\001\033[0m\002" : "";
	size_t		fits;

	if (status_text == NULL)
		return format_text("%s> ", own_name);
	fits = text_fit(status_text, STATUS_WIDTH, false);
	return format_text("%s[%.*s%s]%s %s> ", start, (int) fits, status_text,
					   status_text[fits] ? "…" : "", end, own_name);
}

static void
set_prompt(void)
{
	char	   *prompt = make_prompt();

	rl_set_prompt(prompt);
	free(prompt);
}

/* Say beside the prompt what goes on; NULL: nothing. */
void
screen_status(const char *status)
{
	char	   *escaped;

	if (!interactive)
		return;
	escaped = status ? escape_text(status, false) : NULL;
	if (escaped == NULL ? status_text == NULL :
		status_text != NULL && strcmp(status_text, escaped) == 0)
	{
		free(escaped);
		return;
	}
	free(status_text);
	status_text = escaped;
	hide_line();
	set_prompt();
	show_line();
}

/* ------------------------------------------------------------- keyboard */

/* Return: hand the line over, and leave nothing of it on the screen. */
static int
accept_line(int count, int key)
{
	(void) count;
	(void) key;
	rl_clear_visible_line();
	rl_done = 1;
	RL_SETSTATE(RL_STATE_DONE);
	return 0;
}

/* Ctrl-C: empty the line, or quit. */
static int
cancel_line(int count, int key)
{
	(void) count;
	(void) key;
	if (rl_end == 0)
		ended = true;
	else
	{
		rl_clear_visible_line();
		rl_replace_line("", 1);
		rl_on_new_line();
	}
	return 0;
}

/* Ctrl-Z */
static int
suspend(int count, int key)
{
	(void) count;
	(void) key;
	screen_suspend();
	return 0;
}

/* Set the terminal up as readline does; Ctrl-C and Ctrl-Z are our keys. */
static void
prepare_terminal(int meta)
{
	struct termios state;

	rl_prep_terminal(meta);
	if (tcgetattr(STDIN_FILENO, &state) == 0)
	{
		state.c_cc[VINTR] = _POSIX_VDISABLE;
		state.c_cc[VSUSP] = _POSIX_VDISABLE;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &state);
	}
}

/* readline has a line; NULL at the end of input. */
static void
take_edited(char *line)
{
	in_callback = true;
	if (line == NULL)
		ended = true;
	else
	{
		if (*line)
			add_history(line);
		line_taker(line);
		free(line);
	}
	free(last_line);
	last_line = NULL;
	/* while the line is taken, the prompt may have become another */
	set_prompt();
	in_callback = false;
}

/* Names and commands that a word may become. */
static char *
complete_word(const char *text, int state)
{
	static const char *const commands[] = {
		"/edit", "/delete", "/who", "/history", "/quit", "/help", NULL
	};
	static int	next_command;
	static int	next;
	bool		at = text[0] == '@';
	const char *begin = text + at;
	const char *name;

	if (state == 0)
		next_command = next = 0;
	if (text[0] == '/')
	{
		while (commands[next_command])
		{
			const char *command = commands[next_command++];

			if (strncmp(command, text, strlen(text)) == 0)
				return need(strdup(command));
		}
		return NULL;
	}
	while (next_name && (name = next_name(next)) != NULL)
	{
		char	   *escaped = escape_text(name, false);
		bool		good = strcmp(escaped, name) == 0;

		next++;
		free(escaped);
		if (good && strncasecmp(name, begin, strlen(begin)) == 0)
			return format_text("%s%s", at ? "@" : "", name);
	}
	return NULL;
}

static char **
complete(const char *text, int start, int end)
{
	(void) start;
	(void) end;
	/* never files */
	rl_attempted_completion_over = 1;
	if (text[0] == '/' && start != 0)
		return NULL;
	return rl_completion_matches(text, complete_word);
}

/* Where names come from. */
void
screen_complete(const char *(*names) (int n))
{
	next_name = names;
}

static void
bind_keys(Keymap map)
{
	rl_bind_key_in_map('\r', accept_line, map);
	rl_bind_key_in_map('\n', accept_line, map);
	rl_bind_key_in_map('C' & 0x1F, cancel_line, map);
	rl_bind_key_in_map('Z' & 0x1F, suspend, map);
}

/* Take the terminal, if it is one. */
void
screen_open(const char *name)
{
	const char *terminal = getenv("TERM");
	char	   *prompt;

	interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (!interactive)
		return;
	colours = getenv("NO_COLOR") == NULL && terminal != NULL &&
		strcmp(terminal, "dumb") != 0;
	own_name = escape_text(name, false);

	rl_readline_name = "chatroom";
	rl_catch_signals = 0;
	rl_catch_sigwinch = 0;
	rl_change_environment = 0;
	rl_prep_term_function = prepare_terminal;
	rl_attempted_completion_function = complete;
	rl_completer_word_break_characters = " \t\n";
	rl_initialize();
	bind_keys(emacs_standard_keymap);
	bind_keys(vi_insertion_keymap);
	bind_keys(vi_movement_keymap);
	using_history();
	stifle_history(500);
	prompt = make_prompt();
	rl_callback_handler_install(prompt, take_edited);
	free(prompt);
	atexit(screen_close);
}

/* Give the terminal back. */
void
screen_close(void)
{
	if (!interactive)
		return;
	hide_line();
	rl_callback_handler_remove();
	interactive = false;
	colours = false;
}

bool
screen_interactive(void)
{
	return interactive;
}

/* Is there no more input to come? */
bool
screen_ended(void)
{
	return ended;
}

/* Take lines from what has been read from a pipe or file. */
static void
take_lines(bool at_end)
{
	char	   *from = input;
	char	   *end = input + input_len;
	char	   *newline;
	size_t		len;

	while (from < end)
	{
		newline = memchr(from, '\n', end - from);
		if (newline == NULL)
		{
			if (!at_end)
				break;
			newline = end;
		}
		len = newline - from;
		if (len > 0 && from[len - 1] == '\r')
			len--;
		from[len] = '\0';
		line_taker(strlen(from) < len ? NULL : from);
		from = newline + 1;
	}
	input_len = from < end ? end - from : 0;
	memmove(input, from, input_len);
}

/* There is input: read it. */
void
screen_read(void (*take_line) (char *line))
{
	ssize_t		n;

	line_taker = take_line;
	if (interactive)
	{
		rl_callback_read_char();
		return;
	}
	if (input_size - input_len < 4096)
	{
		input_size = 2 * input_size + 8192;
		input = need(realloc(input, input_size));
	}
	/* a byte is left for the null byte behind a last line without end */
	n = read(STDIN_FILENO, input + input_len, input_size - input_len - 1);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		input_len += n;
	else
		ended = true;
	take_lines(ended);
}

/* Is a message being typed?  And has the line changed since we last asked? */
bool
screen_typing(bool *changed)
{
	*changed = false;
	if (!interactive)
		return false;
	if (last_line == NULL || strcmp(last_line, rl_line_buffer) != 0)
	{
		*changed = last_line != NULL || rl_end > 0;
		free(last_line);
		last_line = copy_text(rl_line_buffer);
	}
	return rl_end > 0 && (rl_line_buffer[0] != '/' ||
						  rl_line_buffer[1] == '/');
}

/* The terminal has another size. */
void
screen_resize(void)
{
	if (interactive)
		rl_resize_terminal();
}

/* Stop, as Ctrl-Z does, until somebody continues us. */
void
screen_suspend(void)
{
	if (!interactive)
		return;
	rl_clear_visible_line();
	rl_deprep_terminal();
	/* all of the job: make, if it started us */
	kill(0, SIGTSTP);
	rl_prep_term_function(1);
	rl_resize_terminal();
	rl_on_new_line();
	rl_forced_update_display();
}
