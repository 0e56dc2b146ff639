/* The firmware: who is in charge, what is carried out, what moves by itself, what is sent.
 *
 * A tick reads what has arrived and the sensors, runs the interlocks, then carries out what was
 * asked for, then moves the sequence and the regulators, and last of all sends.
 */
#include <string.h>

#include "parts.h"

#define TELEMETRY_TICKS 2u /* 20 ms */
#define VITALS_TICKS 20u   /* 200 ms */
#define HELLO_TICKS 100u   /* 1 s, while there is no session */
#define LEAK_TEST_LIFE_MS 1800000 /* SR-19: 30 min */
#define FREE_MS 2000              /* SR-14: this long above +5 C */
#define LATCHED (1u << CRYO_DEVICE_STATE_SAFE | 1u << CRYO_DEVICE_STATE_FAULT)

/* How a trip that the device finds makes the probe safe. */
static const uint8_t ACTION_OF_TRIP[CRYO_TRIP_READING_FROZEN + 1] = {
    [CRYO_TRIP_TIP_FLOOR] = CRYO_TRIP_ACTION_TIP_FLOOR,
    [CRYO_TRIP_VALVE_STUCK] = CRYO_TRIP_ACTION_VALVE_STUCK,
    [CRYO_TRIP_LEAK] = CRYO_TRIP_ACTION_LEAK,
    [CRYO_TRIP_FREEZE_TIMER] = CRYO_TRIP_ACTION_FREEZE_TIMER,
    [CRYO_TRIP_TIP_SENSOR] = CRYO_TRIP_ACTION_TIP_SENSOR,
    [CRYO_TRIP_HEATER] = CRYO_TRIP_ACTION_HEATER,
    [CRYO_TRIP_OVERPRESSURE] = CRYO_TRIP_ACTION_OVERPRESSURE,
    [CRYO_TRIP_EXHAUST_BLOCKED] = CRYO_TRIP_ACTION_EXHAUST_BLOCKED,
    [CRYO_TRIP_INTEGRITY] = CRYO_TRIP_ACTION_INTEGRITY,
    [CRYO_TRIP_LEASE] = CRYO_TRIP_ACTION_LEASE,
    [CRYO_TRIP_BATTERY] = CRYO_TRIP_ACTION_BATTERY,
    [CRYO_TRIP_MODE_MISMATCH] = CRYO_TRIP_ACTION_MODE_MISMATCH,
    [CRYO_TRIP_SENSOR_OPEN] = CRYO_TRIP_ACTION_SENSOR_OPEN,
    [CRYO_TRIP_SKIN_HOT] = CRYO_TRIP_ACTION_SKIN_HOT,
};

static void watch_controller(struct firmware *f);
static void on_owner_lost(struct firmware *f);
static void on_cause(struct firmware *f, int32_t cause, const struct firmware_readings *r);
static void on_stop(struct firmware *f, const struct cryo_stop *stop);
static void make_safe(struct firmware *f, int32_t target, uint8_t code, int32_t cause,
                      int32_t action, struct figures figures);
static void start_device_thaw(struct firmware *f);
static void revoke(struct firmware *f);
static void on_command(struct firmware *f, const struct cryo_command *command,
                       const struct firmware_readings *r);
static void on_freeze(struct firmware *f, const struct cryo_command *command);
static void on_setpoint(struct firmware *f, const struct cryo_command *command);
static void on_thaw(struct firmware *f, const struct cryo_command *command);
static void on_stimulate(struct firmware *f, const struct cryo_command *command);
static void on_clear(struct firmware *f, const struct cryo_command *command);
static void begin(struct firmware *f, int32_t state, const struct cryo_command *command);
static void instant(struct firmware *f, int32_t state, const struct cryo_command *command);
static void end_pending(struct firmware *f, uint8_t result, int32_t detail);
static void enter(struct firmware *f, int32_t state);
static void advance(struct firmware *f, const struct firmware_readings *r);
static void advance_thaw(struct firmware *f);
static void advance_prewarm(struct firmware *f, int32_t elapsed_ms);
static void advance_self_test(struct firmware *f, int32_t elapsed_ms,
                              const struct firmware_readings *r);
