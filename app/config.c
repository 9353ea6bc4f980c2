#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sl_yaml.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define TEXT_MAX       512

struct reader {
	const char *file;
	char *err;
	size_t err_cap;
	char *text; /* room for what is wrong: TEXT_MAX bytes */
};

enum field_type {
	FIELD_STRING,
	FIELD_UINT, /* uint64_t, as are the three below; each may have a range */
	FIELD_BYTES,
	FIELD_DURATION,
	FIELD_UINT32, /* the same three in a uint32_t */
	FIELD_BYTES32,
	FIELD_DURATION32,
	FIELD_MS32,  /* a duration of milliseconds, */
	FIELD_US32,  /* of microseconds, */
	FIELD_PPM32, /* a rate, all in a uint32_t */
	FIELD_BOOL,
	FIELD_PREFIX,
	FIELD_ADDR,
	FIELD_ENDPOINT,
	FIELD_POLL,
	FIELD_FAULT,
	FIELD_SECTION, /* read by its own function */
};

struct field {
	const char *key;
	enum field_type type;
	bool required;
	size_t offset;
	uint64_t min, max; /* of a number; max 0: any */
};

/* The longest key's distance at which another one is proposed. */
#define HINT_DISTANCE 2
#define HINT_KEY_MAX  32

/* Says where it is wrong; r->text says what. */
static int fail_at(const struct reader *r, const struct sl_yaml_node *at)
{
	snprintf(r->err, r->err_cap, "%s:%u:%u: %s", r->file, at == NULL ? 1 : at->line,
	         at == NULL ? 1 : at->column, r->text);
	return SL_E_CONFIG;
}

#define fail(r, at, ...) (snprintf((r)->text, TEXT_MAX, __VA_ARGS__), fail_at(r, at))

/* Levenshtein's distance of two short words; large when one is too long. */
static size_t distance(const char *a, const char *b)
{
	size_t row[HINT_KEY_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > HINT_KEY_MAX || nb > HINT_KEY_MAX)
		return HINT_KEY_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[nb];
}

static int unknown_key(const struct reader *r, const struct sl_yaml_node *n, const struct field *fields)
{
	const struct field *best = NULL;
	size_t least = HINT_DISTANCE + 1;

	for (const struct field *f = fields; f->key != NULL; f++) {
		size_t d = distance(n->key, f->key);

		if (d < least) {
			least = d;
			best = f;
		}
	}
	if (best == NULL)
		return fail(r, n, "unknown key '%s'", n->key);
	return fail(r, n, "unknown key '%s' (did you mean '%s'?)", n->key, best->key);
}

/* A time that would be rounded is not what was asked for. */
static int set_fine_duration(const struct sl_yaml_node *n, enum field_type type, uint64_t *v)
{
	int err = sl_yaml_duration_us(n, v);

	if (err < 0 || type == FIELD_US32)
		return err;
	if (*v % 1000 != 0)
		return SL_E_CONFIG;
	*v /= 1000;
	return SL_OK;
}

static int set_number(const struct sl_yaml_node *n, enum field_type type, uint64_t *v)
{
	switch (type) {
	case FIELD_BYTES:
	case FIELD_BYTES32:
		return sl_yaml_bytes(n, v);
	case FIELD_DURATION:
	case FIELD_DURATION32:
		return sl_yaml_duration_s(n, v);
	case FIELD_MS32:
	case FIELD_US32:
		return set_fine_duration(n, type, v);
	case FIELD_PPM32:
		return sl_yaml_ppm(n, v);
	default:
		return sl_yaml_uint(n, v);
	}
}

static int set_value(const struct sl_yaml_node *n, enum field_type type, void *out)
{
	switch (type) {
	case FIELD_STRING:
		*(const char **)out = n->scalar;
		return n->scalar[0] == '\0' ? SL_E_CONFIG : SL_OK;
	case FIELD_BOOL:
		return sl_yaml_bool(n, out);
	case FIELD_PREFIX:
		return sl_prefix_parse(n->scalar, out);
	case FIELD_ADDR:
		return sl_addr_parse(n->scalar, out);
	case FIELD_ENDPOINT:
		return sl_endpoint_parse(n->scalar, out);
	case FIELD_POLL:
		*(bool *)out = strcmp(n->scalar, "full") == 0;
		return *(bool *)out || strcmp(n->scalar, "adaptive") == 0 ? SL_OK : SL_E_CONFIG;
	case FIELD_FAULT:
		*(bool *)out = strcmp(n->scalar, "exit") == 0;
		return *(bool *)out || strcmp(n->scalar, "contain") == 0 ? SL_OK : SL_E_CONFIG;
	default:
		return SL_E_CONFIG;
	}
}

