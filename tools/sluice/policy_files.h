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

#define POLICY_NOT_HERE 256 /* this program was built without the policy library */

/* Compiles here, without a gateway (check_local.c, or check_none.c). An exit code with what is wrong said, or
 * POLICY_NOT_HERE. */
int policy_check_local(const struct policy_file *files, unsigned int nb);

#endif