static void advance_leak_test(struct firmware *f, int32_t elapsed_ms,
                              const struct firmware_readings *r);
static void advance_stimulus(struct firmware *f);
static void on_overlap(struct firmware *f);
static void report(struct firmware *f, uint8_t code, int32_t cause, struct figures figures);
static void send(struct firmware *f, const struct firmware_readings *r);
static void send_slow(struct firmware *f, const struct firmware_readings *r);

static const struct figures NO_FIGURES = {0, 0};

void firmware_init(struct firmware *f, const struct firmware_config *config)
{
    memset(f, 0, sizeof *f);
    f->state.step_ms = FIRMWARE_TICK_MS;
    f->limits = config->limits;
    cryo_device_init(&f->session, &config->device);
    cryo_device_delimiter(&f->session);
}

void firmware_tick(struct firmware *f, uint32_t now_ms, const struct firmware_readings *readings,
                   const uint8_t *incoming, size_t size)
{
    struct firmware_state *s = &f->state;
    const struct firmware_limits *limits = &f->limits;
    int32_t step_ms = until_ms(s->now_ms, now_ms);
    unsigned request_count;
    int was_latched;
    int32_t cause;

    s->step_ms = step_ms > FIRMWARE_TICK_MS ? step_ms : FIRMWARE_TICK_MS;
    s->now_ms = now_ms;
    s->tick_count += 1u;
    if (s->state == CRYO_DEVICE_STATE_FREEZE) {
        s->freeze_ms = count_up(s->freeze_ms, FIRMWARE_TICK_MS);
    }
    request_count = cryo_device_receive(&f->session, incoming, size, now_ms);
    was_latched = is_among(LATCHED, s->state);
    watch_controller(f);
    observe(limits, s, readings);
    /* Nothing has been told before the first: a bit that turned over hides no cause. */
    cause = find_trip(limits, s, s->trip != CRYO_TRIP_NONE ? s->trips_seen : 0);
    if (cause != CRYO_TRIP_NONE) {
        on_cause(f, cause, readings);
    } else if (was_latched) { /* The tick that lost the owner is not quiet yet. */
        /* What lasts is told once, but nothing is over before it has gone (SR-27). */
        s->quiet_ms = find_trip(limits, s, 0) ? 0 : count_up(s->quiet_ms, FIRMWARE_TICK_MS);
    }
    for (unsigned i = 0; i < request_count; i++) {
        const struct cryo_request *request = &f->session.requests[i];

        if (request->message_id == CRYO_ID_STOP) {
            on_stop(f, &request->u.stop);
        } else {
            on_command(f, &request->u.command, readings);
        }
    }
    if (s->state != CRYO_DEVICE_STATE_IDLE) {
        advance(f, readings);
    }
    drive(limits, s, readings);
    if (outputs_overlap(s->outputs.valve_permille, s->outputs.tip_heater_permille,
                        s->outputs.stimulus_ua)) {
        on_overlap(f);
    }
    send(f, readings);
}

/* -- who is in charge ------------------------------------------------------------------------ */

static void watch_controller(struct firmware *f)
{
    struct firmware_state *s = &f->state;
    struct cryo_device *session = &f->session;
    int owned;

    s->lease_left_ms = cryo_device_lease_left_ms(session, s->now_ms);
    s->frames_rejected = (int32_t)cryo_device_rejects_within_window(session, s->now_ms);
    if (session->lease_count != s->leases_seen) {
        s->leases_seen = session->lease_count;
        if (s->state != CRYO_DEVICE_STATE_FREEZE) {
            s->mode_mismatches = 0;
        } else if (session->claimed_mode == CRYO_HOST_MODE_FREEZE) {
            s->mode_mismatches = 0;
        } else {
            s->mode_mismatches = count_up(s->mode_mismatches, 1);
        }
    }
    owned = session->owner_held;
    if (s->owned && !owned) {
        on_owner_lost(f);
    }
    s->owned = owned;
}

