/*-------------------------------------------------------------------------
 *
 * spi.h
 *	  Connecting to SPI, and leaving it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_SPI_H
#define CHATROOM_SPI_H

#include "postgres.h"

#include "executor/spi.h"

/* SPI_connect() and SPI_finish() that can't fail. */
extern void chatroom_spi_connect(void);
extern void chatroom_spi_finish(void);

#endif							/* CHATROOM_SPI_H */
