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

struct sl_snapshot;

/* All files of the command line; NULL said to stderr. */
struct policy_file *policy_files_load(char *const *names, unsigned int nb);
void policy_files_free(struct policy_file *f, unsigned int nb);
/* Compiles here, without a gateway. NULL said to stderr; else to be freed with policy_done(). */
struct sl_snapshot *policy_compile(const struct policy_file *files, unsigned int nb);
void policy_done(struct sl_snapshot *s);
/* The documents in which two sets of files differ, to stdout: an exit code, EXIT_FAILED when one is no YAML.
 */
int policy_print_diff(const struct policy_file *from, unsigned int nb_from, const struct policy_file *to,
                      unsigned int nb_to);

#endif
