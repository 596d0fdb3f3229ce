/*-------------------------------------------------------------------------
 *
 * people.c
 *	  Who is here, and who types: the room's presence.
 *
 * Somebody may be here several times, with several terminals: what counts is
 * whether there is an entry of that name.  Typing is an entry of its own,
 * whose meta says so.
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LISTED		100

typedef struct Entry
{
	char	   *name;
	char	   *ref;			/* phx_ref, of this meta */
	bool		typing;
} Entry;

static Entry *entries;
static int	nentries;

/* Is somebody here (or typing) by these entries? */
static bool
has_name(const Entry *list, int n, const char *name, bool typing)
{
	for (int i = 0; i < n; i++)
	{
		if (list[i].typing == typing && strcmp(list[i].name, name) == 0)
			return true;
	}
	return false;
}

static int
find_ref(const char *ref)
{
	for (int i = 0; i < nentries; i++)
	{
		if (strcmp(entries[i].ref, ref) == 0)
			return i;
	}
	return -1;
}

static void
remove_entry(int i)
{
	free(entries[i].name);
	free(entries[i].ref);
	memmove(&entries[i], &entries[i + 1],
			(--nentries - i) * sizeof(Entry));
}

/* Take an entry, unless it is there. */
static void
add_entry(Json name, Json meta)
{
	char	   *ref = json_text(json_get(meta, "phx_ref"));
	Entry	   *entry;

	if (ref == NULL || json_null(name) || find_ref(ref) >= 0)
	{
		free(ref);
		return;
	}
	entries = need(realloc(entries, (nentries + 1) * sizeof(Entry)));
	entry = &entries[nentries++];
	entry->name = json_text(name);
	entry->ref = ref;
	entry->typing = json_true(json_get(meta, "typing"));
}

/* Tell of those who are in one list and not in the other. */
static void
tell_missing(const Entry *list, int n, const Entry *other, int nother,
			 const char *verb, const char *me)
{
	for (int i = 0; i < n; i++)
	{
		if (!list[i].typing && strcmp(list[i].name, me) != 0 &&
			!has_name(list, i, list[i].name, false) &&
			!has_name(other, nother, list[i].name, false))
			screen_note("%s %s", list[i].name, verb);
	}
}

/* All who are here now; with tell, say who has come and gone. */
void
people_reset(Json presence, bool tell, const char *me)
{
	Entry	   *before = entries;
	int			nbefore = nentries;
	Json		name;
	Json		person = {NULL, 0};

	entries = NULL;
	nentries = 0;
	while (json_next_member(presence, &name, &person))
	{
		Json		metas = json_get(person, "metas");
		Json		meta = {NULL, 0};

		while (json_next(metas, &meta))
			add_entry(name, meta);
	}
	if (tell)
	{
		tell_missing(before, nbefore, entries, nentries, "left", me);
		tell_missing(entries, nentries, before, nbefore, "joined", me);
	}
	for (int i = 0; i < nbefore; i++)
	{
		free(before[i].name);
		free(before[i].ref);
	}
	free(before);
}

/* Somebody comes, changes, goes. */
void
people_event(Json event, const char *type, const char *me)
{
	Json		key = json_get(event, "key");
	Json		meta = json_get(event, "meta");
	char	   *name = json_text(key);
	char	   *ref;
	bool		here;
	int			i;

	if (name == NULL)
		return;
	here = has_name(entries, nentries, name, false);
	ref = json_text(json_get(meta, strcmp(type, "presence_update") == 0 ?
							 "phx_ref_prev" : "phx_ref"));
	i = ref ? find_ref(ref) : -1;
	if (i >= 0 && strcmp(type, "presence_join") != 0)
		remove_entry(i);
	if (strcmp(type, "presence_leave") != 0)
		add_entry(key, meta);
	if (strcmp(name, me) != 0 &&
		here != has_name(entries, nentries, name, false))
		screen_note("%s %s", name, here ? "left" : "joined");
	free(ref);
	free(name);
}

/* A list of names, each once; typing: only those who type.  malloc'd. */
static char *
list_names(bool typing, const char *but)
{
	char	   *list = copy_text("");
	int			n = 0;

	for (int i = 0; i < nentries; i++)
	{
		const char *name = entries[i].name;
		char	   *longer;

		if (entries[i].typing != typing || (but && strcmp(name, but) == 0) ||
			has_name(entries, i, name, typing))
			continue;
		if (n++ == MAX_LISTED)
		{
			longer = format_text("%s, and more", list);
			free(list);
			return longer;
		}
		longer = format_text("%s%s%s", list, *list ? ", " : "", name);
		free(list);
		list = longer;
	}
	return list;
}

/* Who is here; "" for nobody.  malloc'd. */
char *
people_here(void)
{
	return list_names(false, NULL);
}

/* Who else types; "" for nobody.  malloc'd. */
char *
people_typing(const char *me)
{
	return list_names(true, me);
}

/* Some name, for completion; NULL after the last. */
const char *
people_name(int n)
{
	for (int i = 0; i < nentries; i++)
	{
		if (!has_name(entries, i, entries[i].name, entries[i].typing) &&
			n-- == 0)
			return entries[i].name;
	}
	return NULL;
}
