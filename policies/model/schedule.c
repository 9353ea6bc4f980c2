#include "sl_snapshot.h"

#define DAY_S        86400
#define WEEK_S       (7 * DAY_S)
#define SUNDAY_SHIFT 4 /* 1 January 1970 was a Thursday */

static int32_t offset_at(const struct sl_zone *z, int64_t t)
{
	uint32_t low = 0, high = z->nb;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (z->from[mid] <= t)
			low = mid + 1;
		else
			high = mid;
	}
	return z->offset_s[low > 0 ? low - 1 : 0];
}

static bool day_is(const struct sl_schedule *s, int64_t day)
{
	return (s->days >> ((day + SUNDAY_SHIFT) % 7)) & 1;
}

bool sl_schedule_open(const struct sl_schedule *s, uint64_t wall_us)
{
	int64_t t = (int64_t)(wall_us / 1000000) + WEEK_S; /* so that the day before exists, in all zones */
	int64_t day, minute;

	if (wall_us < s->after_us || wall_us >= s->before_us)
		return false;
	if (s->zone != NULL && s->zone->nb > 0)
		t += offset_at(s->zone, t - WEEK_S);
	day = t / DAY_S;
	minute = t % DAY_S / 60;
	if (s->from_min < s->to_min)
		return minute >= s->from_min && minute < s->to_min && day_is(s, day);
	return (minute >= s->from_min && day_is(s, day)) || (minute < s->to_min && day_is(s, day - 1));
}
