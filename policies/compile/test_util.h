/* For the tests that ask a compiled policy: documents in one line, and a compiler that must succeed. */
#ifndef COMPILE_TEST_UTIL_H
#define COMPILE_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sl_eval.h"
#include "sl_policy.h"

#define DOC(kind, name, spec)                                                                                \
	"{kind: " kind ", version: 1, metadata: {name: " name "}, spec: {" spec "}}\n---\n"

static inline struct sl_snapshot *compile(const char *text)
{
	struct sl_policy_source src = {"p.yaml", sl_span_str(text)};
	struct sl_policy_error err;
	struct sl_snapshot *s;
	char line[1024];

	if (sl_policy_compile_keyed(&src, 1, 1, 1, &sl_policy_test_keys, &s, &err) != SL_OK)
		fail_msg("%s", sl_policy_error_str(&err, line, sizeof(line)));
	return s;
}

#endif
