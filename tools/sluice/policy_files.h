/* Policy documents from files, as one source each. */
#ifndef SLUICE_POLICY_FILES_H
#define SLUICE_POLICY_FILES_H

#include "cli.h"

#define POLICY_BYTES_MAX (4u << 20) /* as the gateway's bound */
#define POLICY_FILES_MAX 256

struct policy_file {
	const char *name;
	uint8_t *text;
	size_t n;
};

/* Compiles here, without a gateway (check_local.c). An exit code; what is wrong was said. */
int policy_check_local(const struct policy_file *files, unsigned int nb);

#endif
