/* Memory of the firmware: the names and the order of the Python model's dataclasses.
 * Written by `python -m cryoctl_simulator.firmware_layout`; change those instead.
 */
#ifndef FIRMWARE_LAYOUT_H
#define FIRMWARE_LAYOUT_H

#include <stdint.h>

#define FIRMWARE_SATURATION_POINTS 6
#define FIRMWARE_LIMITS_OFFSET 300
#define FIRMWARE_SESSION_OFFSET 472
#define FIRMWARE_CONFIG_SIZE 356

/* What the firmware drives. */
struct firmware_outputs {
    int32_t valve_permille;
    int32_t shutoff_open;
    int32_t tip_heater_permille;
    int32_t heater_supply_on;
    int32_t skin_warmer_permille;
    int32_t warmer_supply_on;
    int32_t led;
    int32_t beeper;
    int32_t stimulus_ua;
    int32_t stimulus_hz;
    int32_t stimulus_pulse_us;
};
_Static_assert(sizeof(struct firmware_outputs) == 44, "firmware_outputs");

/* Everything the firmware remembers; the session has its own. */
struct firmware_state {
    struct firmware_outputs outputs;
    uint32_t now_ms;
    int32_t step_ms;
    uint32_t tick_count;
    int32_t greeted;
    int32_t state;
    uint32_t state_since_ms;
    int32_t trip;
    uint32_t trips_seen;
    int32_t action;
    int32_t quiet_ms;
    int32_t pending_op;
    uint32_t pending_counter;
    uint32_t treatment_hash;
    int32_t cycles_armed;
    int32_t cycles_left;
    int32_t leak_test_passed;
    uint32_t leak_test_ms;
    int32_t test_start_mbar;
    int32_t test_sum_mbar;
    int32_t test_samples;
    int32_t test_last_mbar;
    int32_t test_still_ms;
    int32_t test_failed;
    int32_t prewarm_ms;
    int32_t setpoint_mdegc;
    int32_t phase_limit_ms;
    int32_t freeze_ms;
    int32_t approaching;
    int32_t integral_upermille;
    int32_t heating;
    int32_t heater_budget_uj;
    int32_t heater_energy_uj;
    int32_t heater_on_ms;
    int32_t warm_ms;
    int32_t stimulus_ua;
    int32_t stimulus_hz;
    int32_t stimulus_pulse_us;
    int32_t stimulus_ms;
    uint32_t stimulus_since_ms;
    int32_t lease_left_ms;
    uint32_t leases_seen;
    int32_t mode_mismatches;
    int32_t owned;
    int32_t frames_rejected;
    int32_t driving;
    int32_t tip_seen;
    int32_t tip_raw_mdegc;
    int32_t tip_mdegc;
    int32_t tip_plausible;
    int32_t tip_history;
    int32_t tip_bad_samples;
    int32_t tip_fast;
    int32_t tip_slow;
    int32_t tip_rate_mdegc_s;
    int32_t tip_rated;
    int32_t valve_shut_ms;
    int32_t flow_stuck_ticks;
    int32_t falling_ticks;
    int32_t leak_ms;
    int32_t overpressure_ticks;
    int32_t exhaust_ticks;
    int32_t guards_open_ticks;
    int32_t skin_hot_ticks;
    int32_t battery_low_ms;
};
_Static_assert(sizeof(struct firmware_state) == 300, "firmware_state");

/* What the sensors say at one tick. */
struct firmware_readings {
    int32_t tip_mdegc;
    int32_t tip_2_mdegc;
    int32_t skin_mdegc;
    int32_t supply_mbar;
    int32_t exhaust_mbar;
    int32_t exhaust_flow_ug_s;
    int32_t cartridge_mdegc;
    int32_t battery_mv;
    int32_t button;
    int32_t stimulus_response;
    int32_t open_circuit;
};
_Static_assert(sizeof(struct firmware_readings) == 44, "firmware_readings");

/* Every number the firmware decides by. */
struct firmware_limits {
    int32_t tip_floor_mdegc;
    int32_t setpoint_min_mdegc;
    int32_t setpoint_max_mdegc;
    int32_t always_plausible_mdegc;
    int32_t coast_ms;
    int32_t freeze_ms_max;
    int32_t pressure_low_mbar;
    int32_t pressure_warn_mbar;
    int32_t pressure_trip_mbar;
    int32_t exhaust_trip_mbar;
    int32_t flow_stuck_ug_s;
    int32_t flow_leak_ug_s;
    int32_t warmer_permille_max;
    int32_t heater_mw;
    int32_t thaw_energy_uj_max;
    int32_t heater_on_ms_max;
    int32_t heater_tip_max_mdegc;
    int32_t stimulus_ua_max;
    int32_t battery_min_mv;
    int32_t capabilities;
    int32_t sensors;
    int32_t absent_sensors;
    int32_t guard_sensors;
    int32_t feed_forward_permille;
    int32_t proportional_permille_per_c;
    int32_t integral_permille_per_c_s;
    int32_t lead_ms;
    int32_t full_open_mdegc;
    int32_t slew_permille_per_tick;
    int32_t saturation_points;
    int32_t saturation_mbar[FIRMWARE_SATURATION_POINTS];
    int32_t saturation_mdegc[FIRMWARE_SATURATION_POINTS];
};
_Static_assert(sizeof(struct firmware_limits) == 168, "firmware_limits");

#endif