static const char *type_text(enum field_type type)
{
	static const char *const texts[] = {
	        [FIELD_STRING] = "a text that is not empty",
	        [FIELD_UINT] = "a whole number",
	        [FIELD_BOOL] = "true or false",
	        [FIELD_BYTES] = "a size like 512M or 4G",
	        [FIELD_DURATION] = "a duration like 10s or 5m",
	        [FIELD_UINT32] = "a whole number",
	        [FIELD_BYTES32] = "a size like 512K or 4M",
	        [FIELD_DURATION32] = "a duration like 10s or 5m",
	        [FIELD_MS32] = "a duration like 250ms or 10s",
	        [FIELD_US32] = "a duration like 250us or 10ms",
	        [FIELD_PPM32] = "a rate like 1%, 0.25% or 30ppm",
	        [FIELD_PREFIX] = "an address with its prefix length, like 10.0.0.1/24",
	        [FIELD_ADDR] = "an address",
	        [FIELD_ENDPOINT] = "an address with a port, like 10.0.0.1:5432",
	        [FIELD_POLL] = "adaptive or full",
	        [FIELD_FAULT] = "contain or exit",
	        [FIELD_SECTION] = "a section",
	};

	return texts[type];
}

/* What a range is counted in. */
static const char *type_unit(enum field_type type)
{
	switch (type) {
	case FIELD_BYTES:
	case FIELD_BYTES32:
		return " bytes";
	case FIELD_DURATION:
	case FIELD_DURATION32:
		return " s";
	case FIELD_MS32:
		return " ms";
	case FIELD_US32:
		return " us";
	case FIELD_PPM32:
		return " ppm";
	default:
		return "";
	}
}

static bool is_number(enum field_type type)
{
	return type >= FIELD_UINT && type <= FIELD_PPM32;
}

static int read_number(const struct reader *r, const struct sl_yaml_node *n, const struct field *f,
                       uint8_t *out)
{
	uint64_t v, max = f->max != 0 ? f->max : f->type >= FIELD_UINT32 ? UINT32_MAX : UINT64_MAX;

	if (set_number(n, f->type, &v) < 0)
		return fail(r, n, "'%s' must be %s", n->key, type_text(f->type));
	if (v < f->min || v > max)
		return fail(r, n, "'%s' must be %s from %" PRIu64 " to %" PRIu64 "%s", n->key,
		            type_text(f->type), f->min, max, type_unit(f->type));
	if (f->type >= FIELD_UINT32)
		*(uint32_t *)(void *)(out + f->offset) = (uint32_t)v;
	else
		*(uint64_t *)(void *)(out + f->offset) = v;
	return SL_OK;
}

static int read_field(const struct reader *r, const struct sl_yaml_node *n, const struct field *f,
                      uint8_t *out)
{
	if (f->type == FIELD_SECTION)
		return SL_OK;
	if (n->type != SL_YAML_SCALAR)
		return fail(r, n, "'%s' must be %s", n->key, type_text(f->type));
	if (is_number(f->type))
		return read_number(r, n, f, out);
	if (set_value(n, f->type, out + f->offset) < 0)
		return fail(r, n, "'%s' must be %s", n->key, type_text(f->type));
	return SL_OK;
}

/* Fills a struct from a map by its table; what the table does not know is refused. */
static int read_map(const struct reader *r, const struct sl_yaml_node *map, const struct field *fields,
                    void *out)
{
	if (map == NULL || map->type != SL_YAML_MAP)
		return fail(r, map, "a map of keys is wanted here");
	for (const struct sl_yaml_node *n = map->first; n != NULL; n = n->next) {
		const struct field *f = fields;
		int err;

		while (f->key != NULL && strcmp(f->key, n->key) != 0)
			f++;
		if (f->key == NULL)
			return unknown_key(r, n, fields);
		err = read_field(r, n, f, out);
		if (err < 0)
			return err;
	}
	for (const struct field *f = fields; f->key != NULL; f++) {
		if (f->required && sl_yaml_get(map, f->key) == NULL)
			return fail(r, map, "'%s' is missing", f->key);
	}
	return SL_OK;
}

