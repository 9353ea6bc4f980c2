/*
 * Time zones from the system's database: TZif files (RFC 8536), of which the 64-bit block is read. What comes
 * behind its last change (the footer's rule) is not; the database's files reach to 2037.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compile_priv.h"

#define ZONE_DIR       "/usr/share/zoneinfo/"
#define ZONE_BYTES_MAX (64u << 10)
#define HEAD_BYTES     44
#define TYPE_BYTES     6
#define CHANGES_MAX    2048

struct head {
	uint32_t isutc, isstd, leap, time, type, chars;
};

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static bool read_head(struct sl_span in, struct head *h)
{
	if (in.n < HEAD_BYTES || memcmp(in.p, "TZif", 4) != 0 || in.p[4] < '2')
		return false;
	h->isutc = be32(in.p + 20);
	h->isstd = be32(in.p + 24);
	h->leap = be32(in.p + 28);
	h->time = be32(in.p + 32);
	h->type = be32(in.p + 36);
	h->chars = be32(in.p + 40);
	return h->time <= CHANGES_MAX && h->type > 0 && h->type <= 256 && h->chars <= 256 && h->leap <= 256 &&
	       h->isutc <= 256 && h->isstd <= 256;
}

/* Bytes of the block behind a head, times being size bytes long. */
static size_t block_bytes(const struct head *h, size_t size)
{
	return h->time * (size + 1) + h->type * TYPE_BYTES + h->chars + h->leap * (size + 4) + h->isstd +
	       h->isutc;
}

/* The 64-bit block: [changes][types of the changes][types]. */
static bool read_block(struct compiler *c, struct sl_span in, const struct head *h, struct sl_zone *z)
{
	const uint8_t *index, *types;

	if (in.p == NULL || in.n < block_bytes(h, 8))
		return false;
	index = in.p + (size_t)h->time * 8;
	types = index + h->time;
	z->nb = h->time > 0 ? h->time : 1;
	z->from = cp_take(c->arena, z->nb * sizeof(*z->from));
	z->offset_s = cp_take(c->arena, z->nb * sizeof(*z->offset_s));
	if (z->from == NULL || z->offset_s == NULL)
		return false;
	z->offset_s[0] = (int32_t)be32(types); /* a zone without a change has its first type */
	for (uint32_t i = 0; i < h->time; i++) {
		if (index[i] >= h->type)
			return false;
		z->from[i] = be64(in.p + (size_t)i * 8);
		z->offset_s[i] = (int32_t)be32(types + (size_t)index[i] * TYPE_BYTES);
	}
	return true;
}

static bool read_zone(struct compiler *c, struct sl_span in, struct sl_zone *z)
{
	struct head h;
	size_t at;

	if (!read_head(in, &h))
		return false;
	at = HEAD_BYTES + block_bytes(&h, 4);
	if (at > in.n || !read_head(sl_span_sub(in, at, in.n - at), &h))
		return false;
	at += HEAD_BYTES;
	return read_block(c, sl_span_sub(in, at, in.n - at), &h, z);
}

/* A zone's name is a path below the directory: nothing in it may lead elsewhere. */
static bool good_name(const char *s)
{
	for (const char *p = s; *p != '\0'; p++) {
		bool letter =
		        (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		if (!letter && strchr("/_+-", *p) == NULL)
			return false;
	}
	return s[0] != '/' && s[0] != '\0' && strstr(s, "//") == NULL;
}

static ssize_t load(const char *name, uint8_t *buf, size_t cap)
{
	char path[sizeof(ZONE_DIR) + CP_NAME_MAX + 1] = ZONE_DIR;
	struct stat st;
	ssize_t n = -1;
	int fd;

	strncat(path, name, CP_NAME_MAX);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = read(fd, buf, cap);
	close(fd);
	return n;
}

int cp_zone(struct compiler *c, const struct sl_yaml_node *map, const char *key, const struct sl_zone **out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	const char *name = NULL;
	struct sl_zone *z;
	uint8_t *buf;
	ssize_t got;
	bool good;
	int rc = cp_text(c, map, key, CP_OPTIONAL, CP_NAME_MAX, &name);

	*out = NULL;
	if (rc != SL_OK || name == NULL)
		return rc;
	for (uint32_t i = 0; i < c->nb_zones; i++) {
		if (strcmp(c->zones[i]->name, name) == 0) {
			*out = c->zones[i];
			return SL_OK;
		}
	}
	if (c->nb_zones == CP_ZONES_MAX)
		return cp_fail(c, SL_E_LIMIT, n, NULL, "more than %d time zones", CP_ZONES_MAX);
	z = cp_take(c->arena, sizeof(*z));
	buf = malloc(ZONE_BYTES_MAX);
	if (z == NULL || buf == NULL) {
		free(buf);
		return cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
	}
	z->name = name;
	got = good_name(name) ? load(name, buf, ZONE_BYTES_MAX) : -1;
	good = got > 0 && read_zone(c, sl_span(buf, (size_t)got), z);
	free(buf);
	if (!good)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n,
		               "names are those of " ZONE_DIR ", such as Europe/Berlin",
		               "no time zone is called \"%.64s\"", name);
	c->zones[c->nb_zones++] = z;
	*out = z;
	return SL_OK;
}
