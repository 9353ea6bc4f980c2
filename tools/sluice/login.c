/* Session credentials: login, logins, logout; and what psql reads of them (libpq's password file). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "sl_login_name.h"
#include "sl_secret.h"

#define PGPASS_MAX (1u << 20)
#define CRED_URL   "/v1/session-credentials"

/* ---- libpq's password file ---- */

/* Which of the old lines go: those that begin with `prefix`, or hold `part`. NULL: none. */
struct pgpass_drop {
	const char *prefix, *part;
};

static bool drops(const struct pgpass_drop *d, const char *line)
{
	return (d->prefix != NULL && strncmp(line, d->prefix, strlen(d->prefix)) == 0) ||
	       (d->part != NULL && strstr(line, d->part) != NULL);
}

/* The file's text, NUL behind it; "" when there is none. NULL: it is not ours to touch. */
static char *pgpass_read(const char *file)
{
	int fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text = NULL;
	ssize_t n = 0;

	if (fd < 0 && errno == ENOENT)
		return strdup("");
	if (fd < 0 || fstat(fd, &st) != 0) {
		complain("%s: %s", file, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		complain("%s: must be a regular file of yours that others cannot read", file);
	} else {
		text = malloc(PGPASS_MAX + 1);
		n = text == NULL ? -1 : read(fd, text, PGPASS_MAX + 1);
		if (n < 0 || n > (ssize_t)PGPASS_MAX) {
			complain("%s: cannot be read, or is too large", file);
			free(text);
			text = NULL;
		} else {
			text[n] = '\0';
		}
	}
	if (fd >= 0)
		close(fd);
	return text;
}

/* Those of the old lines that stay, then the new ones. */
static int pgpass_print(FILE *f, char *old, const struct pgpass_drop *drop, const char *add)
{
	for (char *line = old, *end; *line != '\0'; line = end) {
		end = line + strcspn(line, "\n");
		if (*end == '\n')
			*end++ = '\0';
		if (!drops(drop, line))
			fprintf(f, "%s\n", line);
	}
	fputs(add, f);
	return fflush(f) != 0 || ferror(f) != 0 || fsync(fileno(f)) != 0 ? -1 : 0;
}

/* Written whole beside it, with mode 0600 from the first byte on, then put in its place. */
static int pgpass_update(const char *file, const struct pgpass_drop *drop, const char *add)
{
	char *old = pgpass_read(file), *tmp = NULL;
	FILE *f = NULL;
	int fd = -1, rc = EXIT_FAILED;

	if (old == NULL)
		return EXIT_FAILED;
	if (asprintf(&tmp, "%s.XXXXXX", file) < 0)
		tmp = NULL;
	if (tmp != NULL)
		fd = mkostemp(tmp, O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (f != NULL && pgpass_print(f, old, drop, add) == 0 && rename(tmp, file) == 0)
		rc = EXIT_DONE;
	else
		complain("%s: %s", file, strerror(errno));
	if (rc != EXIT_DONE && fd >= 0)
		(void)unlink(tmp);
	if (f != NULL)
		(void)fclose(f);
	else if (fd >= 0)
		close(fd);
	sl_cleanse(old, strlen(old));
	free(old);
	free(tmp);
	return rc;
}

/* A field of the file: ':' and '\' are escaped; "" stands for any. */
static void field(FILE *f, const char *s)
{
	if (s == NULL || *s == '\0')
		fputc('*', f);
	for (; s != NULL && *s != '\0'; s++) {
		if (*s == ':' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc(':', f);
}

static const char *port_of(const struct cli *c)
{
	return c->port != NULL ? c->port : "5432";
}

/* For each resource a line, in the place of the one of an earlier login. */
static int pgpass_add(const struct cli *c, const json_t *made)
{
	const json_t *list = json_object_get(made, "resources"), *v;
	int rc = EXIT_DONE;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, v)
	{
		struct pgpass_drop drop = {0};
		char *line = NULL, *prefix = NULL;
		size_t n = 0, at;
		FILE *f = open_memstream(&line, &n);

		if (f == NULL)
			return EXIT_FAILED;
		field(f, c->host);
		field(f, c->host == NULL && c->port == NULL ? NULL : port_of(c));
		field(f, c->database);
		fprintf(f, "%s%c", json_string_value(v), SL_LOGIN_SIGN);
		(void)fflush(f);
		at = n;
		fprintf(f, "%s:%s\n", js(made, "id"), js(made, "password"));
		if (fclose(f) != 0 || line == NULL)
			return EXIT_FAILED;
		prefix = strndup(line, at);
		drop.prefix = prefix;
		rc = prefix == NULL ? EXIT_FAILED : pgpass_update(c->pgpass, &drop, line);
		sl_cleanse(line, n);
		free(line);
		free(prefix);
		if (rc != EXIT_DONE)
			break;
	}
	return rc;
}

/* ---- login ---- */

static json_t *resources_of(const char *names)
{
	json_t *list = json_array();

	for (size_t n; *names != '\0'; names += n + (names[n] == ',' ? 1 : 0)) {
		n = strcspn(names, ",");
		if (json_array_append_new(list, json_stringn(names, n)) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Channel binding: a gateway that has not made this credential cannot take part (RFC 5802, section 6). */
static void print_url(const struct cli *c, const json_t *made, bool with_password)
{
	bool v6 = strchr(c->host, ':') != NULL;
	char *db = c->database == NULL ? NULL : api_encode(c->database);

	printf("postgresql://");
	text_line(stdout, sl_span_str(js(made, "username")), 0);
	if (with_password) {
		putchar(':');
		text_line(stdout, sl_span_str(js(made, "password")), 0);
	}
	printf("@%s%s%s:%s/%s?sslmode=require&channel_binding=require\n", v6 ? "[" : "", c->host,
	       v6 ? "]" : "", port_of(c), db == NULL ? "" : db);
	free(db);
}

static int print_login(struct cli *c, const json_t *made)
{
	char when[TIME_STR_MAX];
	int rc = c->pgpass == NULL ? EXIT_DONE : pgpass_add(c, made);

	/* It is made; what could not be written is not lost. */
	if (c->json) {
		print_json(made);
		return rc;
	}
	printf("username  ");
	text_line(stdout, sl_span_str(js(made, "username")), 0);
	if (c->pgpass == NULL || rc != EXIT_DONE) {
		printf("\npassword  ");
		text_line(stdout, sl_span_str(js(made, "password")), 0);
	}
	printf("\nexpires   %s\n", text_time(ju(made, "expires_us"), when));
	if (c->host != NULL)
		print_url(c, made, c->pgpass == NULL || rc != EXIT_DONE);
	return rc;
}

int cmd_login(struct cli *c)
{
	json_t *list = c->resource == NULL ? NULL : resources_of(c->resource);
	json_t *body = list == NULL ? NULL : json_pack("{s:o}", "resources", list);
	char *text;
	struct reply r = {.status = 0};
	int rc;

	if (body == NULL) {
		complain("login needs --resource NAME[,NAME...]");
		return EXIT_USAGE;
	}
	if (c->ttl > 0)
		json_object_set_new(body, "ttl_s", json_integer((json_int_t)c->ttl));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	rc = text == NULL ? EXIT_FAILED
	                  : api_call(c, POST, CRED_URL, "application/json", sl_span_str(text), &r);
	free(text);
	if (rc == EXIT_DONE && !json_is_object(r.json)) {
		complain("the gateway's answer is not understood");
		rc = EXIT_FAILED;
	}
	if (rc == EXIT_DONE)
		rc = print_login(c, r.json);
	if (r.body != NULL)
		sl_cleanse(r.body, r.n);
	reply_free(&r);
	return rc;
}

/* ---- logins, logout ---- */

int cmd_logins(struct cli *c)
{
	static const char *const heads[] = {"ID", "USER", "RESOURCES", "MADE", "EXPIRES"};
	char when[TIME_STR_MAX];
	struct table *t;
	struct reply r;
	json_t *o;
	bool done;
	size_t i;
	int rc = api_get(c, c->all ? CRED_URL "?all=1" : CRED_URL, &r, &done);

	if (rc == EXIT_DONE && !done) {
		t = table_new(heads, 5);
		json_array_foreach(json_object_get(r.json, "session_credentials"), i, o)
		{
			char *list = jlist(o, "resources");

			table_text(t, js(o, "id"));
			table_text(t, js(o, "user"));
			table_text(t, list);
			table_text(t, text_time(ju(o, "created_us"), when));
			table_text(t, text_time(ju(o, "expires_us"), when));
			free(list);
		}
		table_print(t, stdout);
		table_free(t);
	}
	reply_free(&r);
	return rc;
}

static int revoke_one(struct cli *c, const char *id)
{
	char *enc = api_encode(id), *path = NULL, *part = NULL;
	struct reply r = {.status = 0};
	int rc = EXIT_FAILED;

	if (enc != NULL && asprintf(&path, CRED_URL "/%s", enc) < 0)
		path = NULL;
	if (path != NULL)
		rc = api_call(c, DELETE, path, NULL, SL_SPAN_EMPTY, &r);
	if (c->pgpass != NULL && asprintf(&part, "%c%s:", SL_LOGIN_SIGN, id) > 0) {
		struct pgpass_drop drop = {.part = part};
		int err = pgpass_update(c->pgpass, &drop, "");

		rc = rc == EXIT_DONE ? err : rc;
		free(part);
	}
	reply_free(&r);
	free(path);
	free(enc);
	return rc;
}

int cmd_logout(struct cli *c)
{
	struct reply r;
	bool done;
	json_t *o;
	size_t i;
	int rc, one;

	if (c->nb_args == 1)
		return revoke_one(c, c->arg[0]);
	c->json = false; /* the list is ours to read */
	rc = api_get(c, CRED_URL, &r, &done);
	json_array_foreach(rc == EXIT_DONE ? json_object_get(r.json, "session_credentials") : NULL, i, o)
	{
		one = revoke_one(c, js(o, "id"));
		rc = rc == EXIT_DONE ? one : rc;
	}
	reply_free(&r);
	return rc;
}
