/* The tests that the probe runs on itself: sensors and lamps, and a leak test under pressure. */
#include "parts.h"

#define TIPS_APART_MDEGC_MAX 5000    /* Two thermocouples at rest; each may be off by 2 C. */
#define SETTLE_MS 1000
#define MEASURE_MS 10000             /* SR-19 */
#define MEAN_MS 100                  /* Pressure is averaged over this at both ends. */
#define BEGIN_MS (FILL_MS + SETTLE_MS)
#define DECAY_MBAR_MAX 1000          /* SR-19: less than 1 bar in 10 s, lost or gained. */
#define SAMPLE_MBAR_MAX 1000000
#define TEST_PRESSURE_MIN_MBAR 10000 /* A line without pressure cannot show a leak. */
#define STILL_MS_MAX 2000            /* SR-19: a live sensor's last digit moves. */

_Static_assert(LEAK_TEST_MS == BEGIN_MS + MEASURE_MS + MEAN_MS, "length of the leak test");

static void take(struct firmware_state *s, const struct firmware_readings *r);
static int32_t mean_mbar(const struct firmware_state *s);

/* Begin the self-test. */
void start_self_test(struct firmware_state *s)
{
    s->test_failed = 0;
}

/* Judge one set of readings while nothing is driven. */
void watch_self_test(const struct firmware_limits *limits, struct firmware_state *s,
                     const struct firmware_readings *r)
{
    /* The last plausible sample: a single bad one is no fault here either. */
    int64_t apart_mdegc = (int64_t)s->tip_mdegc - r->tip_2_mdegc;

    if (r->open_circuit & limits->sensors) {
        s->test_failed = 1;
    }
    if (s->tip_bad_samples > TIP_BAD_SAMPLES_MAX) { /* SR-11: fewer are no fault. */
        s->test_failed = 1;
    }
    if (apart_mdegc > TIPS_APART_MDEGC_MAX) {
        s->test_failed = 1;
    }
    if (apart_mdegc < -TIPS_APART_MDEGC_MAX) {
        s->test_failed = 1;
    }
    if (r->battery_mv < limits->battery_min_mv) {
        s->test_failed = 1;
    }
    if (r->exhaust_flow_ug_s > limits->flow_leak_ug_s) {
        s->test_failed = 1;
    }
}

/* Begin the leak test; an older result is void. */
void start_leak_test(struct firmware_state *s)
{
    s->leak_test_passed = 0;
    s->test_failed = 0;
    s->test_start_mbar = 0;
    s->test_sum_mbar = 0;
    s->test_samples = 0;
    s->test_last_mbar = 0;
    s->test_still_ms = 0;
}

/* Take one set of readings: fill, settle, mean, wait, mean. */
void watch_leak_test(const struct firmware_limits *limits, struct firmware_state *s,
                     const struct firmware_readings *r, int32_t elapsed_ms)
{
    if (r->open_circuit & limits->guard_sensors) {
        s->test_failed = 1; /* What cannot be seen proves nothing. */
    }
    if (r->supply_mbar == s->test_last_mbar) {
        s->test_still_ms = count_up(s->test_still_ms, FIRMWARE_TICK_MS);
    } else {
        s->test_still_ms = 0;
    }
    s->test_last_mbar = r->supply_mbar;
    if (s->test_still_ms >= STILL_MS_MAX) {
        s->test_failed = 1;
    }
    if (elapsed_ms <= BEGIN_MS) {
        return;
    }
    if (r->exhaust_flow_ug_s > limits->flow_leak_ug_s) {
        s->test_failed = 1;
    }
    if (elapsed_ms <= BEGIN_MS + MEAN_MS) {
        take(s, r);
    } else if (elapsed_ms > BEGIN_MS + MEASURE_MS) {
        take(s, r);
    } else if (s->test_samples > 0) {
        s->test_start_mbar = mean_mbar(s);
        s->test_sum_mbar = 0;
        s->test_samples = 0;
    }
}

/* Return what the pressure lost. */
int32_t leak_decay_mbar(const struct firmware_state *s)
{
    return s->test_start_mbar - mean_mbar(s);
}

/* SR-19: pressurised, a live reading, no flow, and less than 1 bar of change in 10 s. */
int leak_test_is_ok(const struct firmware_state *s)
{
    int32_t decay_mbar;

    if (s->test_failed) {
        return 0;
    }
    if (s->test_start_mbar < TEST_PRESSURE_MIN_MBAR) {
        return 0;
    }
    decay_mbar = leak_decay_mbar(s);
    if (decay_mbar <= -DECAY_MBAR_MAX) {
        return 0; /* A shut line gains nothing: the sensor drifts, or the supply is not shut. */
    }
    return decay_mbar < DECAY_MBAR_MAX;
}

static void take(struct firmware_state *s, const struct firmware_readings *r)
{
    /* Far above every sensor, so that the sum stays within 32 bits. */
    int32_t mbar = min_of(r->supply_mbar, SAMPLE_MBAR_MAX);

    s->test_sum_mbar += mbar < -SAMPLE_MBAR_MAX ? -SAMPLE_MBAR_MAX : mbar;
    s->test_samples += 1;
}

static int32_t mean_mbar(const struct firmware_state *s)
{
    return (int32_t)floor_div(s->test_sum_mbar, s->test_samples);
}
