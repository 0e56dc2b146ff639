/* The probe's own interlocks: pure functions of limits and memory, the most dangerous cause first.
 *
 * Each is written as early returns, one comparison each, so that branch coverage shows every
 * condition deciding by itself. Whether the tip can be believed is judged before anything else.
 */
#include "parts.h"

#define PRESSURE_TICKS 3        /* 30 ms of the 50 ms that SR-18 allows. */
#define GUARDS_OPEN_TICKS 10    /* 100 ms: longer than a contact that bounces. */
#define FLOW_TICKS 3            /* SR-07: one noisy sample is no flow. */
#define FALLING_TICKS 5         /* SR-07 */
#define BATTERY_MS 100          /* SR-36 allows 500 ms; a solenoid's inrush is shorter. */
#define SKIN_HOT_TICKS 10       /* 100 ms: the slow converter reads the skin once in that time. */
/* SR-41: warmer than chilled tissue, whose nerve answers late or not at all. Assumed. */
#define STIMULUS_TIP_MIN_MDEGC 20000

/* Return the most dangerous cause present, or CRYO_TRIP_NONE.
 *
 * seen: causes to pass over, one bit each: one that lasts must not hide another.
 */
int32_t find_trip(const struct firmware_limits *limits, const struct firmware_state *s,
                  uint32_t seen)
{
    if (s->tip_bad_samples > TIP_BAD_SAMPLES_MAX) { /* SR-11 */
        if (!is_among(seen, CRYO_TRIP_TIP_SENSOR)) {
            return CRYO_TRIP_TIP_SENSOR;
        }
    }
    if (tip_at_floor(limits, s)) { /* SR-05 */
        if (!is_among(seen, CRYO_TRIP_TIP_FLOOR)) {
            return CRYO_TRIP_TIP_FLOOR;
        }
    }
    if (s->overpressure_ticks >= PRESSURE_TICKS) { /* SR-18 */
        if (!is_among(seen, CRYO_TRIP_OVERPRESSURE)) {
            return CRYO_TRIP_OVERPRESSURE;
        }
    }
    if (valve_is_stuck(limits, s)) { /* SR-07 */
        if (!is_among(seen, CRYO_TRIP_VALVE_STUCK)) {
            return CRYO_TRIP_VALVE_STUCK;
        }
    }
    if (heater_is_dangerous(limits, s)) { /* SR-16 */
        if (!is_among(seen, CRYO_TRIP_HEATER)) {
            return CRYO_TRIP_HEATER;
        }
    }
    if (s->skin_hot_ticks >= SKIN_HOT_TICKS) { /* SR-42 */
        if (!is_among(seen, CRYO_TRIP_SKIN_HOT)) {
            return CRYO_TRIP_SKIN_HOT;
        }
    }
    if (s->exhaust_ticks >= PRESSURE_TICKS) { /* SR-18 */
        if (!is_among(seen, CRYO_TRIP_EXHAUST_BLOCKED)) {
            return CRYO_TRIP_EXHAUST_BLOCKED;
        }
    }
    if (s->driving) {
        if (s->lease_left_ms <= 0) { /* SR-01 */
            if (!is_among(seen, CRYO_TRIP_LEASE)) {
                return CRYO_TRIP_LEASE;
            }
        }
        if (s->frames_rejected > REJECTS_MAX) { /* SR-23 */
            if (!is_among(seen, CRYO_TRIP_INTEGRITY)) {
                return CRYO_TRIP_INTEGRITY;
            }
        }
    }
    if (s->state == CRYO_DEVICE_STATE_FREEZE) {
        if (s->guards_open_ticks >= GUARDS_OPEN_TICKS) { /* SR-18 */
            if (!is_among(seen, CRYO_TRIP_SENSOR_OPEN)) {
                return CRYO_TRIP_SENSOR_OPEN;
            }
        }
        if (freeze_is_too_long(limits, s)) { /* SR-09 */
            if (!is_among(seen, CRYO_TRIP_FREEZE_TIMER)) {
                return CRYO_TRIP_FREEZE_TIMER;
            }
        }
    }
    if (s->leak_ms >= LEAK_MS) { /* SR-08 */
        if (!is_among(seen, CRYO_TRIP_LEAK)) {
            return CRYO_TRIP_LEAK;
        }
    }
    if (battery_is_too_low(s)) { /* SR-36 */
        if (!is_among(seen, CRYO_TRIP_BATTERY)) {
            return CRYO_TRIP_BATTERY;
        }
    }
    if (s->mode_mismatches >= MISMATCHES_MAX) { /* SR-01 */
        if (!is_among(seen, CRYO_TRIP_MODE_MISMATCH)) {
            return CRYO_TRIP_MODE_MISMATCH;
        }
    }
    return CRYO_TRIP_NONE;
}

