/*-------------------------------------------------------------------------
 *
 * main.c
 *	  The terminal client: its command line.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define USAGE \
	"chatroom is a terminal client for databases with the extension chatroom.\n" \
	"\n" \
	"Usage:\n" \
	"  chatroom [OPTION]... join ROOM       take part in a room\n" \
	"  chatroom [OPTION]... tail TOPIC...   print events as lines of JSON\n" \
	"  chatroom [OPTION]... status          is the worker well?\n" \
	"\n" \
	"Options of join:\n" \
	"      --as=USER            post under this name (default: the role's)\n" \
	"      --prefix=PREFIX      schema of the chat's tables\n" \
	"      --create             create the room if it isn't there\n" \
	"      --act-as             act for USER, as application servers do\n" \
	"\n" \
	"Options of tail:\n" \
	"      --since=CURSOR       start from there (default: from now)\n" \
	"      --cursor-file=FILE   start from the cursor in FILE, and keep it there\n" \
	"  -n, --count=N            end after N events\n" \
	"\n" \
	"Options of status:\n" \
	"      --json               print JSON, a line for each database\n" \
	"\n" \
	"Options of the connection:\n" \
	"  -d, --dbname=DBNAME      database name, or connection string\n" \
	"  -h, --host=HOSTNAME      host, or directory of the socket; several: A,B\n" \
	"  -p, --port=PORT          port\n" \
	"  -U, --username=USERNAME  role\n" \
	"  -w, --no-password        never ask for a password\n" \
	"  -W, --password           ask for one before connecting\n" \
	"\n" \
	"  -V, --version            print the version, and end\n" \
	"  -?, --help               print this, and end\n" \
	"\n" \
	"The environment variables of libpq (PGHOST, PGSERVICE, ...) count, too.\n" \
	"Exit status: 0 all is well, 1 it was refused (a line; the worker doesn't\n" \
	"run), 2 the server could not be asked.\n"

/* Commands, as bits: which may have an option? */
typedef enum Command
{
	JOIN = 1,
	TAIL = 2,
	STATUS = 4,
	ANY = JOIN | TAIL | STATUS
} Command;

typedef enum OptionCode
{
	OPTION_AS = 256,
	OPTION_PREFIX,
	OPTION_CREATE,
	OPTION_ACT_AS,
	OPTION_SINCE,
	OPTION_CURSOR_FILE,
	OPTION_JSON,
	OPTION_HELP
} OptionCode;

static const struct option long_options[] = {
	{"as", required_argument, NULL, OPTION_AS},
	{"prefix", required_argument, NULL, OPTION_PREFIX},
	{"create", no_argument, NULL, OPTION_CREATE},
	{"act-as", no_argument, NULL, OPTION_ACT_AS},
	{"since", required_argument, NULL, OPTION_SINCE},
	{"cursor-file", required_argument, NULL, OPTION_CURSOR_FILE},
	{"count", required_argument, NULL, 'n'},
	{"json", no_argument, NULL, OPTION_JSON},
	{"dbname", required_argument, NULL, 'd'},
	{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, 'p'},
	{"username", required_argument, NULL, 'U'},
	{"no-password", no_argument, NULL, 'w'},
	{"password", no_argument, NULL, 'W'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0}
};

static void
hint(void)
{
	fputs("Try \"chatroom --help\" for more information.\n", stderr);
	exit(EXIT_TROUBLE);
}

/* Whose option is it? */
static Command
option_owner(int code)
{
	switch (code)
	{
		case OPTION_AS:
		case OPTION_PREFIX:
		case OPTION_CREATE:
		case OPTION_ACT_AS:
			return JOIN;
		case OPTION_SINCE:
		case OPTION_CURSOR_FILE:
		case 'n':
			return TAIL;
		case OPTION_JSON:
			return STATUS;
		default:
			return ANY;
	}
}

/* A number of events. */
static int64_t
read_count(const char *text)
{
	char	   *end;
	long long	count = strtoll(text, &end, 10);

	if (*end != '\0' || count < 1)
	{
		complain("--count wants a number from 1 on, not \"%s\"", text);
		hint();
	}
	return count;
}

static void
take_option(Options *options, int code)
{
	switch (code)
	{
		case OPTION_AS:
			options->as = optarg;
			break;
		case OPTION_PREFIX:
			options->prefix = optarg;
			break;
		case OPTION_CREATE:
			options->create = true;
			break;
		case OPTION_ACT_AS:
			options->act_as = true;
			break;
		case OPTION_SINCE:
			options->since = optarg;
			break;
		case OPTION_CURSOR_FILE:
			options->cursor_file = optarg;
			break;
		case OPTION_JSON:
			options->json = true;
			break;
		case 'n':
			options->count = read_count(optarg);
			break;
		case 'd':
			options->dbname = optarg;
			break;
		case 'h':
			options->host = optarg;
			break;
		case 'p':
			options->port = optarg;
			break;
		case 'U':
			options->user = optarg;
			break;
		case 'w':
			options->password = -1;
			break;
		case 'W':
			options->password = 1;
			break;
	}
}

/* The command that a word names. */
static Command
find_command(const char *word)
{
	if (strcmp(word, "join") == 0)
		return JOIN;
	if (strcmp(word, "tail") == 0)
		return TAIL;
	if (strcmp(word, "status") == 0)
		return STATUS;
	complain("\"%s\" is no command", word);
	hint();
	return ANY;
}

/* Read the command line. */
static Command
read_options(Options *options, int argc, char **argv)
{
	Command		owners = ANY;
	Command		command;
	int			code;
	int			nargs;

	while ((code = getopt_long(argc, argv, "d:h:n:p:U:VwW?", long_options,
							   NULL)) != -1)
	{
		if (code == 'V')
		{
			printf("chatroom %s\n", CHATROOM_VERSION);
			exit(EXIT_GOOD);
		}
		/* getopt_long answers '?' also when it has complained */
		if (code == OPTION_HELP ||
			(code == '?' && strcmp(argv[optind - 1], "-?") == 0))
		{
			fputs(USAGE, stdout);
			exit(EXIT_GOOD);
		}
		if (code == '?')
			hint();
		owners &= option_owner(code);
		take_option(options, code);
	}
	if (optind == argc)
	{
		complain("what to do? join, tail or status");
		hint();
	}
	command = find_command(argv[optind++]);
	nargs = argc - optind;
	if ((owners & command) == 0)
	{
		complain("there is an option that \"%s\" does not have",
				 argv[optind - 1]);
		hint();
	}
	if (command == JOIN ? nargs != 1 : command == TAIL ? nargs < 1 : nargs > 0)
	{
		complain(command == JOIN ? "join wants the name of one room" :
				 command == TAIL ? "tail wants a topic" :
				 "status takes no arguments");
		hint();
	}
	options->room = argv[optind];
	options->topics = argv + optind;
	options->ntopics = nargs;
	if (options->since && options->cursor_file)
	{
		complain("--since and --cursor-file exclude each other");
		hint();
	}
	if (options->act_as && options->as == NULL)
	{
		complain("--act-as wants --as");
		hint();
	}
	return command;
}

int
main(int argc, char **argv)
{
	Options		options = {0};
	Command		command;

	use_utf8();
	srandom(now_ms());
	command = read_options(&options, argc, argv);
	link_options(&options);
	switch (command)
	{
		case JOIN:
			return join_room(&options);
		case TAIL:
			return tail_topics(&options);
		default:
			return show_status(&options);
	}
}
