/* All detectors in one database, and a scan of a value with them. */
#ifndef DETECT_RIG_H
#define DETECT_RIG_H

#include "sl_detect.h"

struct rig;

struct rig_find {
	uint32_t detector;
	struct sl_detect_spot spot;
};

/* Nothing is kept from one end to the next (struct sl_detect_memo): the finds must be the same. */
void rig_forgets(struct rig *r, bool forgets);

struct rig *rig_new(void); /* NULL: the expressions do not compile; the reason is on stderr */
void rig_free(struct rig *r);

#define RIG_FAILED UINT32_MAX

/* All finds in the value, up to cap, in the order of their ends; how many, or RIG_FAILED when the scan
 * failed. */
uint32_t rig_scan(struct rig *r, struct sl_span value, struct sl_span column, struct rig_find *out,
                  uint32_t cap);

#endif
