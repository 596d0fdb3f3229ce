/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  Rules in the catalog: adding, dropping, listing, compiling them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "utils/rel.h"
#include "write/rules.h"

/* The rules of a relation. */
RuleSet *
chatroom_rules(Relation relation)
{
	RuleSet    *rules = palloc0(sizeof(RuleSet));

	rules->relid = RelationGetRelid(relation);
	return rules;
}

/* The embed rule of a column, or NULL. */
const Rule *
chatroom_embed_rule(const RuleSet *rules, AttrNumber attnum)
{
	for (int i = 0; i < rules->nrules; i++)
		if (rules->rules[i].kind == RULE_EMBED &&
			rules->rules[i].columns[0] == attnum)
			return &rules->rules[i];
	return NULL;
}
