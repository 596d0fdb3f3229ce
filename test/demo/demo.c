/*-------------------------------------------------------------------------
 *
 * demo.c
 *	  Show chatroom at work: a conversation, or with --log a log of one.
 *
 * Wants a server of its own, with chatroom preloaded, not started yet, that it
 * may kill; test/demo/run makes it.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
	PGconn	   *conn;
	char	   *version;
	char	   *wal_level;
	bool		good;

	print_init();
	if (argc != 1 && !(argc == 3 && strcmp(argv[1], "--log") == 0))
		die("usage: demo [--log FD]");

	start_server();
	conn = connect_db();
	version = query_text(conn, "SHOW server_version", 0, NULL);
	wal_level = query_text(conn, "SHOW wal_level", 0, NULL);
	if (version == NULL || wal_level == NULL)
		die("the server went away");
	printf("%schatroom on PostgreSQL %s%s, wal_level %s, a private server\n",
		   bold(), version, plain(), wal_level);
	free(version);
	free(wal_level);
	PQfinish(conn);

	good = argc == 3 ? play_log(atoi(argv[2])) : play_conversation();
	return good ? 0 : 1;
}
