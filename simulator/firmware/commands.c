/* Whether a command may be carried out now; pure, and the order of the checks is part of it. */
#include "parts.h"

#define PREWARM_MS_MAX 120000 /* Longest warming of the skin; nothing depends on more. */
#define STIMULUS_HZ_MAX 100
#define STIMULUS_PULSE_US_MIN 50
#define STIMULUS_PULSE_US_MAX 1000
#define QUIET_MS 1000 /* SR-27: the cause must have been absent this long. */
#define ANSWERED_SENSORS (CRYO_SENSOR_TIP | CRYO_SENSOR_SUPPLY_PRESSURE)

#define IN(state) (1u << CRYO_DEVICE_STATE_##state)
#define LATCHED (IN(SAFE) | IN(FAULT))
#define RUNNING                                                                                   \
    (IN(SELF_TEST) | IN(LEAK_TEST) | IN(ARMED) | IN(STARTED) | IN(PREWARM) | IN(FREEZE)           \
     | IN(THAW) | IN(STIMULATE))

/* States, one bit each, in which an operation is possible at all. */
static const uint32_t STATES_OF_OP[CRYO_OP_STIMULATE + 1] = {
    [CRYO_OP_SELF_TEST] = IN(IDLE),
    [CRYO_OP_LEAK_TEST] = IN(IDLE),
    [CRYO_OP_ARM] = IN(IDLE),
    [CRYO_OP_START] = IN(ARMED),
    [CRYO_OP_PREWARM] = IN(STARTED),
    [CRYO_OP_FREEZE] = IN(STARTED) | IN(THAW),
    [CRYO_OP_SETPOINT] = IN(FREEZE),
    [CRYO_OP_THAW] = IN(FREEZE) | IN(THAW) | LATCHED,
    [CRYO_OP_END] = RUNNING,
    [CRYO_OP_CLEAR] = LATCHED,
    [CRYO_OP_STOP] = 0, /* It has a message of its own. */
    [CRYO_OP_STIMULATE] = IN(IDLE) | IN(STIMULATE),
};

static enum cryo_answer provided(const struct firmware_limits *limits, int32_t capability);
static enum cryo_answer judge_leak_test(const struct firmware_limits *limits,
                                        const struct firmware_readings *r);
static enum cryo_answer judge_arm(const struct firmware_limits *limits,
                                  const struct firmware_state *s,
                                  const struct firmware_readings *r,
                                  const struct cryo_command *command);
static enum cryo_answer judge_start(const struct firmware_state *s,
                                    const struct cryo_command *command);
static enum cryo_answer judge_prewarm(const struct firmware_limits *limits,
                                      const struct firmware_state *s,
                                      const struct firmware_readings *r,
                                      const struct cryo_command *command);
static enum cryo_answer judge_freeze(const struct firmware_limits *limits,
                                     const struct firmware_state *s,
                                     const struct firmware_readings *r,
                                     const struct cryo_command *command);
static enum cryo_answer judge_setpoint(const struct firmware_limits *limits,
                                       const struct cryo_command *command);
static enum cryo_answer judge_thaw(const struct firmware_limits *limits,
                                   const struct firmware_state *s,
                                   const struct cryo_command *command);
static enum cryo_answer judge_stimulate(const struct firmware_limits *limits,
                                        const struct firmware_state *s,
                                        const struct firmware_readings *r,
                                        const struct cryo_command *command);
static int stimulus_is_in_range(const struct firmware_limits *limits,
                                const struct cryo_command *command);
static enum cryo_answer judge_hardware(const struct firmware_limits *limits,
                                       const struct firmware_state *s,
                                       const struct firmware_readings *r);

