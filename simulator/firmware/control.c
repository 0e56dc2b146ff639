/* The firmware's regulators: valve duty from tip temperature, tip heater, skin warmer. */
#include "parts.h"

#define FULL_PERMILLE 1000
#define THAW_TARGET_MDEGC 6500
#define THAW_PERMILLE_PER_C 1000
/* A colder ball takes up the heater's whole energy; left alone it is at its melting range in 5 s. */
#define HEAT_FROM_MDEGC (-8500)
#define THAW_LEAD_MS 300 /* A tip of 0.05 J/K at 1.5 W outruns its sensor by 7 C. */
#define SKIN_TARGET_MDEGC 35000
#define SKIN_PERMILLE_PER_C 500
#define SKIN_HOLD_PERMILLE 250 /* About what the shaft takes away while freezing. */
#define MICRO 1000000
#define INTEGRAL_MAX (FULL_PERMILLE * MICRO)

static int32_t regulate(const struct firmware_limits *limits, struct firmware_state *s,
                        int64_t error_mdegc);

/* Head for a set-point: fully open at first, then from the duty known to hold the tip. */
void start_approach(const struct firmware_limits *limits, struct firmware_state *s)
{
    s->approaching = 1;
    s->integral_upermille = limits->feed_forward_permille * MICRO;
}

/* Return the valve's duty for this tick, slew-limited; advances the integral. */
int32_t valve_duty(const struct firmware_limits *limits, struct firmware_state *s)
{
    int64_t ahead_mdegc = floor_div((int64_t)s->tip_rate_mdegc_s * limits->lead_ms, 1000);
    /* Above the set-point the error is positive. */
    int64_t error_mdegc = floor_div(s->tip_fast, TIP_SCALE) + ahead_mdegc - s->setpoint_mdegc;
    int32_t present = s->outputs.valve_permille;
    int32_t slew = limits->slew_permille_per_tick;
    int32_t wanted;

    if (error_mdegc <= limits->full_open_mdegc) {
        s->approaching = 0; /* For good: a threshold crossed to and fro would be a relay. */
    }
    /* While approaching the integral waits: it would only wind up. */
    wanted = s->approaching ? FULL_PERMILLE : regulate(limits, s, error_mdegc);
    if (wanted > present + slew) {
        return present + slew;
    }
    if (wanted < present - slew) {
        return present - slew;
    }
    return wanted;
}

/* PI; the integral moves only where that does not push further into saturation. */
static int32_t regulate(const struct firmware_limits *limits, struct firmware_state *s,
                        int64_t error_mdegc)
{
    int64_t step = limits->integral_permille_per_c_s * error_mdegc * FIRMWARE_TICK_MS;
    int64_t integral = s->integral_upermille;
    int64_t wanted = floor_div(integral + step, MICRO);

    wanted += floor_div(limits->proportional_permille_per_c * error_mdegc, 1000);
    if (wanted > FULL_PERMILLE) {
        integral += step < 0 ? step : 0;
        wanted = FULL_PERMILLE;
    } else if (wanted < 0) {
        integral += step > 0 ? step : 0;
        wanted = 0;
    } else {
        integral += step;
    }
    if (integral < 0) {
        integral = 0;
    } else if (integral > INTEGRAL_MAX) {
        integral = INTEGRAL_MAX;
    }
    s->integral_upermille = (int32_t)integral;
    return (int32_t)wanted;
}

/* Return the tip heater's duty and book its energy; ends the heating when a limit is met. */
int32_t heater_duty(const struct firmware_limits *limits, struct firmware_state *s)
{
    int64_t tick_uj = (int64_t)limits->heater_mw * s->step_ms; /* Full duty: mW x ms = uJ. */
    int64_t left_uj = (int64_t)s->heater_budget_uj - s->heater_energy_uj;
    int64_t duty;
    int64_t ahead_mdegc;
    int64_t short_mdegc;
    int64_t wanted;

    if (s->heater_on_ms >= limits->heater_on_ms_max) {
        s->heating = 0;
        return 0;
    }
    /* A tick that comes late has heated for longer; so may the next. */
    duty = floor_div(left_uj * 1000, tick_uj);
    if (duty <= 0) {
        s->heating = 0;
        return 0;
    }
    if (s->tip_history) {
        return 0; /* A bad sample among the last five: wait until the tip can be trusted. */
    }
    if (s->tip_fast < HEAT_FROM_MDEGC * TIP_SCALE) {
        return 0;
    }
    ahead_mdegc = floor_div((int64_t)s->tip_rate_mdegc_s * THAW_LEAD_MS, 1000);
    short_mdegc = THAW_TARGET_MDEGC - floor_div(s->tip_fast, TIP_SCALE) - ahead_mdegc;
    wanted = floor_div(short_mdegc * THAW_PERMILLE_PER_C, 1000);
    if (wanted <= 0) {
        return 0;
    }
    duty = duty < wanted ? duty : wanted;
    duty = duty < FULL_PERMILLE ? duty : FULL_PERMILLE;
    s->heater_energy_uj += (int32_t)floor_div(duty * tick_uj, 1000); /* No more than is left. */
    s->heater_on_ms = count_up(s->heater_on_ms, s->step_ms);
    return (int32_t)duty;
}

/* SR-42: skin that nobody measures is not warmed, and its warmer has no supply. */
int skin_is_seen(const struct firmware_limits *limits, const struct firmware_readings *r)
{
    return !((r->open_circuit | limits->absent_sensors) & CRYO_SENSOR_SKIN);
}

/* Return the skin warmer's duty; off when the skin sensor is open. */
int32_t warmer_duty(const struct firmware_limits *limits, const struct firmware_readings *r)
{
    int64_t wanted;

    if (!skin_is_seen(limits, r)) {
        return 0;
    }
    wanted = floor_div(((int64_t)SKIN_TARGET_MDEGC - r->skin_mdegc) * SKIN_PERMILLE_PER_C, 1000);
    wanted += SKIN_HOLD_PERMILLE;
    if (wanted < 0) {
        return 0;
    }
    return wanted < limits->warmer_permille_max ? (int32_t)wanted : limits->warmer_permille_max;
}
