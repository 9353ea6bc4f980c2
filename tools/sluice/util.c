#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli.h"
#include "sl_secret.h"

void print_json(const json_t *j)
{
	/* ASCII: escapes every control character and direction mark of what was recorded. */
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	fputc('\n', stdout);
}

const char *js(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "" : s;
}

uint64_t ju(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v < 0 ? 0 : (uint64_t)v;
}

bool jb(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

char *jtext(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	char *s = NULL;

	if (json_is_string(v))
		return strdup(json_string_value(v));
	if (json_is_integer(v))
		return asprintf(&s, "%lld", (long long)json_integer_value(v)) < 0 ? NULL : s;
	if (json_is_boolean(v))
		return strdup(json_is_true(v) ? "yes" : "no");
	return strdup("");
}

char *jlist(const json_t *o, const char *key)
{
	const json_t *list = json_object_get(o, key), *v;
	char *s = NULL;
	size_t n = 0, i;
	FILE *f = open_memstream(&s, &n);

	if (f == NULL)
		return NULL;
	json_array_foreach(list, i, v)
	{
		const char *item = json_string_value(v);

		fprintf(f, "%s%s", i == 0 ? "" : ", ", item == NULL ? "?" : item);
	}
	return fclose(f) == 0 ? s : NULL;
}

void complain(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	fputs("sluice: ", stderr);
	text_line(stderr, sl_span(s, (size_t)n), 0);
	fputc('\n', stderr);
	free(s);
}

uint8_t *read_all(const char *file, size_t max, size_t *n)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	uint8_t *p = f == NULL ? NULL : malloc(max + 1);

	if (p == NULL) {
		complain("%s: %s", file, strerror(errno));
		goto out;
	}
	*n = fread(p, 1, max + 1, f);
	if (ferror(f) != 0 || *n > max) {
		complain("%s: %s", file, *n > max ? "too large" : "cannot be read");
		sl_cleanse(p, max + 1);
		free(p);
		p = NULL;
		goto out;
	}
	p[*n] = '\0';
out:
	if (f != NULL && f != stdin)
		fclose(f);
	return p;
}

/* Visible ASCII only: what a header may carry. Surrounding white space (a file's last newline) is cut off. */
static int set_token(struct cli *c, const char *s, const char *from)
{
	size_t n = strlen(s);
	bool good;

	while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r' || s[n - 1] == ' '))
		n--;
	good = n > 0 && n <= TOKEN_MAX;
	for (size_t i = 0; good && i < n; i++)
		good = s[i] > ' ' && s[i] <= '~';
	if (!good) {
		complain("%s: holds no token", from);
		return EXIT_USAGE;
	}
	memcpy(c->token, s, n);
	c->token[n] = '\0';
	return EXIT_DONE;
}

int load_token(struct cli *c)
{
	const char *env = getenv("SLUICE_TOKEN");
	uint8_t *p;
	size_t n;
	int rc;

	if (c->token[0] != '\0')
		return EXIT_DONE;
	if (c->token_file == NULL)
		return env == NULL || env[0] == '\0' ? EXIT_DONE : set_token(c, env, "SLUICE_TOKEN");
	p = read_all(c->token_file, TOKEN_MAX + 16, &n);
	if (p == NULL)
		return EXIT_USAGE;
	rc = set_token(c, (const char *)p, c->token_file);
	sl_cleanse(p, n);
	free(p);
	return rc;
}
