/* Things whose length varies: cards, accounts, addresses, telephone numbers, passports' lines. */
#include <openssl/sha.h>

#include "detect_priv.h"

#define CARD_MIN 12
#define CARD_MAX 19
#define IBAN_MIN 15
#define IBAN_MAX 34

/* ---- cards ---- */

static unsigned prefix(const char *t, size_t n)
{
	unsigned v = 0;

	for (size_t i = 0; i < n; i++)
		v = v * 10 + (unsigned)(t[i] - '0');
	return v;
}

/* The issuers' ranges and how long their numbers are (ISO/IEC 7812, as the schemes publish them). */
static bool is_issued(const char *t, size_t n)
{
	static const struct {
		uint16_t from, to; /* first four digits */
		uint8_t min, max;
	} ranges[] = {
	        {2200, 2204, 16, 19},                       /* Mir */
	        {2221, 2720, 16, 16},                       /* Mastercard */
	        {3000, 3059, 14, 19},                       /* Diners Club */
	        {3095, 3095, 14, 19}, {3400, 3499, 15, 15}, /* American Express */
	        {3528, 3589, 16, 19},                       /* JCB */
	        {3600, 3699, 14, 19}, {3700, 3799, 15, 15}, {3800, 3999, 14, 19},
	        {4000, 4999, 13, 19},                                             /* Visa */
	        {5018, 5018, 12, 19},                                             /* Maestro */
	        {5020, 5020, 12, 19}, {5038, 5038, 12, 19}, {5100, 5599, 16, 16}, /* Mastercard */
	        {5600, 5899, 12, 19}, {6011, 6011, 16, 19},                       /* Discover */
	        {6200, 6299, 16, 19},                                             /* UnionPay */
	        {6304, 6304, 12, 19}, {6440, 6599, 16, 19}, {6759, 6763, 12, 19},
	        {8100, 8171, 16, 19},
	};
	unsigned p = prefix(t, 4);

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (p >= ranges[i].from && p <= ranges[i].to && n >= ranges[i].min && n <= ranges[i].max)
			return (p < 4000 || p > 4999 || n == 13 || n == 16 || n == 19) && check_luhn(t, n);
	return false;
}

/*
 * From the end backwards over digits with at most one blank or hyphen between them; the longest number that
 * is one counts. It has to begin where digits begin.
 */
bool narrow_card(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	char digits[CARD_MAX];
	size_t n = 0, at = end, found = 0;

	while (at > 0 && n < CARD_MAX) {
		uint8_t c = v.p[at - 1];

		if (is_digit(c)) {
			digits[CARD_MAX - 1 - n++] = (char)c;
			if (n >= CARD_MIN && (at < 2 || !is_alnum(v.p[at - 2])) &&
			    is_issued(digits + CARD_MAX - n, n)) {
				s->from = at - 1;
				found = n;
			}
		} else if ((c != ' ' && c != '-') || at < 2 || !is_digit(v.p[at - 2])) {
			break;
		}
		at--;
	}
	s->to = end;
	return found > 0 && (end == v.n || !is_alnum(v.p[end]));
}

/* ---- accounts ---- */

