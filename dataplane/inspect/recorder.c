/*
 * Records. Each is encoded in the worker's scratch and copied into a block only when it is whole, because a
 * block that was taken must be handed over. Whether all blocks of an event are free is asked before the first
 * is taken: an event is recorded wholly or not at all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect_priv.h"
#include "pgvalue.h"
#include "sl_counter.h"

static uint32_t blocks_free(const struct sl_inspect *in)
{
	return sl_store_blocks_free(in->w->cfg.store, in->w->cfg.worker);
}

static struct sl_span head(struct sl_span s, size_t max)
{
	return sl_span_sub(s, 0, max);
}

static void begin(struct sl_inspect *in, struct sl_record_writer *rw, enum sl_record_kind kind,
                  uint32_t nb_pairs)
{
	sl_record_begin(rw, in->w->record, sizeof(in->w->record), kind, in->w->wall_us, in->next_record,
	                nb_pairs);
}

/* Hands the encoded record over. The caller has seen that a block is free. */
static int put(struct sl_inspect *in, struct sl_record_writer *rw, enum sl_record_kind kind, uint64_t *number)
{
	struct sl_inspect_worker *w = in->w;
	int n = sl_record_end(rw);
	struct sl_block *b;

	if (n < 0)
		return sl_fail(n);
	b = sl_store_block_get(w->cfg.store, w->cfg.worker);
	if (b == NULL)
		return SL_AGAIN;
	b->session = in->id;
	b->record = in->next_record++;
	b->kind = (uint8_t)kind;
	b->worker = (uint8_t)w->cfg.worker;
	b->n = (uint16_t)n;
	memcpy(b->data, w->record, (size_t)n);
	*number = sl_store_block_put(w->cfg.store, w->cfg.worker, b);
	return SL_OK;
}

/* A record that must be durable before anything else of this flow goes to the target. */
static int put_barrier(struct sl_inspect *in, struct sl_record_writer *rw, enum sl_record_kind kind)
{
	uint64_t number;
	int rc = put(in, rw, kind, &number);

	if (rc == SL_OK)
		in->barrier = number;
	return rc;
}

static int put_plain(struct sl_inspect *in, struct sl_record_writer *rw, enum sl_record_kind kind)
{
	uint64_t number;

	return put(in, rw, kind, &number);
}

struct sl_span record_event_id(struct sl_inspect *in)
{
	int n = snprintf(in->event_id, sizeof(in->event_id), "%s.%" PRIu64, in->id_str, in->next_record);

	return sl_span(in->event_id, (size_t)n);
}

/* ---- sessions ---- */

static struct sl_span next_group(const struct sl_identity *who, size_t *at)
{
	struct sl_span g = SL_SPAN_EMPTY;

	if (*at < who->groups_n) {
		g = sl_span_str(who->groups + *at);
		*at += g.n + 1;
	}
	return g;
}

int record_session(struct sl_inspect *in, struct sl_span target_user, struct sl_span app)
{
	const struct sl_identity *who = in->who;
	struct sl_record_writer rw;
	uint32_t nb = 0;

	if (blocks_free(in) == 0)
		return SL_AGAIN;
	for (size_t at = 0; next_group(who, &at).p != NULL;)
		nb++;
	begin(in, &rw, SL_REC_SESSION, who->credential[0] != '\0' ? 11 : 10);
	sl_record_str(&rw, "u", sl_span_str(who->name[0] != '\0' ? who->name : who->subject));
	sl_record_str(&rw, "iss", sl_span_str(who->issuer));
	sl_record_array(&rw, "g", nb);
	for (size_t at = 0; nb > 0; nb--)
		sl_record_item(&rw, next_group(who, &at));
	sl_record_str(&rw, "r", sl_span_str(in->resource));
	sl_record_str(&rw, "db", sl_span_str(in->database));
	sl_record_str(&rw, "c", sl_span_str(in->client));
	sl_record_str(&rw, "p", sl_span_str(in->protocol));
	sl_record_str(&rw, "tu", head(target_user, NAME_RECORD_MAX));
	sl_record_bool(&rw, "tls", in->client_tls);
	sl_record_str(&rw, "app", head(app, NAME_RECORD_MAX));
	if (who->credential[0] != '\0')
		sl_record_str(&rw, "cr", sl_span_str(who->credential));
	return put_barrier(in, &rw, SL_REC_SESSION);
}

