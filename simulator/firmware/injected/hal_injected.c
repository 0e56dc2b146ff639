#include "hal_injected.h"

#include <string.h>

#define SENSE_SIZE (4u + sizeof(struct firmware_readings))
#define CONTROL_SIZE 3u
#define EVERY_SENSOR 0x3FF /* the ten bits of enum cryo_sensor */
#define READ_SIZE 64u
#define GAP_MAX 1000u /* a longer one is a simulator that was started anew */

static void send(struct injected *in, uint8_t message_id, const void *payload, size_t size)
{
    struct cryo_wire wire;

    cryo_build(&wire, message_id, payload, size, in->seq++, 0u, NULL);
    in->port.write(in->port.context, wire.bytes, wire.size);
}

void injected_init(struct injected *in, const struct injected_port *port, const char *build)
{
    static const uint8_t delimiter = CRYO_DELIMITER; /* ends what was said before a reset */
    uint8_t announce[1u + INJECTED_NAME_SIZE] = {INJECTED_VERSION};
    size_t i;

    memset(in, 0, sizeof *in);
    in->port = *port;
    in->deframer.is_skipping = 1u;
    for (i = 0; i < INJECTED_NAME_SIZE && build[i] != '\0'; i++) {
        announce[1u + i] = (uint8_t)build[i];
    }
    in->port.write(in->port.context, &delimiter, sizeof delimiter);
    send(in, INJECTED_ID_ANNOUNCE, announce, sizeof announce);
}

static void on_sense(struct injected *in, const uint8_t *payload, uint32_t now_us)
{
    uint32_t number;
    uint32_t gap;

    memcpy(&number, payload, sizeof number);
    memcpy(&in->readings, payload + sizeof number, sizeof in->readings);
    gap = number - in->number - 1u;
    if (in->number != 0u && gap < GAP_MAX) {
        in->lost += gap;
    }
    in->number = number;
    in->sensed_us = now_us;
    in->is_sensed = 1u;
    in->is_hanging = 0u;
}

/* Return 1 if the board is to restart. */
static int on_control(struct injected *in, const uint8_t *payload, uint32_t now_us)
{
    if (payload[0] == INJECTED_CONTROL_HANG) {
        in->is_hanging = 1u;
        in->hang_since_us = now_us;
        in->hang_us = 1000u * (payload[1] | (uint32_t)payload[2] << 8);
    }
    return payload[0] == INJECTED_CONTROL_RESET;
}

/* Take a body; return 1 if the board is to restart. */
static int on_body(struct injected *in, uint32_t now_us)
{
    const uint8_t *body = in->deframer.body;
    const uint8_t *payload = body + CRYO_HEADER_SIZE;
    const size_t size = in->deframer.body_size;

    if (size == CRYO_HEADER_SIZE + SENSE_SIZE && body[1] == INJECTED_ID_SENSE) {
        on_sense(in, payload, now_us);
        return 0;
    }
    if (size == CRYO_HEADER_SIZE + CONTROL_SIZE && body[1] == INJECTED_ID_CONTROL) {
        return on_control(in, payload, now_us);
    }
    in->damaged++;
    return 0;
}

/* Take what has come; return 1 if the board is to restart. */
static int listen(struct injected *in, uint32_t now_us)
{
    uint8_t data[READ_SIZE];
    size_t left = INJECTED_READ_MAX;
    int restarts = 0;

    while (left > 0u && !restarts) {
        const size_t size = in->port.read(in->port.context, data, left < READ_SIZE ? left : READ_SIZE);
        size_t i;
        for (i = 0; i < size && !restarts; i++) {
            const int found = cryo_deframer_byte(&in->deframer, data[i]);
            if (found == CRYO_REJECT_NONE) {
                restarts = on_body(in, now_us);
            } else if (found != CRYO_NOTHING_YET) {
                in->damaged++;
            }
        }
        if (size < READ_SIZE) {
            break;
        }
        left -= size;
    }
    return restarts;
}

enum injected_order injected_begin(struct injected *in, uint32_t now_us,
                                   struct firmware_readings *readings)
{
    if (listen(in, now_us)) {
        return INJECTED_RESET;
    }
    if (in->is_hanging && now_us - in->hang_since_us < in->hang_us) {
        return INJECTED_HANG;
    }
    in->is_hanging = 0u;
    if (!in->is_begun) {
        in->is_begun = 1u;
        in->sensed_us = now_us;
    }
    in->tick_us = now_us;
    /* At power-up the sensors are there before the firmware looks. */
    if (in->number == 0u && now_us - in->sensed_us < INJECTED_SILENCE_US) {
        return INJECTED_HANG;
    }
    /* Remembered, as the clock wraps: what is too old once stays so. */
    if (now_us - in->sensed_us >= INJECTED_SILENCE_US) {
        in->is_sensed = 0u;
    }
    if (in->is_sensed) {
        *readings = in->readings;
    } else {
        memset(readings, 0, sizeof *readings);
        readings->open_circuit = EVERY_SENSOR;
    }
    return INJECTED_TICK;
}

void injected_end(struct injected *in, const struct firmware_outputs *outputs)
{
    struct injected_actuate actuate;

    memset(&actuate, 0, sizeof actuate);
    actuate.number = in->number;
    actuate.tick_us = in->tick_us;
    actuate.lost = in->lost;
    actuate.damaged = in->damaged;
    if (in->is_sensed) {
        actuate.outputs = *outputs;
    }
    send(in, INJECTED_ID_ACTUATE, &actuate, sizeof actuate);
}
