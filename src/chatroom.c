/*-------------------------------------------------------------------------
 *
 * chatroom.c
 *	  Module initialisation.
 *
 * The library works loaded on demand, and better preloaded: then the worker
 * starts with the server (on standbys too) and cursors survive a server
 * restart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/launch.h"
#include "base/memory.h"
#include "base/settings.h"
#include "miscadmin.h"
#include "storage/ipc.h"

CHATROOM_MODULE_MAGIC;

void		_PG_init(void);

static shmem_request_hook_type prev_shmem_request_hook = NULL;

/* Ask for shared memory while the server starts. */
static void
request_shared_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	chatroom_request_control();
}

/* Called when a process loads the library. */
void
_PG_init(void)
{
	chatroom_preloaded = process_shared_preload_libraries_in_progress;
	chatroom_define_settings();
	if (chatroom_preloaded)
	{
		prev_shmem_request_hook = shmem_request_hook;
		shmem_request_hook = request_shared_memory;
		chatroom_register_boot_tailer();
	}
}