#define AT(type, member) offsetof(struct type, member)

#define VLAN_MAX        4094
#define MTU_MIN         576
#define MTU_MAX         9216
#define SESSIONS_MAX    1000000
#define MBUFS_MIN       1024
#define MBUFS_MAX       (16u << 20)
#define TCP_BUF_MIN     (16u << 10)
#define TCP_BUF_MAX     (64u << 20)
#define BACKLOG_MAX     65536
#define HALF_OPEN_MAX   (1u << 20)
#define CAP_BYTES_MIN   (1u << 20) /* a cap on bytes that a connection could not move under is a mistake */
#define TIMEOUT_MAX_MS  (24 * 3600 * 1000) /* TCP's patience with a silent peer */
#define PPM             1000000
#define IMPAIR_QUEUE    65536 /* the bounds of a port's impairment */
#define IMPAIR_DELAY_US (60 * 1000 * 1000)
#define IMPAIR_CUT_MS   (24 * 3600 * 1000)
#define MESSAGE_MIN     (64u << 10)
#define MESSAGE_MAX     (16u << 20)
#define SESSION_MEMORY  (64u << 10) /* per session, when not said */
#define UNAUTHENTICATED 4           /* a fourth of the sessions, when not said */

static const struct field port_fields[] = {
        {"device", FIELD_STRING, true, AT(config_port, device)},
        {"address", FIELD_SECTION, false, 0},   /* one, */
        {"addresses", FIELD_SECTION, false, 0}, /* or a list */
        {"vlan", FIELD_UINT, false, AT(config_port, vlan), 0, VLAN_MAX},
        {"mtu", FIELD_UINT, false, AT(config_port, mtu), MTU_MIN, MTU_MAX},
        {"softwareChecksum", FIELD_BOOL, false, AT(config_port, software_checksum)},
        {"impairment", FIELD_SECTION, false, 0},
        {0},
};

static const struct field impair_fields[] = {
        {"seed", FIELD_UINT, false, AT(sl_port_impair, seed)},
        {"queue", FIELD_UINT32, false, AT(sl_port_impair, queue_packets), 1, IMPAIR_QUEUE},
        {"receive", FIELD_SECTION, false, 0},
        {"send", FIELD_SECTION, false, 0},
        {"cut", FIELD_SECTION, false, 0},
        {0},
};

static const struct field impair_dir_fields[] = {
        {"drop", FIELD_PPM32, false, AT(sl_port_impair_dir, drop_ppm), 0, PPM},
        {"duplicate", FIELD_PPM32, false, AT(sl_port_impair_dir, duplicate_ppm), 0, PPM},
        {"reorder", FIELD_PPM32, false, AT(sl_port_impair_dir, reorder_ppm), 0, PPM},
        {"reorderBy", FIELD_US32, false, AT(sl_port_impair_dir, reorder_us), 1, IMPAIR_DELAY_US},
        {"corrupt", FIELD_PPM32, false, AT(sl_port_impair_dir, corrupt_ppm), 0, PPM},
        {"delay", FIELD_US32, false, AT(sl_port_impair_dir, delay_us), 0, IMPAIR_DELAY_US},
        {"jitter", FIELD_US32, false, AT(sl_port_impair_dir, jitter_us), 0, IMPAIR_DELAY_US},
        {0},
};

static const struct field impair_cut_fields[] = {
        {"after", FIELD_MS32, false, AT(sl_port_impair, cut_after_ms), 0, IMPAIR_CUT_MS},
        {"for", FIELD_MS32, true, AT(sl_port_impair, cut_for_ms), 1, IMPAIR_CUT_MS},
        {"every", FIELD_MS32, false, AT(sl_port_impair, cut_every_ms), 1, IMPAIR_CUT_MS},
        {0},
};

static const struct field route_fields[] = {
        {"to", FIELD_PREFIX, true, AT(config_route, to)},
        {"via", FIELD_ADDR, true, AT(config_route, via)},
        {"device", FIELD_STRING, false, AT(config_route, device)},
        {0},
};

