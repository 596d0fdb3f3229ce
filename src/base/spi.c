/*-------------------------------------------------------------------------
 *
 * spi.c
 *	  Connecting to SPI, and leaving it.
 *
 * Neither fails but for an error in the code around it, of which there is
 * nothing to say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/spi.h"

/* SPI_connect() that can't fail. */
void
chatroom_spi_connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* SPI_finish() that can't fail. */
void
chatroom_spi_finish(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}