/* Return CRYO_ANSWER_ACCEPTED, or why `command` is refused. */
enum cryo_answer judge(const struct firmware_limits *limits, const struct firmware_state *s,
                       const struct firmware_readings *r, const struct cryo_command *command)
{
    if (command->op == CRYO_OP_STOP) {
        return CRYO_ANSWER_NOT_PROVIDED;
    }
    if (!is_among(STATES_OF_OP[command->op], s->state)) {
        return is_among(LATCHED, s->state) ? CRYO_ANSWER_FAULT_LATCHED : CRYO_ANSWER_WRONG_STATE;
    }
    switch (command->op) {
    case CRYO_OP_SELF_TEST:
        return provided(limits, CRYO_CAPABILITY_SELF_TEST);
    case CRYO_OP_LEAK_TEST:
        return judge_leak_test(limits, r);
    case CRYO_OP_ARM:
        return judge_arm(limits, s, r, command);
    case CRYO_OP_START:
        return judge_start(s, command);
    case CRYO_OP_PREWARM:
        return judge_prewarm(limits, s, r, command);
    case CRYO_OP_FREEZE:
        return judge_freeze(limits, s, r, command);
    case CRYO_OP_SETPOINT:
        return judge_setpoint(limits, command);
    case CRYO_OP_THAW:
        return judge_thaw(limits, s, command);
    case CRYO_OP_STIMULATE:
        return judge_stimulate(limits, s, r, command);
    case CRYO_OP_CLEAR:
        return s->quiet_ms >= QUIET_MS ? CRYO_ANSWER_ACCEPTED : CRYO_ANSWER_FAULT_LATCHED;
    default:
        return CRYO_ANSWER_ACCEPTED; /* END */
    }
}

static enum cryo_answer provided(const struct firmware_limits *limits, int32_t capability)
{
    return limits->capabilities & capability ? CRYO_ANSWER_ACCEPTED : CRYO_ANSWER_NOT_PROVIDED;
}

static enum cryo_answer judge_leak_test(const struct firmware_limits *limits,
                                        const struct firmware_readings *r)
{
    if ((r->open_circuit | limits->absent_sensors) & CRYO_SENSOR_SUPPLY_PRESSURE) {
        return CRYO_ANSWER_SENSOR;
    }
    return provided(limits, CRYO_CAPABILITY_LEAK_TEST);
}

static enum cryo_answer judge_arm(const struct firmware_limits *limits,
                                  const struct firmware_state *s,
                                  const struct firmware_readings *r,
                                  const struct cryo_command *command)
{
    if (command->cycles < 1) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (s->lease_left_ms <= 0) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    if (!s->leak_test_passed) {
        return CRYO_ANSWER_NOT_AUTHORISED; /* SR-19 */
    }
    return judge_hardware(limits, s, r);
}

static enum cryo_answer judge_start(const struct firmware_state *s,
                                    const struct cryo_command *command)
{
    /* Commands are judged before the sequence moves: ARM may be too old already in this tick. */
    if (until_ms(s->state_since_ms, s->now_ms) > START_MS) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    if (command->treatment_hash != s->treatment_hash) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    return CRYO_ANSWER_ACCEPTED;
}

static enum cryo_answer judge_prewarm(const struct firmware_limits *limits,
                                      const struct firmware_state *s,
                                      const struct firmware_readings *r,
                                      const struct cryo_command *command)
{
    if (!(limits->capabilities & CRYO_CAPABILITY_SKIN_WARMER)) {
        return CRYO_ANSWER_NOT_PROVIDED;
    }
    if (command->duration_ms < 1) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (command->duration_ms > PREWARM_MS_MAX) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (s->lease_left_ms <= 0) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    if ((r->open_circuit | limits->absent_sensors) & CRYO_SENSOR_SKIN) {
        return CRYO_ANSWER_SENSOR;
    }
    return CRYO_ANSWER_ACCEPTED;
}

static enum cryo_answer judge_freeze(const struct firmware_limits *limits,
                                     const struct firmware_state *s,
                                     const struct firmware_readings *r,
                                     const struct cryo_command *command)
{
    enum cryo_answer in_range;

    if (s->outputs.tip_heater_permille > 0) {
        return CRYO_ANSWER_WRONG_STATE; /* SR-15 */
    }
    if (s->heating) {
        return CRYO_ANSWER_WRONG_STATE; /* SR-15 */
    }
    if (s->cycles_left < 1) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    if (s->lease_left_ms <= 0) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    if (command->duration_ms < 1) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (command->duration_ms > (uint32_t)limits->freeze_ms_max) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    in_range = judge_setpoint(limits, command);
    if (in_range != CRYO_ANSWER_ACCEPTED) {
        return in_range;
    }
    if (r->supply_mbar < limits->pressure_low_mbar) {
        return CRYO_ANSWER_PRESSURE;
    }
    return judge_hardware(limits, s, r);
}