static const struct field listener_fields[] = {
        {"name", FIELD_STRING, true, AT(config_listener, name)},
        {"protocol", FIELD_STRING, true, AT(config_listener, protocol)},
        {"address", FIELD_ENDPOINT, true, AT(config_listener, address)},
        {"resource", FIELD_STRING, false, AT(config_listener, resource)},
        {"insecure", FIELD_BOOL, false, AT(config_listener, insecure)},
        {"maxConnections", FIELD_UINT32, false, AT(config_listener, max_conns), 0, 16u << 20},
        {"memory", FIELD_BYTES, false, AT(config_listener, max_bytes), CAP_BYTES_MIN, 1ull << 40},
#ifdef SL_TEST_SERVICES
        {"target", FIELD_ENDPOINT, false, AT(config_listener, target)},
#endif
        {"tls", FIELD_SECTION, false, 0},
        {0},
};

static const struct field listener_tls_fields[] = {
        {"certFile", FIELD_STRING, true, AT(config_listener, cert_file)},
        {"keyFile", FIELD_STRING, true, AT(config_listener, key_file)},
        {0},
};

static const struct field mgmt_fields[] = {
        {"listen", FIELD_STRING, true, AT(config, mgmt_listen)},
        {"tls", FIELD_SECTION, true, 0},
        {"masterKeyFile", FIELD_STRING, true, AT(config, master_key)},
        {"policyBootstrap", FIELD_STRING, false, AT(config, bootstrap)},
        {0},
};

static const struct field mgmt_tls_fields[] = {
        {"certFile", FIELD_STRING, true, AT(config, mgmt_cert)},
        {"keyFile", FIELD_STRING, true, AT(config, mgmt_key)},
        {0},
};

static const struct field store_fields[] = {
        {"path", FIELD_STRING, true, AT(config, store_path)},
        {"signKeyFile", FIELD_STRING, true, AT(config, sign_key)},
        {"size", FIELD_BYTES, false, AT(config, store_bytes)},
        {0},
};

static const struct field limit_fields[] = {
        {"sessions", FIELD_UINT, false, AT(config, max_sessions), 1, SESSIONS_MAX},
        {"unauthenticated", FIELD_UINT, false, AT(config, max_unauthenticated), 1, SESSIONS_MAX},
        {"sessionMemory", FIELD_BYTES, false, AT(config, session_memory), 1u << 20, 1ull << 40},
        {"messageBytes", FIELD_BYTES, false, AT(config, message_bytes), MESSAGE_MIN, MESSAGE_MAX},
        {"loginTimeout", FIELD_DURATION, false, AT(config, login_timeout_s)},
        {"catalogAge", FIELD_DURATION32, false, AT(config, catalog_age_s), 1, 86400},
        {"recordReplies", FIELD_BOOL, false, AT(config, record_replies)},
        {"replyRecordBytes", FIELD_BYTES, false, AT(config, reply_bytes)},
        {0},
};

static const struct field tcp_fields[] = {
        {"keepAlive", FIELD_DURATION32, false, AT(config, tcp.keepalive_idle_s), 0, 86400},
        {"keepAliveInterval", FIELD_DURATION32, false, AT(config, tcp.keepalive_intvl_s), 1, 3600},
        {"keepAliveProbes", FIELD_UINT32, false, AT(config, tcp.keepalive_probes), 1, 100},
        {"receiveBuffer", FIELD_BYTES32, false, AT(config, tcp.rx_buf_bytes), TCP_BUF_MIN, TCP_BUF_MAX},
        {"sendBuffer", FIELD_BYTES32, false, AT(config, tcp.tx_buf_bytes), TCP_BUF_MIN, TCP_BUF_MAX},
        {"receiveBufferMax", FIELD_BYTES32, false, AT(config, tcp.rx_buf_max), TCP_BUF_MIN, TCP_BUF_MAX},
        {"sendBufferMax", FIELD_BYTES32, false, AT(config, tcp.tx_buf_max), TCP_BUF_MIN, TCP_BUF_MAX},
        {"backlog", FIELD_UINT32, false, AT(config, backlog), 1, BACKLOG_MAX},
        {"userTimeout", FIELD_MS32, false, AT(config, tcp.user_timeout_ms), 0, TIMEOUT_MAX_MS},
        {"ecn", FIELD_BOOL, false, AT(config, tcp.ecn)},
        {"memory", FIELD_BYTES, false, AT(config, tcp.max_total_bytes), 1u << 20, 1ull << 40},
        {"maxConnections", FIELD_UINT32, false, AT(config, tcp.max_conns), 1, 16u << 20},
        {"maxTimeWait", FIELD_UINT32, false, AT(config, tcp.max_time_wait), 1, 64u << 20},
        {"maxHalfOpen", FIELD_UINT32, false, AT(config, tcp.max_half_open), 1, HALF_OPEN_MAX},
        {"maxHalfOpenPerSource", FIELD_UINT32, false, AT(config, tcp.max_half_open_per_source), 1,
         HALF_OPEN_MAX},
        {"maxConnectionsPerSource", FIELD_UINT32, false, AT(config, tcp.max_conns_per_source), 0, 16u << 20},
        {"memoryPerSource", FIELD_BYTES, false, AT(config, tcp.max_bytes_per_source), CAP_BYTES_MIN,
         1ull << 40},
        {0},
};