int record_refused(struct sl_inspect *in, int err, struct sl_span user, struct sl_span resource,
                   struct sl_span text)
{
	struct sl_record_writer rw;

	if (blocks_free(in) == 0)
		return SL_AGAIN;
	begin(in, &rw, SL_REC_REFUSED, 7);
	sl_record_str(&rw, "rs", sl_span_str(sl_err_name(err)));
	sl_record_str(&rw, "u", head(user, NAME_RECORD_MAX));
	sl_record_str(&rw, "r", head(resource, NAME_RECORD_MAX));
	sl_record_str(&rw, "c", sl_span_str(in->client));
	sl_record_str(&rw, "p", sl_span_str(in->protocol));
	sl_record_bool(&rw, "tls", in->client_tls);
	sl_record_str(&rw, "m", head(text, MESSAGE_RECORD_MAX));
	return put_plain(in, &rw, SL_REC_REFUSED);
}

int record_end(struct sl_inspect *in, int err, struct sl_span why, uint64_t bytes_in, uint64_t bytes_out)
{
	char reason[MESSAGE_RECORD_MAX];
	struct sl_record_writer rw;
	struct sl_span text = head(why, MESSAGE_RECORD_MAX - 64);

	if (blocks_free(in) == 0)
		return SL_AGAIN;
	if (err < 0)
		snprintf(reason, sizeof(reason), "%s%s%.*s", sl_err_name(err), text.n > 0 ? ": " : "",
		         (int)text.n, text.n > 0 ? (const char *)text.p : "");
	else
		snprintf(reason, sizeof(reason), "%.*s", text.n > 0 ? (int)text.n : 5,
		         text.n > 0 ? (const char *)text.p : "ended");
	begin(in, &rw, SL_REC_END, 5);
	sl_record_str(&rw, "rs", sl_span_str(reason));
	sl_record_uint(&rw, "nc", in->nb_commands);
	sl_record_uint(&rw, "nd", in->nb_denied);
	sl_record_uint(&rw, "bi", bytes_in);
	sl_record_uint(&rw, "bo", bytes_out);
	return put_plain(in, &rw, SL_REC_END);
}

/* ---- commands ---- */

/* A binary value as text; as hex behind its type where that is not known. Returns its bytes. */
static size_t binary_text(const struct sl_param *p, char *out, size_t room, bool *cut)
{
	static const char digits[] = "0123456789abcdef";
	long k = p->more == 0 ? pgvalue_text(p->type, p->value, out, room, cut) : -1;
	size_t n, shown;

	if (k >= 0)
		return (size_t)k;
	n = (size_t)snprintf(out, room, "binary:%u:", p->type);
	shown = (room - n) / 2 < p->value.n ? (room - n) / 2 : p->value.n;
	for (size_t i = 0; i < shown; i++) {
		out[n++] = digits[p->value.p[i] >> 4];
		out[n++] = digits[p->value.p[i] & 15];
	}
	*cut = shown < p->value.n;
	return n;
}

/* A parameter as it is recorded: text, and what is too long is cut and says so. */
static struct sl_span param_text(const struct sl_param *p, char *out, size_t cap)
{
	size_t n, room = cap - 40; /* for "...[18446744073709551615 bytes]" */
	bool cut = p->value.n > room;

	if (p->value.p == NULL)
		return SL_SPAN_EMPTY;
	if (p->format == 0 && !cut && p->more == 0)
		return sl_span(p->value.p, p->value.n);
	if (p->format == 0) {
		n = cut ? room : p->value.n;
		memcpy(out, p->value.p, n);
	} else {
		n = binary_text(p, out, room, &cut);
	}
	if (cut || p->more > 0)
		n += (size_t)snprintf(out + n, cap - n, "...[%zu bytes]", p->value.n + p->more);
	return sl_span(out, n);
}

