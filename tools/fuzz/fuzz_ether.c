/*
 * Frames as a hostile host on the wire sends them: one input is a row of records, a byte how, a byte of
 * length, the frame.
 */
#include "net_world.h"

#define HOW_FOR_US 4 /* the destination is put right */
#define HOW_LATER  8 /* a second passes behind it */
#define HOW_REPEAT 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world_input in = {data, size};
	uint8_t f[256 * 6];

	world_begin();
	while (in.n >= 2) {
		uint8_t how = world_byte(&in);
		size_t n = world_bytes(&in, f, world_byte(&in));

		if ((how & HOW_FOR_US) != 0 && n >= 6)
			memcpy(f, world.mac.addr_bytes, 6);
		for (int i = 0; i < ((how & HOW_REPEAT) != 0 ? 20 : 1); i++)
			world_frame(f, n, how);
		world_pass((how & HOW_LATER) != 0 ? WORLD_SECOND : 1000);
	}
	world_end();
	return 0;
}
