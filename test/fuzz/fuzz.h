/* What the fuzzers share; see stubs.c. */
#ifndef CHATROOM_FUZZ_H
#define CHATROOM_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Free all that was palloc'd. */
extern void forget_memory(void);

/* What must hold. */
#define CHECK(condition) \
	do \
	{ \
		if (!(condition)) \
			abort(); \
	} while (0)

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write inputs to start from into the working directory. */
extern void write_seeds(void);
extern void write_seed(const char *name, const void *data, size_t size);

#endif /* CHATROOM_FUZZ_H */