#define PARAM_ITEM_EXTRA 3  /* msgpack's header of a string of PARAM_TEXT_MAX */
#define PARAM_LAST_MAX   48 /* "[65535 more parameters]" */

static bool has_params(const struct sl_ev_command *ev)
{
	return ev->nb_params > 0 || ev->nb_more > 0;
}

/* How many of the parameters fit, and the bytes they take. */
static uint32_t params_fit(const struct sl_ev_command *ev, size_t *bytes)
{
	char buf[PARAM_TEXT_MAX];
	uint32_t i;

	*bytes = 0;
	for (i = 0; i < ev->nb_params; i++) {
		size_t n = param_text(&ev->params[i], buf, sizeof(buf)).n + PARAM_ITEM_EXTRA;

		if (*bytes + n > PARAMS_MAX - PARAM_LAST_MAX)
			break;
		*bytes += n;
	}
	*bytes += has_params(ev) ? PARAM_LAST_MAX : 0;
	return i;
}

static void put_params(struct sl_record_writer *rw, const struct sl_ev_command *ev, uint32_t nb_fit)
{
	char buf[PARAM_TEXT_MAX];

	uint32_t nb_more = ev->nb_params - nb_fit + ev->nb_more;

	sl_record_array(rw, "pa", nb_fit + (nb_more > 0));
	for (uint32_t i = 0; i < nb_fit; i++) {
		/* An empty text value is not NULL. */
		struct sl_span text = param_text(&ev->params[i], buf, sizeof(buf));

		sl_record_item(rw, text.p == NULL && ev->params[i].value.p != NULL ? SL_SPAN_LIT("") : text);
	}
	if (nb_more > 0) {
		int n = snprintf(buf, sizeof(buf), "[%u more parameters]", nb_more);

		sl_record_item(rw, sl_span(buf, (size_t)n));
	}
}

static struct sl_span kinds_text(uint64_t kinds, char *out, size_t cap)
{
	size_t n = 0;

	for (int k = 0; k < SL_SQL_KIND_COUNT; k++) {
		const char *name =
		        (kinds & SL_SQL_BIT(k)) != 0 ? sl_sql_kind_name((enum sl_sql_kind)k) : NULL;

		if (name != NULL && n + strlen(name) + 2 < cap)
			n += (size_t)snprintf(out + n, cap - n, "%s%s", n > 0 ? "," : "", name);
	}
	return sl_span(out, n);
}

static const char *phase_name(enum sl_phase phase)
{
	switch (phase) {
	case SL_PHASE_SIMPLE:
		return "simple";
	case SL_PHASE_PREPARE:
		return "prepare";
	case SL_PHASE_EXECUTE:
		return "execute";
	case SL_PHASE_OTHER:
		return "other";
	}
	return "unknown";
}

static void put_rules(struct sl_record_writer *rw, const struct command_record *c)
{
	if (c->nb_logs > 0)
		sl_record_array(rw, "lr", c->nb_logs);
	for (uint32_t i = 0; i < c->nb_logs; i++)
		sl_record_item(rw, sl_span_str(c->s->rules[c->logs[i]].name));
	if (c->nb_holds > 0)
		sl_record_array(rw, "hr", c->nb_holds);
	for (uint32_t i = 0; i < c->nb_holds; i++)
		sl_record_item(rw, sl_span_str(c->holds[i]->name));
}

