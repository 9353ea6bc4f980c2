#include "sl_err.h"

#include <stddef.h>

struct row {
	const char *name;
	const char *text;
	char severity;
};

static const struct row rows[SL_ERR_COUNT] = {[0] = {"ok", "no error", ' '},
#define ROW(id, sev, txt) [id##_N] = {#id, txt, sev},
                                              SL_ERR_TABLE(ROW)
#undef ROW
};

/* The names in the table are C identifiers; events use their lower-case tail. Filled once, at load. */
static char names[SL_ERR_COUNT][40];

__attribute__((constructor)) static void fill_names(void)
{
	for (size_t i = 1; i < SL_ERR_COUNT; i++) {
		const char *s = rows[i].name + sizeof("SL_E_") - 1;
		size_t n = 0;

		for (; s[n] != '\0' && n < sizeof(names[i]) - 1; n++)
			names[i][n] = (char)(s[n] >= 'A' && s[n] <= 'Z' ? s[n] + 32 : s[n]);
		names[i][n] = '\0';
	}
}

const char *sl_err_name(int err)
{
	if (err >= 0)
		return "ok";
	return -err < SL_ERR_COUNT ? names[-err] : "unknown";
}

const char *sl_err_text(int err)
{
	if (err >= 0)
		return rows[0].text;
	return -err < SL_ERR_COUNT ? rows[-err].text : "unknown error";
}

char sl_err_severity(int err)
{
	return err < 0 && -err < SL_ERR_COUNT ? rows[-err].severity : ' ';
}
