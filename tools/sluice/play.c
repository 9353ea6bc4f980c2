#include "play.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "cli.h"
#include "pg_render.h"

#define TEXT_SHOWN_MAX (64u * 1024) /* bytes shown of one statement */
#define INDENT         "            "

enum colour {
	PLAIN,
	RED,
	GREEN,
	YELLOW,
	DIM,
};

struct player {
	FILE *out;
	bool colour, postgres;
	uint64_t start_us;
	struct pg_render *pg;
	/* A command whose text goes on in MORE records. */
	json_t *command;
	char *text;
	size_t nb_text, total;
	FILE *gather;
};

struct player *player_new(FILE *out, bool colour, unsigned long rows_max)
{
	struct player *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->out = out;
	p->colour = colour;
	p->pg = pg_render_new(out, INDENT, rows_max);
	if (p->pg != NULL)
		return p;
	free(p);
	return NULL;
}

static void paint(struct player *p, enum colour colour, const char *s)
{
	static const char *const codes[] = {[PLAIN] = "",
	                                    [RED] = "\033[1;31m",
	                                    [GREEN] = "\033[32m",
	                                    [YELLOW] = "\033[1;33m",
	                                    [DIM] = "\033[2m"};

	if (p->colour && colour != PLAIN)
		fprintf(p->out, "%s%s\033[0m", codes[colour], s);
	else
		fputs(s, p->out);
}

static void put(struct player *p, const char *s)
{
	text_line(p->out, sl_span_str(s), 0);
}

/* "before VALUE after", when there is a value. */
static void put_if(struct player *p, const char *before, const json_t *rec, const char *key,
                   const char *after)
{
	char *s = jtext(rec, key);

	if (s != NULL && s[0] != '\0') {
		fputs(before, p->out);
		put(p, s);
		fputs(after, p->out);
	}
	free(s);
}

/* "+1.234s    " in the margin. */
static void margin(struct player *p, const json_t *rec)
{
	uint64_t t = ju(rec, "t_us"), d = t > p->start_us ? t - p->start_us : 0;
	char s[32];

	snprintf(s, sizeof(s), "+%llu.%03llus", (unsigned long long)(d / 1000000),
	         (unsigned long long)(d / 1000 % 1000));
	fprintf(p->out, "%-*s", (int)sizeof(INDENT) - 1, s);
}

static void head_line(struct player *p, const char *name)
{
	fprintf(p->out, "%-10s", name);
}

/* ---- one function for each kind of record ---- */

static void on_session(struct player *p, const json_t *rec)
{
	char *groups = jlist(rec, "groups"), when[TIME_STR_MAX];

	p->postgres = strcmp(js(rec, "protocol"), "postgres") == 0;
	head_line(p, "who");
	put(p, js(rec, "user"));
	put_if(p, " (", rec, "issuer", ")");
	if (groups != NULL && groups[0] != '\0') {
		fputs(", groups ", p->out);
		put(p, groups);
	}
	fputc('\n', p->out);
	head_line(p, "where");
	put(p, js(rec, "resource"));
	put_if(p, ", database ", rec, "database", "");
	put_if(p, ", as ", rec, "target_user", "");
	put_if(p, ", by ", rec, "protocol", "");
	fputc('\n', p->out);
	head_line(p, "from");
	put_if(p, "", rec, "client", "");
	put_if(p, ", TLS ", rec, "tls", "");
	put_if(p, ", program ", rec, "app", "");
	put_if(p, ", session credential ", rec, "credential", "");
	fputc('\n', p->out);
	head_line(p, "when");
	fprintf(p->out, "%s\n\n", text_time(ju(rec, "t_us"), when));
	free(groups);
}

static void on_refused(struct player *p, const json_t *rec)
{
	margin(p, rec);
	paint(p, RED, "LOGIN REFUSED");
	put_if(p, ": ", rec, "reason", "");
	put_if(p, ", user ", rec, "user", "");
	put_if(p, ", resource ", rec, "resource", "");
	put_if(p, ", from ", rec, "client", "");
	fputc('\n', p->out);
}

static bool is_one_of(const json_t *rec, const char *key, const char *a, const char *b)
{
	char *s = jtext(rec, key);
	bool is = s != NULL && (strcmp(s, a) == 0 || strcmp(s, b) == 0);

	free(s);
	return is;
}

/* More than one rule holds it. */
static void put_rules(struct player *p, const json_t *rules)
{
	const json_t *one;
	size_t i;

	json_array_foreach(rules, i, one)
	{
		fputs(i == 0 ? " by rules " : ", ", p->out);
		text_line(p->out, sl_span(json_string_value(one), json_string_length(one)), 0);
	}
}