/* The COMMAND record: its head, parameters and the first part of the text. */
static int put_command(struct sl_inspect *in, const struct command_record *c, struct sl_span text,
                       uint32_t nb_fit)
{
	uint32_t nb_pairs = 8u + (c->rule.n > 0) + (c->message.n > 0) + (c->approval != NULL) +
	                    has_params(c->ev) + (c->shadow != NULL) + (c->shadow_rule.n > 0) +
	                    (c->nb_logs > 0) + (c->nb_holds > 0) + (in->w->stmt.nb_cuts > 0);
	char kinds[512], hash[65], approval[SL_ID_STR_MAX];
	struct sl_record_writer rw;

	hash_hex(c->hash, hash);
	begin(in, &rw, SL_REC_COMMAND, nb_pairs);
	sl_record_uint(&rw, "cmd", c->cmd);
	sl_record_str(&rw, "ph", sl_span_str(phase_name(c->phase)));
	sl_record_str(&rw, "x", text);
	sl_record_str(&rw, "v", sl_span_str(c->verdict));
	if (c->rule.n > 0)
		sl_record_str(&rw, "ru", head(c->rule, NAME_RECORD_MAX));
	if (c->message.n > 0)
		sl_record_str(&rw, "m", head(c->message, MESSAGE_RECORD_MAX));
	sl_record_uint(&rw, "pv", c->policy_version);
	sl_record_str(&rw, "sk", kinds_text(c->kinds, kinds, sizeof(kinds)));
	sl_record_str(&rw, "h", sl_span_str(hash));
	sl_record_uint(&rw, "l", in->w->stmt.total);
	if (in->w->stmt.nb_cuts > 0)
		sl_record_uint(&rw, "pc", in->w->stmt.nb_cuts);
	if (c->approval != NULL)
		sl_record_str(&rw, "ap", sl_span_str(sl_id_str(c->approval, approval)));
	if (has_params(c->ev))
		put_params(&rw, c->ev, nb_fit);
	if (c->shadow != NULL)
		sl_record_str(&rw, "sv", sl_span_str(c->shadow));
	if (c->shadow_rule.n > 0)
		sl_record_str(&rw, "sr", head(c->shadow_rule, NAME_RECORD_MAX));
	put_rules(&rw, c);
	return put_barrier(in, &rw, SL_REC_COMMAND);
}

static int put_more(struct sl_inspect *in, struct sl_span text, bool last)
{
	struct sl_record_writer rw;

	begin(in, &rw, SL_REC_MORE, 2);
	sl_record_str(&rw, "x", text);
	sl_record_bool(&rw, "z", last);
	return put_barrier(in, &rw, SL_REC_MORE);
}

int record_command(struct sl_inspect *in, const struct command_record *c)
{
	const struct statement *st = &in->w->stmt;
	struct statement_at at = {0};
	size_t params_n, first_max;
	uint32_t nb_fit = params_fit(c->ev, &params_n), nb_blocks = 1, blocks_max = in->w->nb_blocks / 2;
	int rc;

	first_max = SL_RECORD_MAX - RECORD_HEAD_MAX - params_n;
	if (first_max > CHUNK_MAX)
		first_max = CHUNK_MAX;
	statement_take(st, &at, first_max, NULL);
	while (at.done < st->total && nb_blocks <= blocks_max) {
		statement_take(st, &at, CHUNK_MAX, NULL);
		nb_blocks++;
	}
	/* Longer than the blocks allow: its start, its length and its hash are kept. */
	if (nb_blocks > blocks_max)
		nb_blocks = 1;
	if (blocks_free(in) < nb_blocks)
		return SL_AGAIN;
	at = (struct statement_at){0};
	rc = put_command(in, c, statement_take(st, &at, first_max, in->w->chunk), nb_fit);
	for (uint32_t i = 1; rc == SL_OK && i < nb_blocks; i++)
		rc = put_more(in, statement_take(st, &at, CHUNK_MAX, in->w->chunk), i + 1 == nb_blocks);
	return rc;
}

int record_decision(struct sl_inspect *in, uint64_t cmd, const struct sl_msg_decision *d, const char *outcome)
{
	char approval[SL_ID_STR_MAX];
	struct sl_record_writer rw;

	if (blocks_free(in) == 0)
		return SL_AGAIN;
	begin(in, &rw, SL_REC_DECISION, 5);
	sl_record_uint(&rw, "cmd", cmd);
	sl_record_str(&rw, "ap", sl_span_str(sl_id_str(&d->approval, approval)));
	sl_record_str(&rw, "o", sl_span_str(outcome));
	sl_record_str(&rw, "by", sl_span(d->by, strnlen(d->by, sizeof(d->by))));
	sl_record_str(&rw, "m", sl_span(d->note, strnlen(d->note, sizeof(d->note))));
	return put_barrier(in, &rw, SL_REC_DECISION);
}