/* Whoever comes next must authorise anew (SR-26). */
static void on_owner_lost(struct firmware *f)
{
    struct firmware_state *s = &f->state;

    s->cycles_left = 0;
    if (s->state == CRYO_DEVICE_STATE_ARMED || s->state == CRYO_DEVICE_STATE_STARTED) {
        end_pending(f, CRYO_RESULT_ABORTED, 0);
        enter(f, CRYO_DEVICE_STATE_IDLE);
    } else if (s->state == CRYO_DEVICE_STATE_THAW) {
        make_safe(f, CRYO_DEVICE_STATE_FAULT, CRYO_EVENT_CODE_TRIP, CRYO_TRIP_LEASE,
                  CRYO_SAFE_ACTION_OFF, NO_FIGURES);
    }
}

/* -- becoming safe --------------------------------------------------------------------------- */

static void on_cause(struct firmware *f, int32_t cause, const struct firmware_readings *r)
{
    struct figures figures = broken_limit(&f->limits, &f->state, r, cause);

    make_safe(f, CRYO_DEVICE_STATE_FAULT, CRYO_EVENT_CODE_TRIP, cause, ACTION_OF_TRIP[cause],
              figures);
}

static void on_stop(struct firmware *f, const struct cryo_stop *stop)
{
    struct firmware_state *s = &f->state;
    int32_t cause = stop->trip != CRYO_TRIP_NONE ? stop->trip : CRYO_TRIP_OPERATOR_STOP;
    int32_t target = s->state == CRYO_DEVICE_STATE_FAULT ? CRYO_DEVICE_STATE_FAULT
                                                         : CRYO_DEVICE_STATE_SAFE;

    make_safe(f, target, CRYO_EVENT_CODE_STOPPED, cause, stop->action, NO_FIGURES);
}

/* Latch the first cause; a later one can only make the action more careful.
 *
 * The cause is reported before the end of the command that it ends: a leak test that a trip broke
 * off has not found a leak.
 */
static void make_safe(struct firmware *f, int32_t target, uint8_t code, int32_t cause,
                      int32_t action, struct figures figures)
{
    struct firmware_state *s = &f->state;
    int is_first = s->trip == CRYO_TRIP_NONE;
    int was_heating = s->heating;

    if (is_first) {
        s->trip = cause;
        s->action = action;
    } else if (action == CRYO_SAFE_ACTION_OFF) {
        s->action = CRYO_SAFE_ACTION_OFF;
    }
    s->trips_seen |= 1u << cause;
    s->quiet_ms = 0;
    if (s->state != target) {
        s->state = target;
        s->state_since_ms = s->now_ms;
        f->session.state = (uint8_t)target;
    }
    report(f, code, cause, figures);
    end_pending(f, target == CRYO_DEVICE_STATE_SAFE ? CRYO_RESULT_ABORTED : CRYO_RESULT_FAILED, 0);
    revoke(f);
    s->heating = 0;
    if (s->action == CRYO_SAFE_ACTION_THAW && (is_first || was_heating)) {
        start_device_thaw(f);
    }
}

/* Free a frozen tip without being told to, if the tip can be trusted. */
static void start_device_thaw(struct firmware *f)
{
    struct firmware_state *s = &f->state;

    if (!(f->limits.capabilities & CRYO_CAPABILITY_TIP_HEATER)) {
        return;
    }
    if (s->tip_mdegc < 0 && s->tip_bad_samples <= TIP_BAD_SAMPLES_MAX) {
        s->heater_budget_uj = f->limits.thaw_energy_uj_max;
        s->heating = 1;
    }
}

static void revoke(struct firmware *f)
{
    f->state.treatment_hash = 0;
    f->state.cycles_armed = 0;
    f->state.cycles_left = 0;
}

/* -- commands -------------------------------------------------------------------------------- */

