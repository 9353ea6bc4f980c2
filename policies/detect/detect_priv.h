/* Private to detect: the table's shape, and the validators that it names. */
#ifndef DETECT_PRIV_H
#define DETECT_PRIV_H

#include "sl_detect.h"

/* Which bytes a find is made of, when the expression only says where one is. */
enum byte_class {
	BYTES_ALNUM, /* letters, digits */
	BYTES_WORD,  /* and _ - */
	BYTES_B64,   /* letters, digits, + / = */
	BYTES_TOKEN, /* letters, digits, _ - . */
	BYTES_EMAIL, /* an address with its @ */
	BYTES_PHONE, /* and + ( ) . */
	BYTES_IP,    /* hexadecimal digits, : and . */
	BYTES_MAC,   /* hexadecimal digits, : and - */
	BYTES_HASH,  /* letters, digits, . / + = $ , */
	BYTES_MRZ,   /* capitals, digits, < */
	BYTES_CLASSES
};

/*
 * A form is a shape or an expression.
 * Shape: 9 digit, A letter (either case), X letter or digit, _ blank or hyphen or nothing between groups: not
 * optional within one form; everything else stands for itself. Its length is the find's.
 * Expression: the find is the run of `bytes` around the byte in front of the expression's end, min to max
 * long.
 */
enum ends {
	ENDS_RUN, /* those of the run; `narrow` may move them */
	ENDS_OWN, /* `narrow` finds them itself, from the expression's end on: *s is the byte in front of it
	           */
	ENDS_MISSES, /* the same, and when there is no find, none of its ends up to s->to is one */
};

struct form {
	const char *shape;
	const char *expr;
	bool caseless;
	bool weak;    /* too common a form: only with context */
	bool crosses; /* there is a . or the like in it that takes any byte, not at its end */
	uint8_t ends; /* enum ends */
	uint8_t bytes;
	uint16_t min, max;
};

struct detector {
	const char *name, *what;
	struct form forms[SL_DETECT_FORMS_MAX];
	/* Shapes: the text without separators, letters in upper case. Expressions: the run as it is. NULL:
	 * the form is proof enough. */
	bool (*check)(const char *text, size_t n);
	/* Expressions: moves the ends of the run to those of the find; false when it is none. */
	bool (*narrow)(struct sl_span value, size_t end, struct sl_detect_spot *s);
	const char *context; /* words, separated by |; in front of the find or part of the column's name */
};

extern const struct detector detect_table[];
extern const uint32_t detect_table_n;

/* check_number.c: text of digits (and letters where the kind has them) */
bool check_luhn(const char *t, size_t n);
bool check_ar_cuit(const char *t, size_t n);
bool check_at_svnr(const char *t, size_t n);
bool check_au_medicare(const char *t, size_t n);
bool check_au_tfn(const char *t, size_t n);
bool check_be_nn(const char *t, size_t n);
bool check_bg_egn(const char *t, size_t n);
bool check_br_cnpj(const char *t, size_t n);
bool check_br_cpf(const char *t, size_t n);
bool check_ca_sin(const char *t, size_t n);
bool check_ch_ahv(const char *t, size_t n);
bool check_cl_rut(const char *t, size_t n);
bool check_cn_ric(const char *t, size_t n);
bool check_cz_rc(const char *t, size_t n);
bool check_de_idnr(const char *t, size_t n);
bool check_dk_cpr(const char *t, size_t n);
bool check_es_dni(const char *t, size_t n);
bool check_fi_hetu(const char *t, size_t n);
bool check_fr_nir(const char *t, size_t n);
bool check_gb_nhs(const char *t, size_t n);
bool check_gb_nino(const char *t, size_t n);
bool check_hr_oib(const char *t, size_t n);
bool check_ie_pps(const char *t, size_t n);
bool check_il_id(const char *t, size_t n);
bool check_in_aadhaar(const char *t, size_t n);
bool check_in_pan(const char *t, size_t n);
bool check_it_cf(const char *t, size_t n);
bool check_jp_mynumber(const char *t, size_t n);
bool check_kr_rrn(const char *t, size_t n);
bool check_mx_curp(const char *t, size_t n);
bool check_nl_bsn(const char *t, size_t n);
bool check_no_fnr(const char *t, size_t n);
bool check_pl_pesel(const char *t, size_t n);
bool check_pt_nif(const char *t, size_t n);
bool check_ro_cnp(const char *t, size_t n);
bool check_se_pnr(const char *t, size_t n);
bool check_sg_nric(const char *t, size_t n);
bool check_tr_tckn(const char *t, size_t n);
bool check_us_aba(const char *t, size_t n);
bool check_us_phone(const char *t, size_t n);
bool check_us_itin(const char *t, size_t n);
bool check_us_ssn(const char *t, size_t n);
bool check_za_id(const char *t, size_t n);

/* check_text.c */
bool check_bitcoin(const char *t, size_t n);
bool check_iban(const char *t, size_t n);
bool check_mrz(const char *t, size_t n);
bool narrow_card(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_email(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_iban(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_ip4(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_ip6(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_mac(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_phone(struct sl_span v, size_t end, struct sl_detect_spot *s);

/* check_secret.c */
bool check_crc62(const char *t, size_t n);
bool check_mixed(const char *t, size_t n);
bool narrow_behind(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_assigned(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_from_end(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_hash(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_jwt(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_private_key(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_sendgrid(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_telegram(struct sl_span v, size_t end, struct sl_detect_spot *s);
bool narrow_url_password(struct sl_span v, size_t end, struct sl_detect_spot *s);

static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_alpha(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool is_alnum(uint8_t c)
{
	return is_digit(c) || is_alpha(c);
}

static inline bool is_hex(uint8_t c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Does a byte belong to the class? */
bool detect_in_class(enum byte_class class, uint8_t c);

#endif