/* ---- replies ---- */

int record_result(struct sl_inspect *in, uint64_t cmd, const struct sl_ev_result *r, bool with_text)
{
	struct sl_span text = with_text ? head(r->message, ERROR_TEXT_MAX) : SL_SPAN_EMPTY;
	struct sl_span tag = head(r->tag, NAME_RECORD_MAX);
	struct sl_record_writer rw;

	if (blocks_free(in) == 0)
		return SL_AGAIN;
	if (r->failed)
		tag = r->local ? SL_SPAN_LIT("refused") : SL_SPAN_LIT("error");
	begin(in, &rw, SL_REC_RESULT, 5u + (r->sqlstate.n > 0) + (text.n > 0));
	sl_record_uint(&rw, "cmd", cmd);
	sl_record_str(&rw, "o", tag);
	sl_record_uint(&rw, "nr", r->rows);
	sl_record_uint(&rw, "nb", r->bytes);
	sl_record_uint(&rw, "nm", r->masked);
	if (r->sqlstate.n > 0)
		sl_record_str(&rw, "es", head(r->sqlstate, 16));
	if (text.n > 0)
		sl_record_str(&rw, "m", text);
	return put_plain(in, &rw, SL_REC_RESULT);
}

int record_note(struct sl_inspect *in, struct sl_span code, struct sl_span text)
{
	struct sl_record_writer rw;

	if (blocks_free(in) == 0)
		return SL_AGAIN;
	begin(in, &rw, SL_REC_NOTE, 2);
	sl_record_str(&rw, "o", head(code, NAME_RECORD_MAX));
	sl_record_str(&rw, "m", head(text, 2 * MESSAGE_RECORD_MAX));
	return put_plain(in, &rw, SL_REC_NOTE);
}

static int put_data(struct sl_inspect *in, uint64_t cmd, struct sl_span bytes, uint64_t skipped)
{
	struct sl_record_writer rw;

	begin(in, &rw, SL_REC_DATA, 2u + (skipped > 0));
	sl_record_uint(&rw, "cmd", cmd);
	sl_record_bin(&rw, "d", bytes);
	if (skipped > 0)
		sl_record_uint(&rw, "sk", skipped);
	return put_plain(in, &rw, SL_REC_DATA);
}

/* What was skipped of one command's reply is told once, in a last DATA record, when another command's reply
 * begins or at the end. */
int record_skipped(struct sl_inspect *in)
{
	int rc;

	if (in->reply.skipped == 0)
		return SL_OK;
	if (blocks_free(in) == 0)
		return SL_AGAIN;
	rc = put_data(in, in->reply.cmd, SL_SPAN_EMPTY, in->reply.skipped);
	if (rc == SL_OK)
		in->reply.skipped = 0;
	return rc;
}

int record_reply(struct sl_inspect *in, uint64_t cmd, struct sl_span bytes)
{
	bool other = cmd != in->reply.cmd;
	uint64_t recorded = other ? 0 : in->reply.recorded, max = in->w->cfg.reply_bytes_max;
	size_t keep = recorded >= max ? 0 : (size_t)(max - recorded < bytes.n ? max - recorded : bytes.n);
	size_t whole = (size_t)(in->w->nb_blocks / 2) *
	               CHUNK_MAX; /* one call never needs more blocks than there are */
	uint64_t nb_blocks;
	int rc = SL_OK;

	if (keep > whole)
		keep = whole;
	nb_blocks = (keep + CHUNK_MAX - 1) / CHUNK_MAX + (other && in->reply.skipped > 0);
	if (nb_blocks > 0 && blocks_free(in) < nb_blocks)
		return SL_AGAIN;
	if (other) {
		rc = record_skipped(in);
		in->reply.cmd = cmd;
		in->reply.recorded = 0;
	}
	for (size_t at = 0; rc == SL_OK && at < keep; at += CHUNK_MAX)
		rc = put_data(in, cmd, sl_span_sub(head(bytes, keep), at, CHUNK_MAX), 0);
	in->reply.recorded += keep;
	in->reply.skipped += bytes.n - keep;
	return rc;
}