static void on_command(struct firmware *f, const struct cryo_command *command,
                       const struct firmware_readings *r)
{
    struct firmware_state *s = &f->state;
    enum cryo_answer answer = judge(&f->limits, s, r, command);

    cryo_device_answer(&f->session, command->counter, command->op, (uint8_t)answer);
    if (answer != CRYO_ANSWER_ACCEPTED) {
        return;
    }
    switch (command->op) {
    case CRYO_OP_SELF_TEST:
        start_self_test(s);
        begin(f, CRYO_DEVICE_STATE_SELF_TEST, command);
        break;
    case CRYO_OP_LEAK_TEST:
        start_leak_test(s);
        begin(f, CRYO_DEVICE_STATE_LEAK_TEST, command);
        break;
    case CRYO_OP_ARM:
        s->treatment_hash = command->treatment_hash;
        s->cycles_armed = command->cycles;
        instant(f, CRYO_DEVICE_STATE_ARMED, command);
        break;
    case CRYO_OP_START:
        s->cycles_left = s->cycles_armed;
        instant(f, CRYO_DEVICE_STATE_STARTED, command);
        break;
    case CRYO_OP_PREWARM:
        s->phase_limit_ms = (int32_t)command->duration_ms;
        s->prewarm_ms = 0;
        begin(f, CRYO_DEVICE_STATE_PREWARM, command);
        break;
    case CRYO_OP_FREEZE:
        on_freeze(f, command);
        break;
    case CRYO_OP_SETPOINT:
        on_setpoint(f, command);
        break;
    case CRYO_OP_THAW:
        on_thaw(f, command);
        break;
    case CRYO_OP_END:
        end_pending(f, s->state == CRYO_DEVICE_STATE_FREEZE ? CRYO_RESULT_OK : CRYO_RESULT_ABORTED,
                    0);
        s->heating = 0;
        revoke(f);
        instant(f, CRYO_DEVICE_STATE_IDLE, command);
        break;
    case CRYO_OP_CLEAR:
        on_clear(f, command);
        break;
    case CRYO_OP_STIMULATE:
        on_stimulate(f, command);
        break;
    default:
        break;
    }
}

static void on_freeze(struct firmware *f, const struct cryo_command *command)
{
    struct firmware_state *s = &f->state;

    s->cycles_left -= 1;
    s->setpoint_mdegc = command->setpoint_mdegc;
    s->phase_limit_ms = (int32_t)command->duration_ms;
    s->freeze_ms = 0;
    s->heater_energy_uj = 0;
    s->heater_on_ms = 0;
    s->mode_mismatches = 0;
    start_approach(&f->limits, s);
    begin(f, CRYO_DEVICE_STATE_FREEZE, command);
}

static void on_setpoint(struct firmware *f, const struct cryo_command *command)
{
    struct firmware_state *s = &f->state;
    int is_colder = command->setpoint_mdegc < s->setpoint_mdegc;

    s->setpoint_mdegc = command->setpoint_mdegc;
    if (is_colder) {
        start_approach(&f->limits, s);
    }
    instant(f, CRYO_DEVICE_STATE_FREEZE, command);
}

static void on_thaw(struct firmware *f, const struct cryo_command *command)
{
    struct firmware_state *s = &f->state;
    int is_latched = is_among(LATCHED, s->state);

    end_pending(f, s->state == CRYO_DEVICE_STATE_FREEZE ? CRYO_RESULT_OK : CRYO_RESULT_ABORTED, 0);
    s->heating = command->mode == CRYO_THAW_MODE_ACTIVE;
    /* What this thaw has spent already counts: the limit is per thaw, not per command. */
    s->heater_budget_uj = (int32_t)(command->energy_mj * MICRO_PER_MILLI);
    begin(f, is_latched ? s->state : CRYO_DEVICE_STATE_THAW, command);
}

static void on_stimulate(struct firmware *f, const struct cryo_command *command)
{
    struct firmware_state *s = &f->state;

    if (command->stimulus_ua < 1) {
        end_pending(f, CRYO_RESULT_OK, 0);
        instant(f, CRYO_DEVICE_STATE_IDLE, command);
        return;
    }
    s->stimulus_ua = command->stimulus_ua;
    s->stimulus_hz = command->stimulus_hz;
    s->stimulus_pulse_us = command->stimulus_pulse_us;
    s->stimulus_ms = 0;
    s->stimulus_since_ms = s->now_ms;
    s->phase_limit_ms = (int32_t)command->duration_ms;
    begin(f, CRYO_DEVICE_STATE_STIMULATE, command);
}

