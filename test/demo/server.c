/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The demonstration's own server: start it, kill it.
 *
 * PGDATA and DEMO_SERVER_LOG in the environment tell where it is.  Who ends
 * the demonstration stops the server after it, so it must not end while one is
 * just about to start.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_US		UINT64_C(20000000)

static volatile sig_atomic_t starting = 0;
static volatile sig_atomic_t end_wanted = 0;

/* SIGTERM: end at once, but not between two servers. */
static void
end_demo(int signal_number)
{
	if (starting)
		end_wanted = signal_number;
	else
		_exit(1);
}

/* Start the server. */
void
start_server(void)
{
	int			status;

	/* Orphans become our children, so that we can bury the server. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	signal(SIGTERM, end_demo);

	starting = 1;
	status = system("pg_ctl start -w -l \"$DEMO_SERVER_LOG\""
					" > /dev/null 2>&1");
	starting = 0;
	if (end_wanted)
		_exit(1);
	if (status != 0)
		die("could not start the server");
}

/*
 * Kill the postmaster, with no chance to put anything in order.  Its other
 * processes notice, and end by themselves; the next start can't come earlier.
 */
void
kill_server(void)
{
	char		path[4096];
	FILE	   *file;
	long		pid = 0;
	uint64_t	give_up = now_us() + PATIENCE_US;
	pid_t		orphan;

	snprintf(path, sizeof(path), "%s/postmaster.pid", getenv("PGDATA"));
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%ld", &pid) != 1 || pid <= 1)
		die("could not read %s", path);
	fclose(file);
	if (kill(pid, SIGKILL) != 0)
		die("could not kill the server, process %ld", pid);
	while ((orphan = waitpid(-1, NULL, WNOHANG)) >= 0)
	{
		if (orphan == 0)
			sleep_ms(5);
		if (now_us() > give_up)
			die("processes of the killed server don't end");
	}
}
