#include "cryo_port.h"

#include <string.h>

static uint32_t now_of(const struct cryo_port *port)
{
    return port->callbacks.now_ms(port->user);
}

static void flush(struct cryo_port *port)
{
    struct cryo_device *d = &port->device;

    if (d->out_size > 0u) {
        port->callbacks.write(port->user, d->out, d->out_size);
        d->out_size = 0;
    }
}

/* Whether something periodic is due; it comes again one period later. */
static int is_due(uint32_t *at_ms, uint32_t now_ms, uint32_t period_ms)
{
    if (cryo_until_ms(now_ms, *at_ms) > 0) {
        return 0;
    }
    *at_ms += period_ms;
    if (cryo_until_ms(now_ms, *at_ms) <= 0) {
        *at_ms = now_ms + period_ms; /* it was late by more than a period: no burst follows */
    }
    return 1;
}

static void fill_in(struct cryo_port *port, uint32_t now_ms)
{
    port->sample.device_ms = now_ms;
    port->sample.state = port->device.state;
    port->sample.lease_left_ms = (uint16_t)cryo_device_lease_left_ms(&port->device, now_ms);
    port->sample.event_count = port->device.event_count;
}

static void send_vitals(struct cryo_port *port)
{
    const struct cryo_telemetry *sample = &port->sample;
    struct cryo_vitals vitals;

    vitals.device_ms = sample->device_ms;
    vitals.state = sample->state;
    vitals.tip_mdegc = sample->tip_mdegc;
    vitals.supply_mbar = sample->supply_mbar;
    vitals.valve_permille = sample->valve_permille;
    vitals.tip_heater_permille = sample->tip_heater_permille;
    vitals.shutoff_open = sample->shutoff_open;
    cryo_device_vitals(&port->device, &vitals);
}

static void send_due(struct cryo_port *port, uint32_t now_ms)
{
    struct cryo_device *d = &port->device;

    if (is_due(&port->telemetry_at_ms, now_ms, d->config.identity.telemetry_period_ms)) {
        cryo_device_telemetry(d, &port->sample);
    }
    if (is_due(&port->vitals_at_ms, now_ms, CRYO_VITALS_PERIOD_MS)) {
        send_vitals(port);
    }
    if (is_due(&port->hello_at_ms, now_ms, CRYO_HELLO_PERIOD_MS) && !cryo_device_is_open(d)) {
        cryo_device_hello(d);
    }
}

static void decide(struct cryo_port *port, const struct cryo_command *command)
{
    uint8_t answer;

    port->deciding_counter = command->counter;
    port->is_ended = 0;
    port->is_deciding = 1;
    answer = port->callbacks.on_command(port->user, command);
    port->is_deciding = 0;
    cryo_device_answer(&port->device, command->counter, command->op, answer);
    if (port->is_ended) {
        cryo_device_done(&port->device, command->counter, command->op, port->result, port->detail);
    }
}

static void hear(struct cryo_port *port, const uint8_t *data, size_t size, uint32_t now_ms)
{
    unsigned count = cryo_device_receive(&port->device, data, size, now_ms);
    unsigned i;

    fill_in(port, now_ms); /* callbacks may ask for the lease */
    for (i = 0; i < count; i++) {
        const struct cryo_request *request = &port->device.requests[i];
        if (request->message_id == CRYO_ID_STOP) {
            port->callbacks.on_stop(port->user, &request->u.stop);
        } else {
            decide(port, &request->u.command);
        }
    }
}

void cryo_port_begin(struct cryo_port *port, const struct cryo_device_config *config,
                     const struct cryo_port_callbacks *callbacks, void *user)
{
    uint32_t now_ms;

    memset(port, 0, sizeof *port);
    port->callbacks = *callbacks;
    port->user = user;
    now_ms = now_of(port);
    port->telemetry_at_ms = now_ms + config->identity.telemetry_period_ms;
    port->vitals_at_ms = now_ms + CRYO_VITALS_PERIOD_MS;
    port->hello_at_ms = now_ms + CRYO_HELLO_PERIOD_MS;
    cryo_device_init(&port->device, config);
    cryo_device_delimiter(&port->device);
    cryo_device_hello(&port->device);
    cryo_port_report(port, CRYO_EVENT_CODE_BOOT, CRYO_DEVICE_STATE_IDLE, CRYO_TRIP_NONE, 0, 0);
    flush(port);
}

void cryo_port_poll(struct cryo_port *port, const uint8_t *data, size_t size)
{
    uint32_t now_ms = now_of(port);

    while (size > CRYO_RECEIVE_MAX) {
        hear(port, data, CRYO_RECEIVE_MAX, now_ms);
        flush(port);
        data += CRYO_RECEIVE_MAX;
        size -= CRYO_RECEIVE_MAX;
    }
    hear(port, data, size, now_ms);
    fill_in(port, now_ms);
    send_due(port, now_ms);
    flush(port);
}

void cryo_port_done(struct cryo_port *port, uint32_t counter, uint8_t op, uint8_t result,
                    int32_t detail)
{
    if (port->is_deciding && counter == port->deciding_counter) {
        port->is_ended = 1; /* the first answer goes before the second */
        port->result = result;
        port->detail = detail;
    } else {
        cryo_device_done(&port->device, counter, op, result, detail);
    }
}

void cryo_port_report(struct cryo_port *port, uint8_t code, uint8_t state, uint8_t trip,
                      int32_t value, int32_t limit)
{
    struct cryo_event event;

    memset(&event, 0, sizeof event);
    event.device_ms = now_of(port);
    event.code = code;
    event.trip = trip;
    event.value = value;
    event.limit = limit;
    port->device.state = state;
    port->sample.trip = trip;
    cryo_device_event(&port->device, &event);
}
