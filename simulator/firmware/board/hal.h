/* All that the firmware asks of a board. Another board needs another hal_*.c and nothing else. */
#ifndef HAL_H
#define HAL_H

#include <stddef.h>
#include <stdint.h>

#include "firmware.h"

/* What the maker wrote into the provisioning page. */
const struct firmware_config *hal_config(void);

/* Call hal_tick every 10 ms from now on. */
void hal_start_ticks(void);
void hal_tick(void);

/* Sleep until the next tick. */
void hal_wait_for_tick(void);

/* Milliseconds since power-up, wrapping. */
uint32_t hal_now_ms(void);

void hal_read_sensors(struct firmware_readings *readings);
void hal_drive(const struct firmware_outputs *outputs);

/* Take the power from every output; allowed in any state, in a handler of a fault, too. */
void hal_all_off(void);

/* Move what has arrived, `capacity` bytes at the most; return how many. */
size_t hal_receive(uint8_t *data, size_t capacity);
void hal_send(const uint8_t *data, size_t size);

void hal_kick_watchdog(void);

/* Restart; does not return. */
void hal_reset(void);

#endif
