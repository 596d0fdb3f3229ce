/*-------------------------------------------------------------------------
 *
 * spelling.c
 *	  Which values are spelled alike when they are equal.
 *
 * Topics go by how a value is spelled; foreign keys, conditions and queries by
 * their type's =.  Numeric 1 and 1.00, citext "Ann" and "ann", texts of a
 * collation that is not deterministic, float 0 and -0, intervals of a month
 * and of 30 days are equal and spelled differently: who follows the one would
 * never hear of the other.  So such columns make no association topics.
 *
 * Here stand the types whose equal values have one output; all others, and
 * those of extensions, are taken for ones that have several.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/compat.h"
#include "base/spelling.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* Is a type one of whole numbers? */
static bool
is_integer(Oid typid)
{
	return typid == INT2OID || typid == INT4OID || typid == INT8OID;
}

/* Is a type one of texts whose blanks count? */
static bool
is_varying_text(Oid typid)
{
	return typid == TEXTOID || typid == VARCHAROID;
}

/* Have equal values of a type, as a column has it, one spelling? */
bool
chatroom_one_spelling(Oid typid, int32 typmod, Oid collation)
{
	Oid			base = getBaseTypeAndTypmod(typid, &typmod);
	Oid			element = get_element_type(base);

	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		return false;
	if (OidIsValid(element))
		return chatroom_one_spelling(element, typmod, collation);
	if (is_integer(base) || is_varying_text(base) || type_is_enum(base))
		return true;
	switch (base)
	{
		case NUMERICOID:
		case BPCHAROID:
			/* all have the digits, or blanks, that the column's type says */
			return typmod >= (int32) VARHDRSZ;
		case BOOLOID:
		case OIDOID:
		case XIDOID:
		case XID8OID:
		case CIDOID:
		case TIDOID:
		case LSNOID:
		case CHAROID:
		case NAMEOID:
		case BYTEAOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case CASHOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
			return true;
		default:
			return false;
	}
}

/* The same of a table's column; see spelling.h. */
bool
chatroom_column_one_spelling(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
										Int16GetDatum(attnum));
	Form_pg_attribute attribute;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	result = !attribute->attisdropped &&
		chatroom_one_spelling(attribute->atttypid, attribute->atttypmod,
							  attribute->attcollation);
	ReleaseSysCache(tuple);
	return result;
}

/* Are values of two such types spelled alike, too?  See spelling.h. */
bool
chatroom_same_spelling(Oid typid, int32 typmod, Oid other,
					   int32 other_typmod)
{
	Oid			base = getBaseTypeAndTypmod(typid, &typmod);
	Oid			other_base = getBaseTypeAndTypmod(other, &other_typmod);

	if ((is_integer(base) && is_integer(other_base)) ||
		(is_varying_text(base) && is_varying_text(other_base)))
		return true;
	return base == other_base && (base != BPCHAROID || typmod == other_typmod);
}