/* SR-05: the first plausible sample at or below the floor. */
int tip_at_floor(const struct firmware_limits *limits, const struct firmware_state *s)
{
    if (s->tip_mdegc > limits->tip_floor_mdegc) {
        return 0;
    }
    return s->tip_plausible;
}

/* SR-07: gas flows or the tip goes on falling although the valve should be shut. */
int valve_is_stuck(const struct firmware_limits *limits, const struct firmware_state *s)
{
    if (s->valve_shut_ms <= limits->coast_ms + VALVE_PROOF_MS) {
        return 0;
    }
    if (s->flow_stuck_ticks >= FLOW_TICKS) {
        return 1;
    }
    return s->falling_ticks >= FALLING_TICKS;
}

/* SR-16: too hot at any time; too long or too much energy while heating. */
int heater_is_dangerous(const struct firmware_limits *limits, const struct firmware_state *s)
{
    if (s->tip_mdegc > limits->heater_tip_max_mdegc) {
        return s->tip_plausible;
    }
    if (!s->heating) {
        return 0;
    }
    if (s->heater_on_ms > limits->heater_on_ms_max) {
        return 1;
    }
    return s->heater_energy_uj > limits->thaw_energy_uj_max;
}

/* SR-09: longer than commanded, or than any freeze may be, by the count of ticks. */
int freeze_is_too_long(const struct firmware_limits *limits, const struct firmware_state *s)
{
    if (s->freeze_ms > limits->freeze_ms_max) {
        return 1;
    }
    return s->freeze_ms > s->phase_limit_ms;
}

/* SR-36: while an output is on; afterwards the cause lasts as long as the battery is low. */
int battery_is_too_low(const struct firmware_state *s)
{
    if (s->battery_low_ms < BATTERY_MS) {
        return 0;
    }
    if (s->driving) {
        return 1;
    }
    return s->trip == CRYO_TRIP_BATTERY;
}

/* SR-15, SR-41: two of valve, tip heater and stimulator on in the same tick. */
int outputs_overlap(int32_t valve_permille, int32_t tip_heater_permille, int32_t stimulus_ua)
{
    if (valve_permille > 0) {
        if (tip_heater_permille > 0) {
            return 1;
        }
        return stimulus_ua > 0;
    }
    if (tip_heater_permille > 0) {
        return stimulus_ua > 0;
    }
    return 0;
}

/* SR-41: shut for so long that SR-07 would have found it stuck, and the shut-off behind it. */
int valve_is_proved_shut(const struct firmware_limits *limits, const struct firmware_state *s)
{
    if (s->outputs.shutoff_open) {
        return 0;
    }
    return s->valve_shut_ms > limits->coast_ms + VALVE_PROOF_MS;
}

/* SR-41: by the last plausible sample. */
int tip_is_too_cold_to_stimulate(const struct firmware_state *s)
{
    return s->tip_mdegc <= STIMULUS_TIP_MIN_MDEGC;
}

/* SR-42: by the clock or by the count of ticks, whichever comes first. */
int prewarm_is_over(const struct firmware_state *s, int32_t elapsed_ms)
{
    if (elapsed_ms >= s->phase_limit_ms) {
        return 1;
    }
    return s->prewarm_ms >= s->phase_limit_ms;
}

/* SR-41: by the clock or by the count of ticks, whichever comes first; 30 s at most. */
int stimulus_is_over(const struct firmware_state *s)
{
    int32_t limit_ms = min_of(s->phase_limit_ms, STIMULUS_MS_MAX);

    if (until_ms(s->stimulus_since_ms, s->now_ms) >= limit_ms) {
        return 1;
    }
    return s->stimulus_ms >= limit_ms;
}

/* SR-41: one of the conditions that it was begun under holds no longer. */
int stimulus_must_end(const struct firmware_limits *limits, const struct firmware_state *s)
{
    if (!valve_is_proved_shut(limits, s)) {
        return 1;
    }
    if (s->tip_bad_samples > TIP_BAD_SAMPLES_MAX) {
        return 1;
    }
    return tip_is_too_cold_to_stimulate(s);
}
