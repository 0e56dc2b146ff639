/* Board in the loop: the sensors come from the simulator, the outputs go there; for benches only.
 *
 * Put it where your HAL reads sensors and drives outputs. Your own control, interlocks, timer and
 * protocol port stay as they are; this needs a second port (the channel) and two functions for it.
 * C99, no heap, little-endian machines; call everything from one loop.
 */
#ifndef HAL_INJECTED_H
#define HAL_INJECTED_H

#ifdef CRYO_RELEASE
#error "hal_injected takes orders from whoever holds its channel: never in a release build"
#endif

#include <stddef.h>
#include <stdint.h>

#include "cryo_frame.h"
#include "firmware_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INJECTED_VERSION 1u
#define INJECTED_NAME_SIZE 32u
/* Without a SENSE for so long every sensor reads open circuit, and every output is off. So long,
 * too, the first tick after power-up waits for the first SENSE. */
#define INJECTED_SILENCE_US 100000u
/* Read in one tick; what is more waits in the port's buffer. */
#define INJECTED_READ_MAX 1024u

/* Frames of the channel, outside of the protocol's table: a protocol port refuses them. */
enum injected_id {
    INJECTED_ID_SENSE = 0xF0,    /* to the board: number, struct firmware_readings */
    INJECTED_ID_CONTROL = 0xF1,  /* to the board: enum injected_control, ms (16 bits) */
    INJECTED_ID_ACTUATE = 0xF2,  /* from the board: struct injected_actuate */
    INJECTED_ID_ANNOUNCE = 0xF3, /* from the board, first: version, name of the build */
};

enum injected_control {
    INJECTED_CONTROL_RESET = 1, /* restart */
    INJECTED_CONTROL_HANG = 2,  /* no tick for so many ms, or until the next SENSE */
};

struct injected_actuate {
    uint32_t number;  /* of the SENSE that this answers; 0 for none */
    uint32_t tick_us; /* of the board's clock, when the tick began */
    uint32_t lost;    /* SENSE frames that never came, since the board began */
    uint32_t damaged; /* pieces of the channel that were no frame */
    struct firmware_outputs outputs;
};

/* The channel; neither function may wait. */
struct injected_port {
    size_t (*read)(void *context, uint8_t *data, size_t capacity); /* returns how many came */
    void (*write)(void *context, const uint8_t *data, size_t size);
    void *context;
};

/* What a tick is to do. */
enum injected_order {
    INJECTED_TICK = 0,
    INJECTED_HANG = 1,  /* run nothing and do not kick the watchdog */
    INJECTED_RESET = 2, /* restart, as by the reset pin */
};

struct injected {
    struct injected_port port;
    struct cryo_deframer deframer;
    struct firmware_readings readings;
    uint32_t number; /* of the newest SENSE */
    uint32_t sensed_us;
    uint32_t tick_us;
    uint32_t hang_since_us;
    uint32_t hang_us;
    uint32_t lost;
    uint32_t damaged;
    uint16_t seq;
    uint8_t is_sensed; /* the newest SENSE is not older than INJECTED_SILENCE_US */
    uint8_t is_hanging;
    uint8_t is_begun; /* there has been a tick */
};

/* Begin after power-up, before anything leaves by the protocol port: announces the build. */
void injected_init(struct injected *in, const struct injected_port *port, const char *build);

/* Begin a tick. With INJECTED_TICK `readings` is what the sensors say; `now_us` may wrap. */
enum injected_order injected_begin(struct injected *in, uint32_t now_us,
                                   struct firmware_readings *readings);

/* End a tick: `outputs` drive the simulated hardware until the next one. */
void injected_end(struct injected *in, const struct firmware_outputs *outputs);

#ifdef __cplusplus
}
#endif

#endif