static const struct field root_fields[] = {
        {"eal", FIELD_SECTION, false, 0},
        {"workers", FIELD_UINT, false, AT(config, workers)},
        {"mainCore", FIELD_UINT, false, AT(config, main_core)},
        {"cores", FIELD_SECTION, false, 0},
        {"poll", FIELD_POLL, false, AT(config, full_poll)},
        {"onWorkerFault", FIELD_FAULT, false, AT(config, exit_on_fault)},
        {"mbufs", FIELD_UINT, false, AT(config, mbufs), MBUFS_MIN, MBUFS_MAX},
        {"stackMbufs", FIELD_UINT, false, AT(config, stack_mbufs), MBUFS_MIN, MBUFS_MAX},
        {"ports", FIELD_SECTION, true, 0},
        {"routes", FIELD_SECTION, false, 0},
        {"listeners", FIELD_SECTION, true, 0},
        {"management", FIELD_SECTION, true, 0},
        {"store", FIELD_SECTION, true, 0},
        {"limits", FIELD_SECTION, false, 0},
        {"tcp", FIELD_SECTION, false, 0},
        {0},
};

/* A list of maps into an array of structs. */
static int read_list(const struct reader *r, const struct sl_yaml_node *list, const struct field *fields,
                     void *array, size_t item_bytes, uint32_t max, uint32_t *nb)
{
	if (list == NULL)
		return SL_OK;
	if (list->type != SL_YAML_LIST)
		return fail(r, list, "'%s' must be a list", list->key);
	for (const struct sl_yaml_node *n = list->first; n != NULL; n = n->next) {
		int err;

		if (*nb == max)
			return fail(r, n, "more than %u entries in '%s'", max, list->key);
		err = read_map(r, n, fields, (uint8_t *)array + (*nb)++ * item_bytes);
		if (err < 0)
			return err;
	}
	return SL_OK;
}

static int read_eal(const struct reader *r, const struct sl_yaml_node *list, struct config *c)
{
	if (list == NULL)
		return SL_OK;
	if (list->type != SL_YAML_LIST)
		return fail(r, list, "'eal' must be a list of arguments");
	for (const struct sl_yaml_node *n = list->first; n != NULL; n = n->next) {
		if (n->type != SL_YAML_SCALAR || c->nb_eal == CONFIG_EAL_MAX)
			return fail(r, n, "at most %d arguments, each a text", CONFIG_EAL_MAX);
		c->eal[c->nb_eal++] = n->scalar;
	}
	return SL_OK;
}

static int read_cores(const struct reader *r, const struct sl_yaml_node *list, struct config *c)
{
	if (list == NULL)
		return SL_OK;
	if (list->type != SL_YAML_LIST)
		return fail(r, list, "'cores' must be a list of core numbers, one for each worker");
	for (const struct sl_yaml_node *n = list->first; n != NULL; n = n->next) {
		if (c->nb_cores == SL_STORE_WORKERS_MAX || sl_yaml_uint(n, &c->cores[c->nb_cores]) < 0)
			return fail(r, n, "'cores' must be a list of core numbers, one for each worker");
		c->nb_cores++;
	}
	return SL_OK;
}

static int add_address(const struct reader *r, const struct sl_yaml_node *n, struct config_port *p)
{
	if (p->nb_addresses == CONFIG_ADDRS_MAX)
		return fail(r, n, "a port has at most %d addresses", CONFIG_ADDRS_MAX);
	if (n->type != SL_YAML_SCALAR || sl_prefix_parse(n->scalar, &p->addresses[p->nb_addresses]) < 0)
		return fail(r, n, "'%s' must be %s", n->key != NULL ? n->key : "addresses",
		            type_text(FIELD_PREFIX));
	p->nb_addresses++;
	return SL_OK;
}