static void put_verdict(struct player *p, const json_t *rec)
{
	fputs(INDENT, p->out);
	/* Names, or the numbers that a record may hold in their place. */
	if (is_one_of(rec, "verdict", "deny", "1"))
		paint(p, RED, "DENIED");
	else if (is_one_of(rec, "verdict", "hold", "2"))
		paint(p, YELLOW, "HELD");
	else if (is_one_of(rec, "verdict", "allow", "0"))
		paint(p, GREEN, "ALLOWED");
	else
		put_if(p, "", rec, "verdict", "");
	if (json_array_size(json_object_get(rec, "hold_rules")) > 1)
		put_rules(p, json_object_get(rec, "hold_rules"));
	else
		put_if(p, " by rule ", rec, "rule", "");
	if (!is_one_of(rec, "verdict", "allow", "0"))
		put_if(p, ": ", rec, "message", "");
	put_if(p, ", approval ", rec, "approval", "");
	put_if(p, " (policy ", rec, "policy_version", ")");
	fputc('\n', p->out);
}

static void put_params(struct player *p, const json_t *params)
{
	const json_t *v;
	size_t i;

	if (json_array_size(params) == 0)
		return;
	fputs(INDENT "parameters ", p->out);
	json_array_foreach(params, i, v)
	{
		fprintf(p->out, "%s$%zu = ", i == 0 ? "" : ", ", i + 1);
		if (json_is_string(v)) {
			fputc('\'', p->out);
			text_line(p->out, sl_span(json_string_value(v), json_string_length(v)), 200);
			fputc('\'', p->out);
		} else {
			fputs("NULL", p->out);
		}
	}
	fputc('\n', p->out);
}

static void phase_label(struct player *p, const json_t *rec)
{
	if (is_one_of(rec, "phase", "prepare", "2"))
		paint(p, DIM, "(prepare) ");
	else if (is_one_of(rec, "phase", "execute", "3"))
		paint(p, DIM, "(execute) ");
}

static void print_command(struct player *p, const json_t *rec, struct sl_span text)
{
	const uint8_t *nl = text.n == 0 ? NULL : memchr(text.p, '\n', text.n);

	margin(p, rec);
	fprintf(p->out, "#%llu ", (unsigned long long)ju(rec, "cmd"));
	phase_label(p, rec);
	if (nl == NULL) {
		text_line(p->out, text, TEXT_SHOWN_MAX);
		fputc('\n', p->out);
	} else {
		fputc('\n', p->out);
		text_block(p->out, INDENT, text, TEXT_SHOWN_MAX);
	}
	put_params(p, json_object_get(rec, "params"));
	put_verdict(p, rec);
}

/* The command at hand is whole, or nothing more of it comes. */
static void end_command(struct player *p)
{
	if (p->command == NULL)
		return;
	if (p->gather != NULL)
		fclose(p->gather);
	p->gather = NULL;
	print_command(p, p->command, sl_span(p->text, p->text == NULL ? 0 : p->nb_text));
	/* Longer than was recorded, or than is shown. */
	if (ju(p->command, "length") > p->total || p->total > TEXT_SHOWN_MAX)
		fprintf(p->out, INDENT "[statement of %llu bytes]\n",
		        (unsigned long long)ju(p->command, "length"));
	free(p->text);
	p->text = NULL;
	json_decref(p->command);
	p->command = NULL;
}

static void add_text(struct player *p, const json_t *rec)
{
	const json_t *x = json_object_get(rec, "text");
	size_t n = json_string_length(x);

	if (p->gather == NULL || n == 0)
		return;
	if (p->total < TEXT_SHOWN_MAX)
		fwrite(json_string_value(x), 1, n, p->gather);
	p->total += n;
}

static void on_command(struct player *p, const json_t *rec)
{
	p->command = json_incref((json_t *)(uintptr_t)rec);
	p->total = 0;
	p->gather = open_memstream(&p->text, &p->nb_text);
	add_text(p, rec);
}

static void on_more(struct player *p, const json_t *rec)
{
	add_text(p, rec);
	if (jb(rec, "last"))
		end_command(p);
}

static void on_decision(struct player *p, const json_t *rec)
{
	margin(p, rec);
	fprintf(p->out, "#%llu ", (unsigned long long)ju(rec, "cmd"));
	if (strcmp(js(rec, "outcome"), "approved") == 0) {
		paint(p, GREEN, "APPROVED");
	} else {
		paint(p, RED, "NOT APPROVED");
		put_if(p, ": ", rec, "outcome", "");
	}
	put_if(p, " by ", rec, "by", "");
	put_if(p, ": ", rec, "message", "");
	put_if(p, ": ", rec, "note", "");
	put_if(p, " (approval ", rec, "approval", ")");
	fputc('\n', p->out);
}