static const struct {
	char country[3];
	uint8_t len;
} ibans[] = {
        {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
        {"BH", 22}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22},
        {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27},
        {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28},
        {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20},
        {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27},
        {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15},
        {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
        {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28}, {"TL", 23},
        {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
};

static size_t iban_length(const char *country)
{
	for (size_t i = 0; i < sizeof(ibans) / sizeof(ibans[0]); i++)
		if (memcmp(ibans[i].country, country, 2) == 0)
			return ibans[i].len;
	return 0;
}

/* ISO 13616: the first four characters go to the end, letters count from 10, the rest modulo 97 is 1. */
static bool iban_sum(const char *t, size_t n)
{
	unsigned m = 0;

	for (size_t i = 0; i < n; i++) {
		char c = t[(i + 4) % n];

		m = is_digit((uint8_t)c) ? (m * 10 + (unsigned)(c - '0')) % 97
		                         : (m * 100 + (unsigned)(c - 'A' + 10)) % 97;
	}
	return m == 1;
}

/*
 * The expression saw country, check digits and one character more, and its end lies behind those five; blanks
 * may stand between groups. The country says how long the rest is.
 */
bool narrow_iban(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	char text[IBAN_MAX];
	size_t n = 0, at = end, need = 0;

	for (size_t back = 0; back < 5 && at > 0; at--)
		back += v.p[at - 1] != ' ';
	s->from = at;
	for (; at < v.n && n < IBAN_MAX; at++) {
		uint8_t c = v.p[at];

		if (c == ' ' && n >= 4 && at + 1 < v.n && is_alnum(v.p[at + 1]))
			continue;
		if (!is_alnum(c))
			break;
		text[n++] = (char)(is_digit(c) ? c : c & ~0x20);
		s->to = at + 1;
		if (n == 2)
			need = iban_length(text);
		if (n >= 2 && need == 0)
			return false;
		if (n >= 2 && n == need)
			return iban_sum(text, n) && (at + 1 == v.n || !is_alnum(v.p[at + 1]));
	}
	return false;
}

static int base58(char c)
{
	static const char letters[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	const char *p = c != '\0' ? strchr(letters, c) : NULL;

	return p != NULL ? (int)(p - letters) : -1;
}

/* Base58Check: version, 20 bytes, and the first four bytes of the double hash. */
static bool bitcoin_old(const char *t, size_t n)
{
	uint8_t raw[25] = {0}, hash[SHA256_DIGEST_LENGTH];

	for (size_t i = 0; i < n; i++) {
		int carry = base58(t[i]);

		if (carry < 0)
			return false;
		for (size_t k = sizeof(raw); k-- > 0;) {
			carry += 58 * raw[k];
			raw[k] = (uint8_t)carry;
			carry >>= 8;
		}
		if (carry != 0)
			return false;
	}
	SHA256(raw, 21, hash);
	SHA256(hash, sizeof(hash), hash);
	return memcmp(hash, raw + 21, 4) == 0;
}

/* BIP 173 and 350: a checksum over 30 bits, with another constant from version 1 on. */
static bool bitcoin_bech32(const char *t, size_t n)
{
	static const char letters[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	static const uint32_t gen[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint8_t v[96] = {3, 3, 0, 2, 3}; /* "bc" spread out */
	uint32_t sum = 1;

	if (n < 14 || n > 90)
		return false;
	for (size_t i = 3; i < n; i++) {
		char c = (char)(is_alpha((uint8_t)t[i]) ? t[i] | 0x20 : t[i]);
		const char *p = strchr(letters, c);

		if (p == NULL)
			return false;
		v[i + 2] = (uint8_t)(p - letters);
	}
	for (size_t i = 0; i < n + 2; i++) {
		uint32_t top = sum >> 25;

		sum = (sum & 0x1ffffff) << 5 ^ v[i];
		for (unsigned k = 0; k < 5; k++)
			sum ^= (top >> k & 1) != 0 ? gen[k] : 0;
	}
	return sum == (v[5] == 0 ? 1 : 0x2bc830a3);
}

bool check_bitcoin(const char *t, size_t n)
{
	if (n > 3 && (t[0] | 0x20) == 'b' && (t[1] | 0x20) == 'c' && t[2] == '1')
		return bitcoin_bech32(t, n);
	return n >= 26 && n <= 35 && bitcoin_old(t, n);
}

/* ---- passports ---- */

/* ICAO 9303 part 3: weights 7 3 1, letters from 10, the filler is 0. */
static bool mrz_sum(const char *t, size_t n, char check)
{
	static const uint8_t w[] = {7, 3, 1};
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned v = t[i] == '<'               ? 0
		             : is_digit((uint8_t)t[i]) ? (unsigned)(t[i] - '0')
		                                       : (unsigned)(t[i] - 'A' + 10);

		sum += v * w[i % 3];
	}
	return check == (char)('0' + sum % 10);
}

/* The second line of a passport (44): number, birth and expiry, each with its check digit. */
bool check_mrz(const char *t, size_t n)
{
	return n == 44 && mrz_sum(t, 9, t[9]) && mrz_sum(t + 13, 6, t[19]) && mrz_sum(t + 21, 6, t[27]);
}

/* ---- addresses of people and machines ---- */

/* One @, a local part and a domain of labels that ends in letters. Dots and the like around it are not of it.
 */
bool narrow_email(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	size_t at = end - 2, label = 0, dots = 0, to; /* the expression ends one behind the @ */

	while (s->from < at && !is_alnum(v.p[s->from]) && v.p[s->from] != '_')
		s->from++;
	for (to = at + 1; to < s->to && v.p[to] != '@'; to++) {
		uint8_t c = v.p[to];

		if (c == '.') {
			if (label == 0)
				break;
			dots++;
			label = 0;
		} else if (is_alnum(c) || c == '-') {
			label++;
		} else {
			break;
		}
	}
	while (to > at + 1 && !is_alnum(v.p[to - 1])) {
		dots -= v.p[to - 1] == '.';
		to--;
	}
	s->to = to;
	for (label = 0; to > at + 1 && is_alpha(v.p[to - 1]); to--)
		label++;
	return s->from < at && dots > 0 && label >= 2 && v.p[to - 1] == '.' && s->to - s->from <= 254 &&
	       at - s->from <= 64;
}

static bool octets(struct sl_span v, size_t from, size_t to)
{
	size_t i = from;

	for (unsigned k = 0; k < 4; k++) {
		unsigned x = 0;
		size_t first = i;

		for (; i < to && is_digit(v.p[i]) && i - first < 3; i++)
			x = x * 10 + (unsigned)(v.p[i] - '0');
		if (i == first || x > 255 || (i - first > 1 && v.p[first] == '0'))
			return false;
		if (k < 3 && (i == to || v.p[i++] != '.'))
			return false;
	}
	return i == to;
}

/* Four octets and nothing more: five numbers with dots are something else. */
bool narrow_ip4(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	(void)end;
	while (s->to > s->from && !is_digit(v.p[s->to - 1]))
		s->to--;
	while (s->from < s->to && !is_digit(v.p[s->from]))
		s->from++;
	if ((s->from > 0 && is_alnum(v.p[s->from - 1])) || (s->to < v.n && is_alnum(v.p[s->to])))
		return false;
	return octets(v, s->from, s->to);
}

/* RFC 4291 2.2: eight groups, or fewer around one "::". Times of day have no empty group and two colons. */
bool narrow_ip6(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	size_t groups = 0, run = 0, pairs = 0, i;
	bool letter = false;

	(void)end;
	while (s->to > s->from && v.p[s->to - 1] == '.')
		s->to--;
	if (s->to > s->from && v.p[s->to - 1] == ':' && (s->to - s->from < 2 || v.p[s->to - 2] != ':'))
		s->to--;
	if ((s->from > 0 && is_alnum(v.p[s->from - 1])) || (s->to < v.n && is_alnum(v.p[s->to])))
		return false;
	for (i = s->from; i < s->to; i++) {
		if (v.p[i] != ':') {
			letter = letter || !is_digit(v.p[i]);
			if (v.p[i] == '.' || ++run > 4)
				return false;
			groups += run == 1;
			continue;
		}
		if (run == 0 && i > s->from && v.p[i - 1] != ':')
			return false;
		pairs += i + 1 < s->to && v.p[i + 1] == ':';
		run = 0;
	}
	if (v.p[s->from] == ':' && (s->to - s->from < 2 || v.p[s->from + 1] != ':'))
		return false;
	return pairs == 0 ? groups == 8 : pairs == 1 && groups < 8 && (groups > 1 || letter);
}

bool narrow_mac(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	uint8_t sep = s->to - s->from == 17 ? v.p[s->from + 2] : 0;

	(void)end;
	if ((sep != ':' && sep != '-') || (s->to < v.n && is_alnum(v.p[s->to])) ||
	    (s->from > 0 && is_alnum(v.p[s->from - 1])))
		return false;
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? v.p[s->from + i] != sep : !is_hex(v.p[s->from + i]))
			return false;
	return true;
}

/* E.164: a plus, then 8 to 15 digits of which the first is no zero; blanks and brackets between are of it. */
bool narrow_phone(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	size_t digits = 0, at = end - 1, last, gap = 0;

	while (at > s->from && v.p[at] != '+')
		at--;
	if (v.p[at] != '+' || (at > 0 && (is_alnum(v.p[at - 1]) || v.p[at - 1] == '+')))
		return false;
	s->from = at;
	for (last = at + 1, at++; at < s->to && gap < 3; at++) {
		if (is_digit(v.p[at])) {
			if (digits == 0 && v.p[at] == '0')
				return false;
			if (++digits > 15)
				return false;
			last = at + 1;
			gap = 0;
		} else {
			gap++;
		}
	}
	s->to = last;
	return digits >= 8 && (last == v.n || !is_alnum(v.p[last]));
}
