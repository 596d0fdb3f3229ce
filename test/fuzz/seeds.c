/*-------------------------------------------------------------------------
 *
 * seeds.c
 *	  Writes a fuzzer's inputs to start from, made by the code that writes
 *	  what is decoded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"

int
main(void)
{
	write_seeds();
	return 0;
}
