/* Takes one set of readings into the firmware's memory: what is believable, and for how long. */
#include "parts.h"

#define TIP_HOTTEST_MDEGC 80000     /* SR-11 */
#define TIP_STEP_MDEGC_MAX 2500     /* SR-11: 250 C/s over one tick of 10 ms. */
#define SATURATION_MARGIN_MDEGC 4000 /* SR-11: no tip is colder than its boiling gas by more. */
#define EXHAUST_OPEN_AIR_MBAR 1013  /* Standard atmosphere, where no exhaust sensor says else. */
#define HISTORY_MASK 0x1Fu

#define FAST_DIVISOR 8  /* 80 ms at 100 Hz */
#define SLOW_DIVISOR 32 /* 320 ms */
#define FILTERS_APART_MS ((SLOW_DIVISOR - FAST_DIVISOR) * FIRMWARE_TICK_MS)
#define RATE_DIVISOR (TIP_SCALE * FILTERS_APART_MS)

/* Cooling that goes on is told from a thaw by temperature: melting ice holds the tip above -8 C. */
#define FALLING_BELOW_MDEGC (-10000)
#define FALLING_MDEGC_S (-1000) /* SR-07 */
#define WARM_MDEGC 5000         /* SR-14 */

static void observe_tip(const struct firmware_limits *limits, struct firmware_state *s,
                        int32_t tip_mdegc, int32_t open_circuit, int32_t exhaust_mbar);
static void observe_gas(const struct firmware_limits *limits, struct firmware_state *s,
                        const struct firmware_readings *r, int32_t open_circuit);
static int is_cooled(const struct firmware_state *s);

/* Return the saturation temperature at `pressure_mbar`; level beyond the table's ends. */
int32_t saturation_mdegc(const struct firmware_limits *limits, int32_t pressure_mbar)
{
    int32_t below_mbar = limits->saturation_mbar[0];
    int32_t below_mdegc = limits->saturation_mdegc[0];

    if (pressure_mbar <= below_mbar) {
        return below_mdegc;
    }
    for (int32_t row = 0; row < limits->saturation_points; row++) {
        int32_t mbar = limits->saturation_mbar[row];
        int32_t mdegc = limits->saturation_mdegc[row];

        if (pressure_mbar <= mbar) {
            int64_t part = (int64_t)(pressure_mbar - below_mbar) * (mdegc - below_mdegc);

            return below_mdegc + (int32_t)floor_div(part, mbar - below_mbar);
        }
        below_mbar = mbar;
        below_mdegc = mdegc;
    }
    return below_mdegc;
}

/* Return 1 if this sample can be the temperature of a tip (SR-11). */
int tip_is_plausible(const struct firmware_limits *limits, const struct firmware_state *s,
                     int32_t tip_mdegc, int32_t open_circuit, int32_t exhaust_mbar)
{
    if (open_circuit & CRYO_SENSOR_TIP) {
        return 0;
    }
    if (tip_mdegc < TIP_COLDEST_MDEGC) {
        return 0;
    }
    if (tip_mdegc > TIP_HOTTEST_MDEGC) {
        return 0;
    }
    if (s->tip_seen) {
        int64_t step_mdegc = (int64_t)tip_mdegc - s->tip_raw_mdegc;

        if (step_mdegc > TIP_STEP_MDEGC_MAX) {
            return 0;
        }
        if (step_mdegc < -TIP_STEP_MDEGC_MAX) {
            return 0;
        }
    }
    if (tip_mdegc >= limits->always_plausible_mdegc) {
        return 1;
    }
    if (open_circuit & CRYO_SENSOR_EXHAUST_PRESSURE) {
        exhaust_mbar = EXHAUST_OPEN_AIR_MBAR;
    }
    /* A blocked exhaust has an interlock of its own and must not make the tip look false. */
    exhaust_mbar = min_of(exhaust_mbar, limits->exhaust_trip_mbar);
    return tip_mdegc >= saturation_mdegc(limits, exhaust_mbar) - SATURATION_MARGIN_MDEGC;
}

/* Take one set of readings. */
void observe(const struct firmware_limits *limits, struct firmware_state *s,
             const struct firmware_readings *r)
{
    int32_t open_circuit = r->open_circuit | limits->absent_sensors;

    observe_tip(limits, s, r->tip_mdegc, open_circuit, r->exhaust_mbar);
    observe_gas(limits, s, r, open_circuit);
    if (r->skin_mdegc > SKIN_HOT_MDEGC) {
        s->skin_hot_ticks = open_circuit & CRYO_SENSOR_SKIN ? 0 : count_up(s->skin_hot_ticks, 1);
    } else {
        s->skin_hot_ticks = 0;
    }
    if (r->battery_mv < limits->battery_min_mv) {
        s->battery_low_ms = open_circuit & CRYO_SENSOR_BATTERY
                                ? 0
                                : count_up(s->battery_low_ms, FIRMWARE_TICK_MS);
    } else {
        s->battery_low_ms = 0;
    }
}