static enum cryo_answer judge_setpoint(const struct firmware_limits *limits,
                                       const struct cryo_command *command)
{
    if (command->setpoint_mdegc < limits->setpoint_min_mdegc) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (command->setpoint_mdegc > limits->setpoint_max_mdegc) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    return CRYO_ANSWER_ACCEPTED;
}

static enum cryo_answer judge_thaw(const struct firmware_limits *limits,
                                   const struct firmware_state *s,
                                   const struct cryo_command *command)
{
    if ((int64_t)command->energy_mj * MICRO_PER_MILLI > limits->thaw_energy_uj_max) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (command->mode == CRYO_THAW_MODE_PASSIVE) {
        return CRYO_ANSWER_ACCEPTED;
    }
    if (!(limits->capabilities & CRYO_CAPABILITY_TIP_HEATER)) {
        return CRYO_ANSWER_NOT_PROVIDED;
    }
    if (command->energy_mj < 1) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (is_among(LATCHED, s->state)) {
        if (s->action == CRYO_SAFE_ACTION_OFF) {
            return CRYO_ANSWER_FAULT_LATCHED;
        }
    }
    if (s->lease_left_ms <= 0) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    if (s->tip_bad_samples > TIP_BAD_SAMPLES_MAX) {
        return CRYO_ANSWER_SENSOR;
    }
    return CRYO_ANSWER_ACCEPTED;
}

/* SR-41; turning the stimulator off needs nothing. */
static enum cryo_answer judge_stimulate(const struct firmware_limits *limits,
                                        const struct firmware_state *s,
                                        const struct firmware_readings *r,
                                        const struct cryo_command *command)
{
    if (command->stimulus_ua < 1) {
        return CRYO_ANSWER_ACCEPTED;
    }
    if (!(limits->capabilities & CRYO_CAPABILITY_STIMULATOR)) {
        return CRYO_ANSWER_NOT_PROVIDED;
    }
    if (!stimulus_is_in_range(limits, command)) {
        return CRYO_ANSWER_OUT_OF_RANGE;
    }
    if (s->lease_left_ms <= 0) {
        return CRYO_ANSWER_NOT_AUTHORISED;
    }
    if (!valve_is_proved_shut(limits, s)) {
        return CRYO_ANSWER_WRONG_STATE;
    }
    if ((r->open_circuit | limits->absent_sensors) & CRYO_SENSOR_TIP) {
        return CRYO_ANSWER_SENSOR;
    }
    if (s->tip_bad_samples > TIP_BAD_SAMPLES_MAX) {
        return CRYO_ANSWER_SENSOR;
    }
    return tip_is_too_cold_to_stimulate(s) ? CRYO_ANSWER_TIP_COLD : CRYO_ANSWER_ACCEPTED;
}

static int stimulus_is_in_range(const struct firmware_limits *limits,
                                const struct cryo_command *command)
{
    if (command->stimulus_ua > limits->stimulus_ua_max) {
        return 0;
    }
    if (command->stimulus_hz < 1) {
        return 0;
    }
    if (command->stimulus_hz > STIMULUS_HZ_MAX) {
        return 0;
    }
    if (command->stimulus_pulse_us < STIMULUS_PULSE_US_MIN) {
        return 0;
    }
    if (command->stimulus_pulse_us > STIMULUS_PULSE_US_MAX) {
        return 0;
    }
    if (command->duration_ms < 1) {
        return 0;
    }
    return command->duration_ms <= STIMULUS_MS_MAX;
}

/* Whether sensors, pressure and battery are fit for gas. */
static enum cryo_answer judge_hardware(const struct firmware_limits *limits,
                                       const struct firmware_state *s,
                                       const struct firmware_readings *r)
{
    if ((r->open_circuit | limits->absent_sensors) & ANSWERED_SENSORS) {
        return CRYO_ANSWER_SENSOR;
    }
    if (r->open_circuit & limits->guard_sensors) {
        return CRYO_ANSWER_SENSOR;
    }
    if (s->tip_bad_samples > TIP_BAD_SAMPLES_MAX) { /* SR-11: fewer are no fault. */
        return CRYO_ANSWER_SENSOR;
    }
    if (r->supply_mbar > limits->pressure_warn_mbar) {
        return CRYO_ANSWER_PRESSURE;
    }
    if (r->battery_mv < limits->battery_min_mv) {
        return CRYO_ANSWER_BATTERY;
    }
    return CRYO_ANSWER_ACCEPTED;
}
