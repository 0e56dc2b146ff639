/* What each state drives: valve, heaters, stimulator, light and beeper, set once a tick. */
#include "parts.h"

#define ALARM_TICKS 100u /* Light and beeper pulse at 1 Hz while latched. */
#define LIT                                                                                       \
    (1u << CRYO_DEVICE_STATE_SELF_TEST | 1u << CRYO_DEVICE_STATE_THAW                             \
     | 1u << CRYO_DEVICE_STATE_STIMULATE)
#define ALARMED (1u << CRYO_DEVICE_STATE_SAFE | 1u << CRYO_DEVICE_STATE_FAULT)

static int keeps_shutoff_open(const struct firmware_limits *limits, const struct firmware_state *s);

/* Set every output for this tick. */
void drive(const struct firmware_limits *limits, struct firmware_state *s,
           const struct firmware_readings *r)
{
    struct firmware_outputs *out = &s->outputs;
    int is_thawing = s->state == CRYO_DEVICE_STATE_THAW;
    int is_warming = s->state == CRYO_DEVICE_STATE_PREWARM;
    int is_stimulating = s->state == CRYO_DEVICE_STATE_STIMULATE;
    int is_pulse;

    if (s->state == CRYO_DEVICE_STATE_FREEZE) {
        out->valve_permille = valve_duty(limits, s);
        out->shutoff_open = 1;
        out->tip_heater_permille = 0;
        out->heater_supply_on = 0;
        out->skin_warmer_permille = warmer_duty(limits, r);
        out->warmer_supply_on = skin_is_seen(limits, r);
        out->led = 1;
        out->beeper = 0;
        out->stimulus_ua = 0;
        s->driving = 1;
        return;
    }
    out->valve_permille = 0;
    out->shutoff_open = keeps_shutoff_open(limits, s);
    out->tip_heater_permille = s->heating ? heater_duty(limits, s) : 0;
    /* It stays on to the end of a heated thaw: there a driver that is stuck shows itself. */
    out->heater_supply_on = s->heating || (is_thawing && s->heater_on_ms > 0);
    out->skin_warmer_permille = is_warming ? warmer_duty(limits, r) : 0;
    out->warmer_supply_on = is_warming && skin_is_seen(limits, r);
    is_pulse = is_among(ALARMED, s->state) && s->tick_count % ALARM_TICKS < ALARM_TICKS / 2u;
    out->led = is_pulse || is_among(LIT, s->state);
    out->beeper = s->state == CRYO_DEVICE_STATE_SELF_TEST
                  || (is_pulse && s->state == CRYO_DEVICE_STATE_FAULT);
    out->stimulus_ua = is_stimulating ? s->stimulus_ua : 0;
    if (is_stimulating) {
        out->stimulus_hz = s->stimulus_hz;
        out->stimulus_pulse_us = s->stimulus_pulse_us;
    }
    s->driving = is_stimulating || is_warming || (is_thawing && s->heating);
}

/* Take the power from everything that cools, warms or stimulates. */
void all_off(struct firmware_outputs *out)
{
    out->valve_permille = 0;
    out->shutoff_open = 0;
    out->tip_heater_permille = 0;
    out->heater_supply_on = 0;
    out->skin_warmer_permille = 0;
    out->warmer_supply_on = 0;
    out->stimulus_ua = 0;
}

/* After a freeze until the valve has proved that it shuts; to fill the line for a test. */
static int keeps_shutoff_open(const struct firmware_limits *limits, const struct firmware_state *s)
{
    if (s->state == CRYO_DEVICE_STATE_THAW) {
        return s->valve_shut_ms <= limits->coast_ms + VALVE_PROOF_MS + LEAK_MS;
    }
    if (s->state == CRYO_DEVICE_STATE_LEAK_TEST) {
        return until_ms(s->state_since_ms, s->now_ms) < FILL_MS;
    }
    return 0;
}