static void observe_tip(const struct firmware_limits *limits, struct firmware_state *s,
                        int32_t tip_mdegc, int32_t open_circuit, int32_t exhaust_mbar)
{
    int plausible = tip_is_plausible(limits, s, tip_mdegc, open_circuit, exhaust_mbar);
    uint32_t history = (uint32_t)s->tip_history << 1 & HISTORY_MASK;

    s->tip_plausible = plausible;
    s->tip_raw_mdegc = tip_mdegc;
    if (!plausible) {
        history += 1u;
        s->warm_ms = 0;
    }
    s->tip_history = (int32_t)history;
    s->tip_bad_samples = 0;
    for (uint32_t bits = history; bits != 0; bits >>= 1) {
        s->tip_bad_samples += (int32_t)(bits & 1u);
    }
    if (plausible) {
        int32_t scaled = tip_mdegc * TIP_SCALE; /* At most 80 C: it fits. */

        s->tip_mdegc = tip_mdegc;
        if (s->tip_rated) {
            s->tip_fast += (int32_t)floor_div((int64_t)scaled - s->tip_fast, FAST_DIVISOR);
            s->tip_slow += (int32_t)floor_div((int64_t)scaled - s->tip_slow, SLOW_DIVISOR);
        } else {
            s->tip_fast = scaled;
            s->tip_slow = scaled;
        }
        s->tip_rated = 1;
        s->tip_rate_mdegc_s =
            (int32_t)floor_div(((int64_t)s->tip_fast - s->tip_slow) * 1000, RATE_DIVISOR);
        if (tip_mdegc > WARM_MDEGC) {
            s->warm_ms = count_up(s->warm_ms, FIRMWARE_TICK_MS);
        } else {
            s->warm_ms = 0;
        }
    } else if (s->tip_bad_samples > TIP_BAD_SAMPLES_MAX) {
        s->tip_rated = 0; /* A rate of before the sensor broke is no rate of now. */
        s->tip_rate_mdegc_s = 0;
    }
    s->tip_seen = 1;
}

static void observe_gas(const struct firmware_limits *limits, struct firmware_state *s,
                        const struct firmware_readings *r, int32_t open_circuit)
{
    int32_t shut_ms = s->outputs.valve_permille > 0 ? 0 : count_up(s->valve_shut_ms, FIRMWARE_TICK_MS);
    int32_t flow_ug_s = open_circuit & CRYO_SENSOR_EXHAUST_FLOW ? 0 : r->exhaust_flow_ug_s;

    if (r->supply_mbar > limits->pressure_trip_mbar) {
        s->overpressure_ticks =
            open_circuit & CRYO_SENSOR_SUPPLY_PRESSURE ? 0 : count_up(s->overpressure_ticks, 1);
    } else {
        s->overpressure_ticks = 0;
    }
    if (r->exhaust_mbar > limits->exhaust_trip_mbar) {
        s->exhaust_ticks =
            open_circuit & CRYO_SENSOR_EXHAUST_PRESSURE ? 0 : count_up(s->exhaust_ticks, 1);
    } else {
        s->exhaust_ticks = 0;
    }
    s->guards_open_ticks =
        r->open_circuit & limits->guard_sensors ? count_up(s->guards_open_ticks, 1) : 0;
    s->valve_shut_ms = shut_ms;
    if (shut_ms <= limits->coast_ms) {
        s->flow_stuck_ticks = 0;
        s->falling_ticks = 0;
        s->leak_ms = 0;
        return;
    }
    s->flow_stuck_ticks = flow_ug_s > limits->flow_stuck_ug_s ? count_up(s->flow_stuck_ticks, 1) : 0;
    s->leak_ms = flow_ug_s > limits->flow_leak_ug_s ? count_up(s->leak_ms, FIRMWARE_TICK_MS) : 0;
    s->falling_ticks = is_cooled(s) ? count_up(s->falling_ticks, 1) : 0;
}

/* Return 1 if only gas can make the tip fall like this (SR-07). */
static int is_cooled(const struct firmware_state *s)
{
    if (s->tip_rate_mdegc_s >= FALLING_MDEGC_S) {
        return 0;
    }
    return s->tip_mdegc <= FALLING_BELOW_MDEGC;
}
