/* The table of routes: what the API has, who may call it, what a body must be. */
#ifndef MG_ROUTE_H
#define MG_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include <event2/http.h>

struct request;

enum api_role {
	ROLE_VIEWER = 1,
	ROLE_OPERATOR = 2,
	ROLE_APPROVER = 4,
	ROLE_ADMIN = 8,
	ROLE_CALLER = 16, /* whoever has a token that is accepted */
};

enum body_kind {
	BODY_NONE, /* must be empty */
	BODY_JSON,
	BODY_JSON_OPTIONAL,
	BODY_YAML,
};

struct route {
	enum evhttp_cmd_type method;
	const char *path; /* "{}" stands for one segment */
	uint32_t roles;   /* any of them; 0: no token */
	enum body_kind body;
	void (*handle)(struct request *q); /* replies, now or later, exactly once */
	const char *query;                 /* names of the query's parameters, a space between them */
};

extern const struct route mg_routes[];
extern const size_t mg_nb_routes;

#endif