static void on_result(struct player *p, const json_t *rec)
{
	char size[TIME_STR_MAX], line[160];

	if (js(rec, "sqlstate")[0] != '\0')
		return; /* the reply itself has said it */
	snprintf(line, sizeof(line), "%llu rows, %s, %llu values masked", (unsigned long long)ju(rec, "rows"),
	         text_bytes(ju(rec, "bytes"), size), (unsigned long long)ju(rec, "masked"));
	if (ju(rec, "masked") == 0)
		*strrchr(line, ',') = '\0';
	margin(p, rec);
	fprintf(p->out, "#%llu ", (unsigned long long)ju(rec, "cmd"));
	paint(p, DIM, line);
	fputc('\n', p->out);
}

/* Base64 (RFC 4648) as the API gives it. NULL when it is not that. */
static uint8_t *decode(const char *s, size_t n, size_t *out_n)
{
	uint8_t *out = n > INT32_MAX || n % 4 != 0 ? NULL : malloc(n / 4 * 3 + 1);
	int got = out == NULL ? -1 : EVP_DecodeBlock(out, (const uint8_t *)s, (int)n);

	if (got < 0) {
		free(out);
		return NULL;
	}
	*out_n = (size_t)got;
	/* EVP_DecodeBlock() counts the padding as bytes. */
	for (size_t i = 0; i < 2 && n > i && s[n - 1 - i] == '='; i++)
		(*out_n)--;
	return out;
}

static void on_data(struct player *p, const json_t *rec)
{
	const json_t *d = json_object_get(rec, "data");
	size_t n = json_string_length(d);
	uint8_t *bytes;

	if (n > 0) {
		bytes = decode(json_string_value(d), n, &n);
		if (bytes == NULL)
			fputs(INDENT "[reply data that is not base64]\n", p->out);
		else if (p->postgres)
			pg_render_feed(p->pg, sl_span(bytes, n));
		else
			fprintf(p->out, INDENT "[%zu bytes]\n", n);
		free(bytes);
	}
	if (ju(rec, "skipped") > 0)
		pg_render_skipped(p->pg, ju(rec, "skipped"));
}

static void on_note(struct player *p, const json_t *rec)
{
	margin(p, rec);
	paint(p, DIM, "note");
	put_if(p, " ", rec, "code", "");
	put_if(p, ": ", rec, "text", "");
	put_if(p, ": ", rec, "message", "");
	fputc('\n', p->out);
}

static void on_end(struct player *p, const json_t *rec)
{
	char in[TIME_STR_MAX], out[TIME_STR_MAX];

	margin(p, rec);
	fputs("END", p->out);
	put_if(p, ": ", rec, "reason", "");
	fprintf(p->out, " (%llu commands, %llu denied, %s in, %s out)\n",
	        (unsigned long long)ju(rec, "commands"), (unsigned long long)ju(rec, "denied"),
	        text_bytes(ju(rec, "bytes_in"), in), text_bytes(ju(rec, "bytes_out"), out));
}

static void on_gap(struct player *p, const json_t *rec)
{
	margin(p, rec);
	paint(p, RED, "GAP");
	put_if(p, ": ", rec, "reason", "");
	fputc('\n', p->out);
}

static const struct {
	const char *kind;
	void (*on)(struct player *p, const json_t *rec);
} kinds[] = {
        {"session", on_session},   {"refused", on_refused}, {"command", on_command}, {"more", on_more},
        {"decision", on_decision}, {"result", on_result},   {"data", on_data},       {"note", on_note},
        {"end", on_end},           {"gap", on_gap},
};

void player_record(struct player *p, const json_t *rec)
{
	const char *kind = js(rec, "kind");
	bool data = strcmp(kind, "data") == 0;

	if (p->start_us == 0)
		p->start_us = ju(rec, "t_us");
	if (strcmp(kind, "more") != 0)
		end_command(p);
	/* A message may go on in the next DATA record; anything else that ends the session ends the stream
	 * too. */
	if (!data && (strcmp(kind, "end") == 0 || strcmp(kind, "gap") == 0))
		pg_render_flush(p->pg);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].kind, kind) == 0) {
			kinds[i].on(p, rec);
			return;
		}
	}
	margin(p, rec);
	fputs("record of unknown kind ", p->out);
	put(p, kind);
	fputc('\n', p->out);
}

void player_free(struct player *p)
{
	if (p == NULL)
		return;
	end_command(p);
	pg_render_free(p->pg);
	free(p);
}
