/* What the firmware says about itself: telemetry, and the figures of a trip. */
#include "parts.h"

#define RESPONSE_MS 200 /* What is seen sooner belongs to what was on before. */

static void without(struct cryo_telemetry *sample, int32_t absent);

/* Return the least a monitor needs. */
struct cryo_vitals vitals(const struct firmware_state *s, const struct firmware_readings *r)
{
    struct cryo_vitals sample = {
        .device_ms = s->now_ms,
        .state = (uint8_t)s->state,
        .tip_mdegc = r->tip_mdegc,
        .supply_mbar = r->supply_mbar,
        .valve_permille = (uint16_t)s->outputs.valve_permille,
        .tip_heater_permille = (uint16_t)s->outputs.tip_heater_permille,
        .shutoff_open = (uint8_t)s->outputs.shutoff_open,
    };

    return sample;
}

/* Return one sample of everything; sensors the probe lacks read 0. */
struct cryo_telemetry telemetry(const struct firmware_state *s, const struct firmware_readings *r,
                                const struct firmware_limits *limits, uint16_t event_count)
{
    const struct firmware_outputs *out = &s->outputs;
    struct cryo_telemetry sample = {
        .device_ms = s->now_ms,
        .state = (uint8_t)s->state,
        .trip = (uint8_t)s->trip,
        .open_circuit = (uint16_t)r->open_circuit,
        .tip_mdegc = r->tip_mdegc,
        .tip_2_mdegc = r->tip_2_mdegc,
        .skin_mdegc = r->skin_mdegc,
        .supply_mbar = r->supply_mbar,
        .exhaust_mbar = r->exhaust_mbar,
        .exhaust_flow_ug_s = r->exhaust_flow_ug_s,
        .cartridge_mdegc = r->cartridge_mdegc,
        .battery_mv = (uint16_t)r->battery_mv,
        .button = (uint8_t)r->button,
        .setpoint_mdegc = s->setpoint_mdegc,
        .valve_permille = (uint16_t)out->valve_permille,
        .shutoff_open = (uint8_t)out->shutoff_open,
        .tip_heater_permille = (uint16_t)out->tip_heater_permille,
        .skin_warmer_permille = (uint16_t)out->skin_warmer_permille,
        .led = (uint8_t)out->led,
        .beeper = (uint8_t)out->beeper,
        .freeze_ms = (uint32_t)s->freeze_ms,
        .thaw_energy_mj = (uint32_t)floor_div(s->heater_energy_uj, MICRO_PER_MILLI),
        .lease_left_ms = (uint16_t)s->lease_left_ms,
        .event_count = event_count,
    };

    if (out->stimulus_ua) {
        sample.stimulus_ua = (uint16_t)out->stimulus_ua;
        sample.stimulus_hz = (uint8_t)out->stimulus_hz;
        sample.stimulus_pulse_us = (uint16_t)out->stimulus_pulse_us;
        sample.stimulus_response =
            s->stimulus_ms >= RESPONSE_MS ? (uint8_t)r->stimulus_response : 0;
    }
    if (limits->absent_sensors) {
        without(&sample, limits->absent_sensors);
    }
    return sample;
}

/* Make `sample` what a probe without the sensors in `absent` sends. */
static void without(struct cryo_telemetry *sample, int32_t absent)
{
    sample->open_circuit = (uint16_t)(sample->open_circuit & ~absent);
    if (absent & CRYO_SENSOR_TIP) {
        sample->tip_mdegc = 0;
    }
    if (absent & CRYO_SENSOR_TIP_2) {
        sample->tip_2_mdegc = 0;
    }
    if (absent & CRYO_SENSOR_SKIN) {
        sample->skin_mdegc = 0;
    }
    if (absent & CRYO_SENSOR_SUPPLY_PRESSURE) {
        sample->supply_mbar = 0;
    }
    if (absent & CRYO_SENSOR_EXHAUST_PRESSURE) {
        sample->exhaust_mbar = 0;
    }
    if (absent & CRYO_SENSOR_EXHAUST_FLOW) {
        sample->exhaust_flow_ug_s = 0;
    }
    if (absent & CRYO_SENSOR_CARTRIDGE_TEMP) {
        sample->cartridge_mdegc = 0;
    }
    if (absent & CRYO_SENSOR_BATTERY) {
        sample->battery_mv = 0;
    }
    if (absent & CRYO_SENSOR_BUTTON) {
        sample->button = 0;
    }
    if (absent & CRYO_SENSOR_RESPONSE) {
        sample->stimulus_response = 0;
    }
}

/* Return the measured value and the limit it broke, for the event of a trip. */
struct figures broken_limit(const struct firmware_limits *limits, const struct firmware_state *s,
                            const struct firmware_readings *r, int32_t cause)
{
    switch (cause) {
    case CRYO_TRIP_TIP_SENSOR:
        if (r->open_circuit & CRYO_SENSOR_TIP) {
            return (struct figures){0, 0}; /* A broken wire has no temperature. */
        }
        return (struct figures){r->tip_mdegc, TIP_COLDEST_MDEGC};
    case CRYO_TRIP_TIP_FLOOR:
        return (struct figures){s->tip_mdegc, limits->tip_floor_mdegc};
    case CRYO_TRIP_OVERPRESSURE:
        return (struct figures){r->supply_mbar, limits->pressure_trip_mbar};
    case CRYO_TRIP_VALVE_STUCK:
        return (struct figures){r->exhaust_flow_ug_s, limits->flow_stuck_ug_s};
    case CRYO_TRIP_HEATER:
        return (struct figures){s->tip_mdegc, limits->heater_tip_max_mdegc};
    case CRYO_TRIP_SKIN_HOT:
        return (struct figures){r->skin_mdegc, SKIN_HOT_MDEGC};
    case CRYO_TRIP_EXHAUST_BLOCKED:
        return (struct figures){r->exhaust_mbar, limits->exhaust_trip_mbar};
    case CRYO_TRIP_LEASE:
        return (struct figures){0, CRYO_LEASE_LIFE_MS_MAX};
    case CRYO_TRIP_INTEGRITY:
        return (struct figures){s->frames_rejected, REJECTS_MAX};
    case CRYO_TRIP_FREEZE_TIMER:
        return (struct figures){s->freeze_ms, min_of(s->phase_limit_ms, limits->freeze_ms_max)};
    case CRYO_TRIP_LEAK:
        return (struct figures){r->exhaust_flow_ug_s, limits->flow_leak_ug_s};
    case CRYO_TRIP_BATTERY:
        return (struct figures){r->battery_mv, limits->battery_min_mv};
    case CRYO_TRIP_MODE_MISMATCH:
        return (struct figures){s->mode_mismatches, MISMATCHES_MAX};
    default:
        return (struct figures){0, 0};
    }
}
