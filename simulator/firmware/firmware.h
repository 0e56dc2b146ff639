/* The probe's firmware: one call a tick, all memory in one struct, no pointers in it, no heap.
 *
 * It does the same as the executable specification (the Python modules firmware_*.py), in the same
 * order and with the same names, and sends the same bytes. Divisions round towards minus infinity
 * as there.
 */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

#include "cryo_device.h"
#include "cryo_protocol.h"
#include "firmware_layout.h"

#define FIRMWARE_TICK_MS 10

/* What one build for one probe, and one power-up, differ in. */
struct firmware_config {
    struct firmware_limits limits;
    struct cryo_device_config device;
};

struct firmware {
    struct firmware_state state;
    struct firmware_limits limits;
    _Alignas(8) struct cryo_device session;
};

_Static_assert(sizeof(struct firmware_config) == FIRMWARE_CONFIG_SIZE, "firmware_config");
_Static_assert(offsetof(struct firmware, limits) == FIRMWARE_LIMITS_OFFSET, "limits");
_Static_assert(offsetof(struct firmware, session) == FIRMWARE_SESSION_OFFSET, "session");
_Static_assert(offsetof(struct cryo_device, config.identity) == 0, "identity");

/* Power-up. */
void firmware_init(struct firmware *firmware, const struct firmware_config *config);

/* Run 10 ms. Afterwards state.outputs is what to drive and session.out what to send.
 *
 * now_ms: device clock, 0 at power-up. readings: sensors as read at this tick. incoming: bytes that
 * arrived since the last one, at most CRYO_RECEIVE_MAX.
 */
void firmware_tick(struct firmware *firmware, uint32_t now_ms,
                   const struct firmware_readings *readings, const uint8_t *incoming, size_t size);

#endif