static void on_clear(struct firmware *f, const struct cryo_command *command)
{
    struct firmware_state *s = &f->state;

    end_pending(f, CRYO_RESULT_ABORTED, 0);
    s->heating = 0;
    s->trip = CRYO_TRIP_NONE;
    s->trips_seen = 0;
    s->action = CRYO_SAFE_ACTION_OFF;
    s->state = CRYO_DEVICE_STATE_IDLE;
    s->state_since_ms = s->now_ms;
    f->session.state = CRYO_DEVICE_STATE_IDLE;
    report(f, CRYO_EVENT_CODE_CLEARED, CRYO_TRIP_NONE, NO_FIGURES);
    cryo_device_done(&f->session, command->counter, command->op, CRYO_RESULT_OK, 0);
}

/* Enter `state` for a command that is answered a second time when it has ended. */
static void begin(struct firmware *f, int32_t state, const struct cryo_command *command)
{
    end_pending(f, CRYO_RESULT_ABORTED, 0);
    f->state.pending_op = command->op;
    f->state.pending_counter = command->counter;
    enter(f, state);
}

/* Enter `state` for a command that has ended with that. */
static void instant(struct firmware *f, int32_t state, const struct cryo_command *command)
{
    enter(f, state);
    cryo_device_done(&f->session, command->counter, command->op, CRYO_RESULT_OK, 0);
}

static void end_pending(struct firmware *f, uint8_t result, int32_t detail)
{
    struct firmware_state *s = &f->state;

    if (s->pending_op) {
        cryo_device_done(&f->session, s->pending_counter, (uint8_t)s->pending_op, result, detail);
        s->pending_op = 0;
    }
}

static void enter(struct firmware *f, int32_t state)
{
    struct firmware_state *s = &f->state;

    if (s->state == state) {
        return;
    }
    s->state = state;
    s->state_since_ms = s->now_ms;
    f->session.state = (uint8_t)state;
    report(f, CRYO_EVENT_CODE_STATE, s->trip, NO_FIGURES);
}

/* -- what happens by itself ------------------------------------------------------------------ */

static void advance(struct firmware *f, const struct firmware_readings *r)
{
    struct firmware_state *s = &f->state;
    int32_t elapsed_ms = until_ms(s->state_since_ms, s->now_ms);

    switch (s->state) {
    case CRYO_DEVICE_STATE_FREEZE:
        if (elapsed_ms >= s->phase_limit_ms) {
            end_pending(f, CRYO_RESULT_OK, 0);
            enter(f, CRYO_DEVICE_STATE_THAW);
        }
        break;
    case CRYO_DEVICE_STATE_PREWARM:
        advance_prewarm(f, elapsed_ms);
        break;
    case CRYO_DEVICE_STATE_ARMED:
        if (elapsed_ms > START_MS) {
            revoke(f);
            enter(f, CRYO_DEVICE_STATE_IDLE);
        }
        break;
    case CRYO_DEVICE_STATE_SELF_TEST:
        advance_self_test(f, elapsed_ms, r);
        break;
    case CRYO_DEVICE_STATE_LEAK_TEST:
        advance_leak_test(f, elapsed_ms, r);
        break;
    case CRYO_DEVICE_STATE_STIMULATE:
        advance_stimulus(f);
        break;
    case CRYO_DEVICE_STATE_STARTED:
        break;
    default:
        advance_thaw(f);
        break;
    }
}

/* THAW, and the thaw that SAFE and FAULT allow. */
static void advance_thaw(struct firmware *f)
{
    struct firmware_state *s = &f->state;

    if (s->warm_ms >= FREE_MS) {
        s->heating = 0;
        if (s->pending_op == CRYO_OP_THAW) {
            end_pending(f, CRYO_RESULT_OK, 0);
        }
    }
    if (s->state != CRYO_DEVICE_STATE_THAW && s->lease_left_ms <= 0) {
        s->heating = 0; /* SR-01 holds here too: nobody is watching. */
    }
}

static void advance_prewarm(struct firmware *f, int32_t elapsed_ms)
{
    struct firmware_state *s = &f->state;

    if (s->outputs.warmer_supply_on) {
        s->prewarm_ms = count_up(s->prewarm_ms, FIRMWARE_TICK_MS);
    }
    if (prewarm_is_over(s, elapsed_ms)) {
        end_pending(f, CRYO_RESULT_OK, 0);
        enter(f, CRYO_DEVICE_STATE_STARTED);
    }
}

