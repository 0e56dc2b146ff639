/* A device of your own in four callbacks: what the protocol asks for between them is done here.
 *
 * Call cryo_port_poll in every turn of your loop, at least every 20 ms, with what the link has
 * brought since (or nothing). Your valve, your heater and your interlocks stay yours: read
 * `sample.lease_left_ms` after each poll, and switch everything off where it is 0.
 */
#ifndef CRYO_PORT_H
#define CRYO_PORT_H

#include "cryo_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* TELEMETRY goes out with the period that HELLO says, these two less often. */
#define CRYO_VITALS_PERIOD_MS 200u
#define CRYO_HELLO_PERIOD_MS 1000u /* while no session is open */

struct cryo_port_callbacks {
    /* Send all of `size` bytes. */
    void (*write)(void *user, const uint8_t *data, size_t size);
    /* Decide on a command and return a cryo_answer; cryo_port_done reports its end, from in here
     * or later. */
    uint8_t (*on_command)(void *user, const struct cryo_command *command);
    /* Make the probe safe now. */
    void (*on_stop)(void *user, const struct cryo_stop *stop);
    /* Return the milliseconds since power-up: 32 bits, which wrap. */
    uint32_t (*now_ms)(void *user);
};

struct cryo_port {
    struct cryo_telemetry sample; /* what goes out next: fill in your readings and your outputs;
                                     clock, state, trip, lease and events are filled in */
    struct cryo_device device;
    struct cryo_port_callbacks callbacks;
    void *user; /* handed to every callback */
    uint32_t telemetry_at_ms;
    uint32_t vitals_at_ms;
    uint32_t hello_at_ms;
    uint32_t deciding_counter;
    uint8_t is_deciding; /* on_command is being asked */
    uint8_t is_ended;    /* ... and has reported the end already */
    uint8_t result;
    int32_t detail;
};

/* Begin after power-up: HELLO and the BOOT event go out. */
void cryo_port_begin(struct cryo_port *port, const struct cryo_device_config *config,
                     const struct cryo_port_callbacks *callbacks, void *user);

/* Hear `size` bytes (0 if none came), call back, send what is due. */
void cryo_port_poll(struct cryo_port *port, const uint8_t *data, size_t size);

/* Report that a command which was accepted has ended, with a cryo_result. */
void cryo_port_done(struct cryo_port *port, uint32_t counter, uint8_t op, uint8_t result,
                    int32_t detail);

/* Report a cryo_event_code, and the state and the trip that the device has from now on. */
void cryo_port_report(struct cryo_port *port, uint8_t code, uint8_t state, uint8_t trip,
                      int32_t value, int32_t limit);

#ifdef __cplusplus
}
#endif

#endif