static int read_addresses(const struct reader *r, const struct sl_yaml_node *list, struct config *c)
{
	uint32_t i = 0;

	for (const struct sl_yaml_node *n = list->first; n != NULL; n = n->next, i++) {
		const struct sl_yaml_node *one = sl_yaml_get(n, "address"),
		                          *many = sl_yaml_get(n, "addresses");
		int err = SL_OK;

		if ((one == NULL) == (many == NULL))
			return fail(r, n, "a port needs 'address' or a list 'addresses'");
		if (one != NULL)
			err = add_address(r, one, &c->ports[i]);
		else if (many->type != SL_YAML_LIST || many->first == NULL)
			err = fail(r, many,
			           "'addresses' must be a list of addresses with their prefix lengths");
		for (const struct sl_yaml_node *a = many == NULL ? NULL : many->first;
		     err == SL_OK && a != NULL; a = a->next)
			err = add_address(r, a, &c->ports[i]);
		if (err < 0)
			return err;
	}
	return SL_OK;
}

static int read_impairment(const struct reader *r, const struct sl_yaml_node *n, struct sl_port_impair *out)
{
	const struct sl_yaml_node *rx = sl_yaml_get(n, "receive"), *tx = sl_yaml_get(n, "send"),
	                          *cut = sl_yaml_get(n, "cut");
	int err = read_map(r, n, impair_fields, out);

	if (err == SL_OK && rx != NULL)
		err = read_map(r, rx, impair_dir_fields, &out->rx);
	if (err == SL_OK && tx != NULL)
		err = read_map(r, tx, impair_dir_fields, &out->tx);
	if (err == SL_OK && cut != NULL)
		err = read_map(r, cut, impair_cut_fields, out);
	if (err == SL_OK && out->cut_every_ms != 0 && out->cut_every_ms <= out->cut_for_ms)
		err = fail(r, cut, "'every' must be longer than 'for': the link would never be up");
	return err;
}

static int read_impairments(const struct reader *r, const struct sl_yaml_node *list, struct config *c)
{
	int err = SL_OK;
	uint32_t i = 0;

	for (const struct sl_yaml_node *n = list->first; n != NULL && err == SL_OK; n = n->next, i++) {
		const struct sl_yaml_node *impairment = sl_yaml_get(n, "impairment");

		c->ports[i].impaired = impairment != NULL;
		if (impairment != NULL)
			err = read_impairment(r, impairment, &c->ports[i].impair);
	}
	return err;
}

static int read_listener_tls(const struct reader *r, const struct sl_yaml_node *list, struct config *c)
{
	uint32_t i = 0;

	for (const struct sl_yaml_node *n = list->first; n != NULL; n = n->next, i++) {
		const struct sl_yaml_node *tls = sl_yaml_get(n, "tls");
		int err = tls == NULL ? SL_OK : read_map(r, tls, listener_tls_fields, &c->listeners[i]);

		if (err < 0)
			return err;
		if (tls == NULL && !c->listeners[i].insecure)
			return fail(r, n, "a listener needs 'tls' (or, in a lab, insecure: true)");
		if (!sl_worker_protocol(c->listeners[i].protocol))
			return fail(r, n, "no protocol '%s' in this build", c->listeners[i].protocol);
		if (strcmp(c->listeners[i].protocol, "relay") == 0 && c->listeners[i].target.port == 0)
			return fail(r, n, "a relay needs a 'target'");
	}
	return SL_OK;
}

static bool is_ours(const struct config *c, const struct sl_addr *a)
{
	for (uint32_t i = 0; i < c->nb_ports; i++)
		for (uint32_t k = 0; k < c->ports[i].nb_addresses; k++)
			if (sl_addr_eq(&c->ports[i].addresses[k].addr, a))
				return true;
	return false;
}

static bool is_near(const struct config *c, const struct sl_addr *a)
{
	for (uint32_t i = 0; i < c->nb_ports; i++)
		for (uint32_t k = 0; k < c->ports[i].nb_addresses; k++)
			if (sl_prefix_has(&c->ports[i].addresses[k], a))
				return true;
	return false;
}

/* A listener's address is one of a port. */
static int check_listeners(const struct reader *r, const struct sl_yaml_node *root, const struct config *c)
{
	const struct sl_yaml_node *n = sl_yaml_get(root, "listeners");
	char text[SL_ADDR_STR_MAX];
	uint32_t i = 0;

	for (n = n->first; n != NULL; n = n->next, i++) {
		const struct sl_addr *a = &c->listeners[i].address.addr;

		if (!is_ours(c, a))
			return fail(r, sl_yaml_get(n, "address"), "no port has the address %s",
			            sl_addr_str(a, text));
	}
	return SL_OK;
}