static void advance_self_test(struct firmware *f, int32_t elapsed_ms,
                              const struct firmware_readings *r)
{
    struct firmware_state *s = &f->state;

    watch_self_test(&f->limits, s, r);
    if (elapsed_ms >= SELF_TEST_MS) {
        end_pending(f, s->test_failed ? CRYO_RESULT_FAILED : CRYO_RESULT_OK, 0);
        enter(f, CRYO_DEVICE_STATE_IDLE);
    }
}

static void advance_leak_test(struct firmware *f, int32_t elapsed_ms,
                              const struct firmware_readings *r)
{
    struct firmware_state *s = &f->state;
    int32_t decay_mbar;

    watch_leak_test(&f->limits, s, r, elapsed_ms);
    if (elapsed_ms < LEAK_TEST_MS) {
        return;
    }
    decay_mbar = leak_decay_mbar(s);
    s->leak_test_passed = leak_test_is_ok(s);
    s->leak_test_ms = s->now_ms;
    end_pending(f, s->leak_test_passed ? CRYO_RESULT_OK : CRYO_RESULT_FAILED, decay_mbar);
    enter(f, CRYO_DEVICE_STATE_IDLE);
}

/* Count the ticks that the output was on, and end it in time or at once (SR-41). */
static void advance_stimulus(struct firmware *f)
{
    struct firmware_state *s = &f->state;

    if (s->outputs.stimulus_ua > 0) {
        s->stimulus_ms = count_up(s->stimulus_ms, FIRMWARE_TICK_MS);
    }
    if (stimulus_must_end(&f->limits, s)) {
        end_pending(f, CRYO_RESULT_ABORTED, 0);
        enter(f, CRYO_DEVICE_STATE_IDLE);
    } else if (stimulus_is_over(s)) {
        end_pending(f, CRYO_RESULT_OK, 0);
        enter(f, CRYO_DEVICE_STATE_IDLE);
    }
}

static void on_overlap(struct firmware *f)
{
    all_off(&f->state.outputs);
    make_safe(f, CRYO_DEVICE_STATE_FAULT, CRYO_EVENT_CODE_TRIP, CRYO_TRIP_OUTPUTS_OVERLAP,
              CRYO_SAFE_ACTION_OFF, NO_FIGURES);
}

/* -- sending --------------------------------------------------------------------------------- */

static void report(struct firmware *f, uint8_t code, int32_t cause, struct figures figures)
{
    struct cryo_event event = {
        .device_ms = f->state.now_ms,
        .code = code,
        .trip = (uint8_t)cause,
        .value = figures.value,
        .limit = figures.limit,
    };

    cryo_device_event(&f->session, &event); /* It fills in number and state. */
}

static void send(struct firmware *f, const struct firmware_readings *r)
{
    struct firmware_state *s = &f->state;
    struct cryo_device *session = &f->session;
    struct cryo_telemetry sample;

    if (!s->greeted) {
        s->greeted = 1;
        cryo_device_hello(session);
        report(f, CRYO_EVENT_CODE_BOOT, CRYO_TRIP_NONE, NO_FIGURES);
        return;
    }
    if (s->tick_count % TELEMETRY_TICKS == 0) {
        sample = telemetry(s, r, &f->limits, session->event_count);
        cryo_device_telemetry(session, &sample);
        if (s->tick_count % VITALS_TICKS == 0) {
            send_slow(f, r);
        }
    }
}

/* VITALS, and what needs no more than a look every 200 ms. */
static void send_slow(struct firmware *f, const struct firmware_readings *r)
{
    struct firmware_state *s = &f->state;
    struct cryo_device *session = &f->session;
    struct cryo_vitals sample = vitals(s, r);

    cryo_device_vitals(session, &sample);
    if (s->tick_count % HELLO_TICKS == 0 && !cryo_device_is_open(session)) {
        cryo_device_hello(session);
    }
    if (s->leak_test_passed && until_ms(s->leak_test_ms, s->now_ms) > LEAK_TEST_LIFE_MS) {
        s->leak_test_passed = 0;
    }
}
