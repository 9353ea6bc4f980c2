/* Identities that a breaker has locked. */
#include "rest_priv.h"

void mg_get_locks(struct request *q)
{
	json_t *list = json_array();

	mg_locks_list(q->cfg->locks, list);
	mg_reply_json(q, 200, json_pack("{s:o}", "locks", list));
}

void mg_delete_lock(struct request *q)
{
	json_t *doc = NULL;
	int err = mg_locks_release(q->cfg->locks, q->arg, &q->who, &doc);

	if (err == SL_OK)
		mg_reply_json(q, 200, doc);
	else if (err == SL_E_POLICY_DENIED)
		mg_reply_problem(q, 403, "you cannot release your own identity", NULL);
	else
		mg_reply_err(q, err, "no such lock");
}