static bool is_link_local(const struct sl_addr *a)
{
	return a->family == SL_AF_INET6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static bool has_ip6(const struct config_port *p)
{
	for (uint32_t i = 0; i < p->nb_addresses; i++)
		if (p->addresses[i].addr.family == SL_AF_INET6)
			return true;
	return false;
}

/* A link-local next hop says nothing of its link: the port is named, and speaks IPv6. */
static int check_link_local(const struct reader *r, const struct sl_yaml_node *n, const struct config *c,
                            struct config_route *route)
{
	if (route->device == NULL)
		return fail(r, n, "a link-local 'via' needs 'device': the port that it is on");
	while (route->port < c->nb_ports && strcmp(c->ports[route->port].device, route->device) != 0)
		route->port++;
	if (route->port == c->nb_ports)
		return fail(r, sl_yaml_get(n, "device"), "no port has the device '%s'", route->device);
	if (!has_ip6(&c->ports[route->port]))
		return fail(r, sl_yaml_get(n, "device"), "port '%s' has no IPv6 address", route->device);
	return SL_OK;
}

static int check_route(const struct reader *r, const struct sl_yaml_node *n, const struct config *c,
                       struct config_route *route)
{
	char text[SL_ADDR_STR_MAX];

	if (route->to.addr.family != route->via.family)
		return fail(r, n, "'to' and 'via' must be of one family");
	if (is_link_local(&route->via))
		return check_link_local(r, n, c, route);
	if (route->device != NULL)
		return fail(r, sl_yaml_get(n, "device"), "'device' is for a link-local 'via' only");
	if (!is_near(c, &route->via))
		return fail(r, sl_yaml_get(n, "via"),
		            "no port's subnet has %s: a route's next hop must be a neighbour",
		            sl_addr_str(&route->via, text));
	return SL_OK;
}

static int check_routes(const struct reader *r, const struct sl_yaml_node *root, struct config *c)
{
	const struct sl_yaml_node *n = sl_yaml_get(root, "routes");
	int err = SL_OK;

	n = n == NULL ? NULL : n->first;
	for (uint32_t i = 0; n != NULL && err == SL_OK; n = n->next, i++)
		err = check_route(r, n, c, &c->routes[i]);
	return err;
}

/* A device is one port's, and there, as far as can be known now. */
static int check_ports(const struct reader *r, const struct sl_yaml_node *root, const struct config *c)
{
	const struct sl_yaml_node *n = sl_yaml_get(root, "ports")->first;
	char why[TEXT_MAX / 2];

	for (uint32_t i = 0; n != NULL; n = n->next, i++) {
		const char *device = c->ports[i].device;

		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(c->ports[k].device, device) == 0)
				return fail(r, sl_yaml_get(n, "device"),
				            "'ports[%u].device' is '%s', as is 'ports[%u].device'", i, device,
				            k);
		}
		if (sl_port_check(device, why, sizeof(why)) != SL_OK)
			return fail(r, sl_yaml_get(n, "device"), "'ports[%u].device': %s", i, why);
	}
	return SL_OK;
}

static int check(const struct reader *r, const struct sl_yaml_node *root, struct config *c)
{
	int err;

	if (c->workers == 0 || c->workers > SL_STORE_WORKERS_MAX)
		return fail(r, root, "'workers' must be 1 to %d", SL_STORE_WORKERS_MAX);
	if (c->nb_cores != 0 && c->nb_cores != c->workers)
		return fail(r, root, "'cores' must name one core for each worker");
	if (c->nb_ports == 0)
		return fail(r, root, "'ports' must name a port at least");
	err = check_ports(r, root, c);
	if (err == SL_OK)
		err = check_listeners(r, root, c);
	return err == SL_OK ? check_routes(r, root, c) : err;
}

/* What hangs on other keys, where nothing was said. */
static void defaults(struct config *c)
{
	if (c->max_unauthenticated == 0)
		c->max_unauthenticated = c->max_sessions / UNAUTHENTICATED + 1;
	if (c->session_memory == 0)
		c->session_memory = c->max_sessions * SESSION_MEMORY;
}

