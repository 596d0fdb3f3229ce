/*-------------------------------------------------------------------------
 *
 * messages.c
 *	  Errors of rules: their texts, as JSON, and raised.
 *
 * The texts and the keys of the metadata are those of Ecto 3's changesets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "write/rules.h"

/* Make an error; its message is not interpolated yet. */
RuleError *
chatroom_make_error(const char *field, AttrNumber attnum, const char *text,
					const char *validation)
{
	RuleError  *error = palloc0(sizeof(RuleError));

	error->field = field;
	error->attnum = attnum;
	error->message = text;
	error->validation = validation;
	return error;
}

/* Add a key to an error's metadata; its value is JSON. */
void
chatroom_error_key(RuleError *error, const char *name, const char *json)
{
	RuleErrorKey *key = palloc(sizeof(RuleErrorKey));

	key->name = name;
	key->json = json;
	error->keys = lappend(error->keys, key);
}

/*
 * Append a key's value as people read it: strings without quotes.  False:
 * there is no such key.
 */
static bool
append_value(StringInfo buf, const RuleError *error, const char *name,
			 int name_len)
{
	ListCell   *lc;

	foreach(lc, error->keys)
	{
		const RuleErrorKey *key = lfirst(lc);
		int			len = strlen(key->json);

		if (strlen(key->name) != name_len ||
			strncmp(key->name, name, name_len) != 0)
			continue;
		if (len >= 2 && key->json[0] == '"' &&
			strchr(key->json, '\\') == NULL)
			appendBinaryStringInfo(buf, key->json + 1, len - 2);
		else
			appendStringInfoString(buf, key->json);
		return true;
	}
	if (error->validation == NULL || name_len != strlen("validation") ||
		strncmp(name, "validation", name_len) != 0)
		return false;
	appendStringInfoString(buf, error->validation);
	return true;
}

/* Put the metadata's values in the message, where it says %{key}. */
void
chatroom_interpolate_error(RuleError *error)
{
	const char *pos = error->message;
	StringInfoData buf;

	if (strstr(pos, "%{") == NULL)
		return;
	initStringInfo(&buf);
	while (*pos != '\0')
	{
		const char *start = strstr(pos, "%{");
		const char *end = start ? strchr(start, '}') : NULL;

		if (end == NULL)
			break;
		appendBinaryStringInfo(&buf, pos, start - pos);
		if (append_value(&buf, error, start + 2, end - start - 2))
			pos = end + 1;
		else
		{
			/* none of ours: "%{" may begin again in what follows */
			appendStringInfoString(&buf, "%{");
			pos = start + 2;
		}
	}
	appendStringInfoString(&buf, pos);
	error->template = error->message;
	error->message = buf.data;
}

/* A string as JSON. */
char *
chatroom_json_string(const char *string)
{
	StringInfoData buf;

	initStringInfo(&buf);
	escape_json(&buf, string);
	return buf.data;
}

/* Append one error as a JSON object. */
static void
append_error(StringInfo buf, const RuleError *error, bool for_adapters)
{
	ListCell   *lc;

	appendStringInfoString(buf, "{\"field\": ");
	escape_json(buf, error->field);
	appendStringInfoString(buf, ", \"message\": ");
	escape_json(buf, error->message);
	if (error->validation != NULL)
	{
		appendStringInfoString(buf, ", \"validation\": ");
		escape_json(buf, error->validation);
	}
	if (error->constraint != NULL)
	{
		appendStringInfoString(buf, ", \"constraint\": ");
		escape_json(buf, error->constraint);
		if (error->name != NULL)
		{
			appendStringInfoString(buf, ", \"constraint_name\": ");
			escape_json(buf, error->name);
		}
	}
	foreach(lc, error->keys)
	{
		const RuleErrorKey *key = lfirst(lc);

		appendStringInfoString(buf, ", ");
		escape_json(buf, key->name);
		appendStringInfo(buf, ": %s", key->json);
	}
	if (for_adapters)
	{
		if (error->rule != NULL)
		{
			appendStringInfoString(buf, ", \"rule\": ");
			escape_json(buf, error->rule);
		}
		appendStringInfoString(buf, ", \"template\": ");
		escape_json(buf, error->template ? error->template : error->message);
	}
	appendStringInfoChar(buf, '}');
}

/* Append errors as a JSON array; for adapters with rules and templates. */
void
chatroom_append_errors_json(StringInfo buf, const List *errors,
							bool for_adapters)
{
	ListCell   *lc;

	appendStringInfoChar(buf, '[');
	foreach(lc, errors)
	{
		if (lc != list_head(errors))
			appendStringInfoString(buf, ", ");
		append_error(buf, lfirst(lc), for_adapters);
	}
	appendStringInfoChar(buf, ']');
}

/* Does a foreign key say the same of each error? */
static bool
foreign_keys_alone(const List *errors)
{
	ListCell   *lc;

	foreach(lc, errors)
		if (((const RuleError *) lfirst(lc))->sqlerrcode == 0)
			return false;
	return true;
}

/*
 * Raise errors: the first in the message, all in DETAIL.  Where the server's
 * own foreign keys would refuse the row anyway, it has their code and name,
 * which is what programs expect that know nothing of rules.
 */
void
chatroom_raise_errors(Relation relation, const List *errors)
{
	const RuleError *first = linitial(errors);
	Oid			relid = OidIsValid(first->relid) ? first->relid :
		RelationGetRelid(relation);
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	char	   *table = get_rel_name(relid);
	char	   *column = first->attnum > 0 ?
		get_attname(RelationGetRelid(relation), first->attnum, true) : NULL;
	bool		foreign = foreign_keys_alone(errors);
	const char *name = foreign || first->rule == NULL ? first->name :
		first->rule;
	StringInfoData detail;

	initStringInfo(&detail);
	chatroom_append_errors_json(&detail, errors, true);
	ereport(ERROR,
			(errcode(foreign ? first->sqlerrcode : ERRCODE_CHECK_VIOLATION),
			 errmsg_internal("%s %s", first->field, first->message),
			 errdetail_internal("%s", detail.data),
			 schema ? err_generic_string(PG_DIAG_SCHEMA_NAME, schema) : 0,
			 table ? err_generic_string(PG_DIAG_TABLE_NAME, table) : 0,
			 column ? err_generic_string(PG_DIAG_COLUMN_NAME, column) : 0,
			 name ? err_generic_string(PG_DIAG_CONSTRAINT_NAME, name) : 0));
}
