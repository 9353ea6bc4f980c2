#include <stdlib.h>

#include "policy_files.h"
#include "sl_policy.h"

int policy_check_local(const struct policy_file *files, unsigned int nb)
{
	struct sl_policy_source *src = calloc(nb, sizeof(*src));
	struct sl_policy_error err = {.line = 0};
	struct sl_snapshot *s = NULL;
	char text[1200];
	int rc;

	if (src == NULL)
		return EXIT_FAILED;
	for (unsigned int i = 0; i < nb; i++) {
		src[i].file = files[i].name;
		src[i].text = sl_span(files[i].text, files[i].n);
	}
	rc = sl_policy_compile(src, nb, 1, 1, &s, &err);
	if (rc == SL_OK) {
		printf("%u resources, %u roles, %u rules, %u masks: good\n", s->nb_resources, s->nb_roles,
		       s->nb_rules, s->nb_masks);
		if (sl_snapshot_unref(s))
			sl_policy_free(s);
	} else {
		complain("%s", sl_policy_error_str(&err, text, sizeof(text)));
	}
	free(src);
	return rc == SL_OK ? EXIT_DONE : EXIT_CORRUPT;
}
