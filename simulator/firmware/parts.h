/* What the parts of the firmware share: arithmetic, and functions by module. */
#ifndef PARTS_H
#define PARTS_H

#include "firmware.h"

/* -- arithmetic ------------------------------------------------------------------------------ */

/* Divide, rounding towards minus infinity; `divisor` is positive. */
static inline int64_t floor_div(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;

    return value % divisor < 0 ? quotient - 1 : quotient;
}

/* Return how far `later_ms` lies ahead of `device_ms`; negative if it has passed. */
static inline int32_t until_ms(uint32_t device_ms, uint32_t later_ms)
{
    return (int32_t)(later_ms - device_ms);
}

/* Count something that lasts. It stays at its largest value, far beyond every limit. */
static inline int32_t count_up(int32_t value, int32_t step)
{
    return value > INT32_MAX - step ? INT32_MAX : value + step;
}

static inline int32_t min_of(int32_t one, int32_t other)
{
    return one < other ? one : other;
}

/* Whether `state` is among `states`, one bit each. */
static inline int is_among(uint32_t states, int32_t state)
{
    if (state < 0 || state > 31) { /* A bit that turned over. */
        return 0;
    }
    return (states >> state & 1u) != 0;
}

/* -- safety ---------------------------------------------------------------------------------- */

#define TIP_BAD_SAMPLES_MAX 2      /* SR-11: the third of five trips. */
#define VALVE_PROOF_MS 300         /* SR-07: on top of the profile's coast. */
#define LEAK_MS 1000               /* SR-08 */
#define REJECTS_MAX 5              /* SR-23: more than this many in one second. */
#define MISMATCHES_MAX 3
#define SKIN_HOT_MDEGC 43000       /* SR-42: what skin bears for as long as a treatment lasts. */
#define STIMULUS_MS_MAX 30000      /* SR-41: a forgotten one ends soon; assumed. */

int32_t find_trip(const struct firmware_limits *limits, const struct firmware_state *s,
                  uint32_t seen);
int tip_at_floor(const struct firmware_limits *limits, const struct firmware_state *s);
int valve_is_stuck(const struct firmware_limits *limits, const struct firmware_state *s);
int heater_is_dangerous(const struct firmware_limits *limits, const struct firmware_state *s);
int freeze_is_too_long(const struct firmware_limits *limits, const struct firmware_state *s);
int battery_is_too_low(const struct firmware_state *s);
int outputs_overlap(int32_t valve_permille, int32_t tip_heater_permille, int32_t stimulus_ua);
int valve_is_proved_shut(const struct firmware_limits *limits, const struct firmware_state *s);
int tip_is_too_cold_to_stimulate(const struct firmware_state *s);
int prewarm_is_over(const struct firmware_state *s, int32_t elapsed_ms);
int stimulus_is_over(const struct firmware_state *s);
int stimulus_must_end(const struct firmware_limits *limits, const struct firmware_state *s);

/* -- sensing --------------------------------------------------------------------------------- */

#define TIP_COLDEST_MDEGC (-92000) /* SR-11; stricter than the sensor's own range. */
#define TIP_SCALE 256

int tip_is_plausible(const struct firmware_limits *limits, const struct firmware_state *s,
                     int32_t tip_mdegc, int32_t open_circuit, int32_t exhaust_mbar);
void observe(const struct firmware_limits *limits, struct firmware_state *s,
             const struct firmware_readings *r);
int32_t saturation_mdegc(const struct firmware_limits *limits, int32_t pressure_mbar);

/* -- control --------------------------------------------------------------------------------- */

void start_approach(const struct firmware_limits *limits, struct firmware_state *s);
int32_t valve_duty(const struct firmware_limits *limits, struct firmware_state *s);
int32_t heater_duty(const struct firmware_limits *limits, struct firmware_state *s);
int skin_is_seen(const struct firmware_limits *limits, const struct firmware_readings *r);
int32_t warmer_duty(const struct firmware_limits *limits, const struct firmware_readings *r);

/* -- checks ---------------------------------------------------------------------------------- */

#define SELF_TEST_MS 500
#define FILL_MS 500                /* The shut-off opens so long for a leak test. */
#define LEAK_TEST_MS 11600         /* Fill, settle, measure (SR-19), mean. */

void start_self_test(struct firmware_state *s);
void watch_self_test(const struct firmware_limits *limits, struct firmware_state *s,
                     const struct firmware_readings *r);
void start_leak_test(struct firmware_state *s);
void watch_leak_test(const struct firmware_limits *limits, struct firmware_state *s,
                     const struct firmware_readings *r, int32_t elapsed_ms);
int32_t leak_decay_mbar(const struct firmware_state *s);
int leak_test_is_ok(const struct firmware_state *s);

/* -- commands -------------------------------------------------------------------------------- */

#define START_MS 10000             /* SR-26: from ARM to START */
#define MICRO_PER_MILLI 1000

enum cryo_answer judge(const struct firmware_limits *limits, const struct firmware_state *s,
                       const struct firmware_readings *r, const struct cryo_command *command);

/* -- drive ----------------------------------------------------------------------------------- */

void drive(const struct firmware_limits *limits, struct firmware_state *s,
           const struct firmware_readings *r);
void all_off(struct firmware_outputs *out);

/* -- reporting ------------------------------------------------------------------------------- */

struct figures {
    int32_t value;
    int32_t limit;
};

struct cryo_vitals vitals(const struct firmware_state *s, const struct firmware_readings *r);
struct cryo_telemetry telemetry(const struct firmware_state *s, const struct firmware_readings *r,
                                const struct firmware_limits *limits, uint16_t event_count);
struct figures broken_limit(const struct firmware_limits *limits, const struct firmware_state *s,
                            const struct firmware_readings *r, int32_t cause);

#endif
