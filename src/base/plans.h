/*-------------------------------------------------------------------------
 *
 * plans.h
 *	  Kept plans that hold nothing of whom they were made for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHATROOM_PLANS_H
#define CHATROOM_PLANS_H

#include "postgres.h"

#include "executor/spi.h"

/* What is known of a plan; zeroes at first. */
typedef struct PlanFolds
{
	int			generation;		/* of the plan that was looked at; 0: none */
	bool		folds;
} PlanFolds;

/* To be called before a kept plan is executed. */
extern void chatroom_renew_plan(SPIPlanPtr plan, PlanFolds *known);

#endif							/* CHATROOM_PLANS_H */