static int read_root(const struct reader *r, const struct sl_yaml_node *root, struct config *c)
{
	int err = read_map(r, root, root_fields, c);

	if (err == SL_OK)
		err = read_eal(r, sl_yaml_get(root, "eal"), c);
	if (err == SL_OK)
		err = read_cores(r, sl_yaml_get(root, "cores"), c);
	if (err == SL_OK)
		err = read_list(r, sl_yaml_get(root, "ports"), port_fields, c->ports, sizeof(c->ports[0]),
		                SL_NET_PORTS_MAX, &c->nb_ports);
	if (err == SL_OK)
		err = read_addresses(r, sl_yaml_get(root, "ports"), c);
	if (err == SL_OK)
		err = read_impairments(r, sl_yaml_get(root, "ports"), c);
	if (err == SL_OK)
		err = read_list(r, sl_yaml_get(root, "routes"), route_fields, c->routes, sizeof(c->routes[0]),
		                SL_NET_ROUTES_MAX, &c->nb_routes);
	if (err == SL_OK)
		err = read_list(r, sl_yaml_get(root, "listeners"), listener_fields, c->listeners,
		                sizeof(c->listeners[0]), SL_WORKER_LISTENERS_MAX, &c->nb_listeners);
	if (err == SL_OK)
		err = read_listener_tls(r, sl_yaml_get(root, "listeners"), c);
	if (err == SL_OK)
		err = read_map(r, sl_yaml_get(root, "management"), mgmt_fields, c);
	if (err == SL_OK)
		err = read_map(r, sl_yaml_get(sl_yaml_get(root, "management"), "tls"), mgmt_tls_fields, c);
	if (err == SL_OK)
		err = read_map(r, sl_yaml_get(root, "store"), store_fields, c);
	if (err == SL_OK && sl_yaml_get(root, "limits") != NULL)
		err = read_map(r, sl_yaml_get(root, "limits"), limit_fields, c);
	if (err == SL_OK && sl_yaml_get(root, "tcp") != NULL)
		err = read_map(r, sl_yaml_get(root, "tcp"), tcp_fields, c);
	defaults(c);
	return err == SL_OK ? check(r, root, c) : err;
}

static int read_file(const struct reader *r, uint8_t **text, size_t *n)
{
	FILE *f = fopen(r->file, "re");

	if (f == NULL)
		return fail(r, NULL, "cannot be opened");
	*text = malloc(FILE_MAX_BYTES);
	*n = *text == NULL ? 0 : fread(*text, 1, FILE_MAX_BYTES, f);
	fclose(f);
	if (*n == 0 || *n == FILE_MAX_BYTES) {
		free(*text);
		*text = NULL;
		return fail(r, NULL, "cannot be read, is empty or larger than %d bytes", FILE_MAX_BYTES);
	}
	return SL_OK;
}

int config_load(const char *file, struct config *out, char *err, size_t err_cap)
{
	char what[TEXT_MAX];
	struct reader r = {file, err, err_cap, what};
	struct sl_yaml_error yerr = {0};
	uint8_t *text = NULL;
	size_t n = 0;
	int rc;

	*out = (struct config){
	        .workers = 1,
	        .mbufs = 16384,
	        .stack_mbufs = 16384,
	        .backlog = 1024,
	        .tcp = {.keepalive_idle_s = 60, .ecn = true, .pacing = true},
	        .store_bytes = 4ull << 30,
	        .max_sessions = 4096,
	        .message_bytes = 1 << 20,
	        .login_timeout_s = 10,
	        .catalog_age_s = 60,
	        .reply_bytes = 1 << 20,
	        .record_replies = true,
	};
	rc = read_file(&r, &text, &n);
	if (rc < 0 || text == NULL)
		return SL_E_CONFIG;
	rc = sl_yaml_parse(sl_span(text, n), &out->doc, &yerr);
	free(text);
	if (rc < 0) {
		snprintf(err, err_cap, "%s:%u:%u: %s", file, yerr.line, yerr.column, yerr.text);
		return SL_E_CONFIG;
	}
	if (out->doc == NULL || out->doc->next != NULL)
		rc = fail(&r, NULL, "one document is wanted");
	else
		rc = read_root(&r, out->doc->root, out);
	if (rc < 0)
		config_free(out);
	return rc;
}

void config_free(struct config *c)
{
	if (c->doc != NULL)
		sl_yaml_free(c->doc);
	c->doc = NULL;
}
