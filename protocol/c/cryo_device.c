#include "cryo_device.h"

#include <string.h>

/* Checks run in this order: size, tag, session, repeat, counter, deadline; then the firmware's own
 * state and range checks. cryoctl_protocol/device_session.py says the same in Python, function by
 * function; tests hold both against each other. */

/* -- time -------------------------------------------------------------------------------------- */

int32_t cryo_until_ms(uint32_t now_ms, uint32_t later_ms)
{
    uint32_t ahead = later_ms - now_ms;

    /* Not a plain conversion: that one is the compiler's choice in C99. */
    return ahead <= 0x7FFFFFFFu ? (int32_t)ahead : -(int32_t)(0xFFFFFFFFu - ahead) - 1;
}

static int is_within(uint32_t then_ms, uint32_t now_ms, int32_t window_ms)
{
    int32_t age_ms = cryo_until_ms(then_ms, now_ms);

    return age_ms >= 0 && age_ms <= window_ms;
}

static int is_owned(const struct cryo_device *d, uint32_t now_ms)
{
    return d->owner_held && cryo_until_ms(now_ms, d->owner_until_ms) > 0;
}

/* -- sending ----------------------------------------------------------------------------------- */

/* A frame that does not fit is dropped whole. */
static void put(struct cryo_device *d, const uint8_t *bytes, size_t size)
{
    if (d->out_size <= CRYO_SEND_MAX && size <= (size_t)CRYO_SEND_MAX - d->out_size) {
        memcpy(d->out + d->out_size, bytes, size);
        d->out_size = (uint16_t)(d->out_size + size);
    }
}

static void send(struct cryo_device *d, struct cryo_wire *wire, uint8_t message_id,
                 const void *payload, size_t size, const struct cryo_tag_key *key, uint32_t session)
{
    cryo_build(wire, message_id, payload, size, d->seq, session, key);
    d->seq++;
    put(d, wire->bytes, wire->size);
}

static void send_plain(struct cryo_device *d, uint8_t message_id, const void *payload, size_t size)
{
    struct cryo_wire wire;

    send(d, &wire, message_id, payload, size, NULL, 0);
}

/* Under the session's key, or under the stop key where no session is. */
static void send_tagged(struct cryo_device *d, struct cryo_wire *wire, uint8_t message_id,
                        const void *payload, size_t size)
{
    if (d->is_open) {
        send(d, wire, message_id, payload, size, &d->open.up, d->open.session);
    } else {
        send(d, wire, message_id, payload, size, &d->stop_keys[0], 0);
    }
}

void cryo_device_event(struct cryo_device *d, const struct cryo_event *event)
{
    struct cryo_event numbered = *event;
    struct cryo_wire wire;

    d->event_count++;
    numbered.number = d->event_count;
    numbered.state = d->state;
    send_tagged(d, &wire, CRYO_ID_EVENT, &numbered, sizeof numbered);
}

static void report(struct cryo_device *d, uint8_t code, uint32_t now_ms)
{
    struct cryo_event event;

    memset(&event, 0, sizeof event);
    event.device_ms = now_ms;
    event.code = code;
    cryo_device_event(d, &event);
}

void cryo_device_telemetry(struct cryo_device *d, const struct cryo_telemetry *sample)
{
    struct cryo_wire wire;

    if (d->is_open) {
        send_tagged(d, &wire, CRYO_ID_TELEMETRY, sample, sizeof *sample);
    } else {
        send_plain(d, CRYO_ID_TELEMETRY, sample, sizeof *sample);
    }
}

void cryo_device_vitals(struct cryo_device *d, const struct cryo_vitals *vitals)
{
    send_plain(d, CRYO_ID_VITALS, vitals, sizeof *vitals);
}

void cryo_device_hello(struct cryo_device *d)
{
    send_plain(d, CRYO_ID_HELLO, &d->config.identity, sizeof d->config.identity);
}

void cryo_device_delimiter(struct cryo_device *d)
{
    static const uint8_t DELIMITER[1] = {CRYO_DELIMITER};

    put(d, DELIMITER, sizeof DELIMITER);
}

size_t cryo_device_take(struct cryo_device *d, uint8_t *out, size_t capacity)
{
    size_t size = d->out_size < capacity ? d->out_size : capacity;

    memcpy(out, d->out, size);
    d->out_size = (uint16_t)(d->out_size - size);
    memmove(d->out, d->out + size, d->out_size);
    return size;
}

/* -- answers, kept for retries ----------------------------------------------------------------- */

static struct cryo_kept_answers *kept(struct cryo_device *d, uint32_t counter)
{
    unsigned i;

    for (i = 0; i < d->answers_count; i++) {
        struct cryo_kept_answers *each =
            &d->answers[(d->answers_first + i) % CRYO_RESULTS_KEPT];
        if (each->counter == counter) {
            return each;
        }
    }
    return NULL;
}

/* Make room for the answers to one more command; the oldest ones go. */
static struct cryo_kept_answers *keep(struct cryo_device *d, uint32_t counter)
{
    struct cryo_kept_answers *added;

    if (d->answers_count == CRYO_RESULTS_KEPT) {
        d->answers_first = (uint8_t)((d->answers_first + 1u) % CRYO_RESULTS_KEPT);
        d->answers_count--;
    }
    added = &d->answers[(d->answers_first + d->answers_count) % CRYO_RESULTS_KEPT];
    d->answers_count++;
    added->counter = counter;
    added->count = 0;
    return added;
}

static void answer(struct cryo_device *d, uint32_t counter, uint8_t message_id,
                   const void *payload, size_t size)
{
    struct cryo_kept_answers *answers = kept(d, counter);
    struct cryo_wire wire;

    send_tagged(d, &wire, message_id, payload, size);
    if (answers == NULL) {
        answers = keep(d, counter);
    }
    if (answers->count < 2u && wire.size <= CRYO_ANSWERS_SIZE / 2u) {
        memcpy(answers->frames + answers->count * (CRYO_ANSWERS_SIZE / 2u), wire.bytes, wire.size);
        answers->sizes[answers->count] = wire.size;
        answers->count++;
    }
}

static void execute(struct cryo_device *d, uint32_t counter)
{
    if (d->executing_count == CRYO_EXECUTING_MAX) {
        d->executing_count--;
        memmove(d->executing, d->executing + 1, d->executing_count * sizeof d->executing[0]);
    }
    d->executing[d->executing_count++] = counter;
}

/* Forget that a command is under way; 0 if it was not. */
static int end_of(struct cryo_device *d, uint32_t counter)
{
    unsigned i;

    for (i = 0; i < d->executing_count; i++) {
        if (d->executing[i] == counter) {
            d->executing_count--;
            memmove(d->executing + i, d->executing + i + 1,
                    (d->executing_count - i) * sizeof d->executing[0]);
            return 1;
        }
    }
    return 0;
}

static void send_ack(struct cryo_device *d, uint32_t counter, uint8_t op, uint8_t value,
                     int is_kept)
{
    struct cryo_ack ack;
    struct cryo_wire wire;

    ack.counter = counter;
    ack.op = op;
    ack.answer = value;
    if (is_kept) {
        answer(d, counter, CRYO_ID_ACK, &ack, sizeof ack);
    } else {
        send_tagged(d, &wire, CRYO_ID_ACK, &ack, sizeof ack);
    }
}

void cryo_device_answer(struct cryo_device *d, uint32_t counter, uint8_t op, uint8_t value)
{
    if (value != CRYO_ANSWER_ACCEPTED) {
        (void)end_of(d, counter);
    }
    send_ack(d, counter, op, value, 1);
}

void cryo_device_done(struct cryo_device *d, uint32_t counter, uint8_t op, uint8_t result,
                      int32_t detail)
{
    struct cryo_done done;

    /* What an earlier session began is nobody's business any more: its counter may mean another
     * command by now. */
    if (!end_of(d, counter)) {
        return;
    }
    done.counter = counter;
    done.op = op;
    done.result = result;
    done.detail = detail;
    answer(d, counter, CRYO_ID_DONE, &done, sizeof done);
}

/* -- sessions ---------------------------------------------------------------------------------- */

/* What a session began ends with it, and what it asked for in these same bytes, too: an answer to
 * that would stand under a counter that means another command by then. */
static void forget_commands(struct cryo_device *d)
{
    unsigned stops = 0;
    unsigned i;

    d->executing_count = 0;
    for (i = 0; i < d->request_count; i++) {
        if (d->requests[i].message_id == CRYO_ID_STOP) {
            d->requests[stops++] = d->requests[i];
        }
    }
    d->request_count = (uint8_t)stops;
}

void cryo_device_drop(struct cryo_device *d, uint32_t now_ms)
{
    d->is_open = 0;
    d->is_pending = 0;
    forget_commands(d);
    d->lease_held = 0;
    d->owner_held = 0;
    report(d, CRYO_EVENT_CODE_SESSION_DROPPED, now_ms);
}

/* The announced key first, then the one before it. */
static const uint8_t *key_of(const struct cryo_device *d, unsigned index)
{
    return index == 0u ? d->config.key : d->config.former_key;
}

static void derive_key(struct cryo_tag_key *prepared, const uint8_t *key, const uint8_t *salt,
                       size_t salt_size, const char *info)
{
    uint8_t derived[CRYO_DIGEST_SIZE];

    cryo_hkdf(key, salt, salt_size, info, derived);
    cryo_tag_key_prepare(prepared, derived, sizeof derived);
}

static void salt_of(const struct cryo_device *d, uint8_t salt[16])
{
    memcpy(salt, &d->pending_hello.host_nonce, 8);
    memcpy(salt + 8, &d->pending_nonce, 8);
}

/* Prepare the session that a HELLO_HOST asks for. Of the keys only the id is worked out now: who
 * floods a device with greetings must not cost it the time for twenty hashes each. */
static void prepare(struct cryo_device *d, const struct cryo_hello_host *hello)
{
    uint8_t digest[CRYO_DIGEST_SIZE];
    uint8_t salt[16];
    struct cryo_sha256 hash;
    uint32_t session;

    d->nonce_count++;
    cryo_sha256_begin(&hash);
    cryo_sha256_add(&hash, d->config.nonce_seed, sizeof d->config.nonce_seed);
    cryo_sha256_add(&hash, &d->config.identity.boot_id, 4);
    cryo_sha256_add(&hash, &d->nonce_count, 4);
    cryo_sha256_end(&hash, digest);
    memcpy(&d->pending_nonce, digest, 8);
    if (d->pending_nonce == 0u) {
        d->pending_nonce = 1; /* 0 means "no session" */
    }
    d->pending_hello = *hello;
    salt_of(d, salt);
    cryo_sha256_begin(&hash);
    cryo_sha256_add(&hash, CRYO_SESSION_PREFIX, sizeof CRYO_SESSION_PREFIX - 1u);
    cryo_sha256_add(&hash, salt, sizeof salt);
    cryo_sha256_end(&hash, digest);
    memcpy(&session, digest, 4);
    if (session == 0u) {
        session = 1; /* 0 means "no session" */
    }
    d->pending[0].session = session;
    d->is_pending = 1;
    d->is_pending_derived = 0;
}

static void derive_pending(struct cryo_device *d)
{
    uint8_t salt[16];
    unsigned i;

    if (d->is_pending_derived) {
        return;
    }
    salt_of(d, salt);
    for (i = 0; i < d->key_count; i++) {
        d->pending[i].session = d->pending[0].session;
        derive_key(&d->pending[i].down, key_of(d, i), salt, sizeof salt, CRYO_INFO_DOWN);
        derive_key(&d->pending[i].up, key_of(d, i), salt, sizeof salt, CRYO_INFO_UP);
    }
    d->is_pending_derived = 1;
}

static void on_hello(struct cryo_device *d, const uint8_t *payload, uint32_t now_ms)
{
    struct cryo_hello_host hello;
    struct cryo_hello said = d->config.identity;
    int is_understood;

    memcpy(&hello, payload, sizeof hello);
    said.host_nonce = hello.host_nonce;
    is_understood = hello.major == d->config.identity.major &&
                    hello.schema_hash == d->config.identity.schema_hash;
    if (is_owned(d, now_ms)) {
        said.owned = 1;
    } else if (!d->is_locked && is_understood) {
        if (!d->is_pending || memcmp(&d->pending_hello, &hello, sizeof hello) != 0) {
            prepare(d, &hello);
        }
        said.device_nonce = d->pending_nonce;
    } /* else: without a device nonce it learns who we are, and opens no session */
    send_plain(d, CRYO_ID_HELLO, &said, sizeof said);
}

/* Make a session whose key was proved the one in force; counters start anew. */
static void promote(struct cryo_device *d, const struct cryo_session_keys *keys, uint32_t now_ms)
{
    d->open = *keys;
    d->is_open = 1;
    d->is_pending = 0;
    d->command_counter = 0;
    d->lease_counter = 0;
    d->answers_count = 0;
    forget_commands(d);
    report(d, CRYO_EVENT_CODE_SESSION_OPENED, now_ms);
}

static int is_tagged_by(const struct cryo_parsed *parsed, const struct cryo_tag_key *key)
{
    return cryo_tag_verify(key, parsed->signed_part, parsed->signed_size, parsed->tag);
}

/* Whether a frame's sender holds the keys of a session; its first frame puts it in force. */
static enum cryo_reject prove(struct cryo_device *d, const struct cryo_parsed *parsed,
                              uint32_t now_ms)
{
    unsigned i;

    if (d->is_open && parsed->session == d->open.session) {
        return is_tagged_by(parsed, &d->open.down) ? CRYO_REJECT_NONE : CRYO_REJECT_TAG;
    }
    /* A lapsed owner may have come back since the newcomer's HELLO. */
    if (!d->is_pending || is_owned(d, now_ms) || parsed->session != d->pending[0].session) {
        return CRYO_REJECT_SESSION;
    }
    derive_pending(d);
    for (i = 0; i < d->key_count; i++) {
        if (is_tagged_by(parsed, &d->pending[i].down)) {
            promote(d, &d->pending[i], now_ms);
            return CRYO_REJECT_NONE;
        }
    }
    return CRYO_REJECT_TAG;
}

/* -- what is asked ----------------------------------------------------------------------------- */

static struct cryo_request *add_request(struct cryo_device *d, uint8_t message_id)
{
    struct cryo_request *request = &d->requests[d->request_count];

    d->request_count++;
    request->message_id = message_id;
    return request;
}

static enum cryo_reject on_lease(struct cryo_device *d, const uint8_t *payload, uint32_t now_ms)
{
    struct cryo_lease lease;
    int32_t left_ms;

    memcpy(&lease, payload, sizeof lease);
    if (lease.counter <= d->lease_counter) {
        return CRYO_REJECT_REPLAY;
    }
    d->lease_counter = lease.counter;
    left_ms = cryo_until_ms(now_ms, lease.valid_until_ms);
    if (left_ms > (int32_t)CRYO_LEASE_LIFE_MS_MAX) {
        left_ms = (int32_t)CRYO_LEASE_LIFE_MS_MAX;
    }
    if (left_ms <= 0) {
        return CRYO_REJECT_NONE; /* it waited in a queue until it was void; it prolongs nothing */
    }
    d->lease_held = 1;
    d->lease_until_ms = now_ms + (uint32_t)left_ms;
    d->owner_held = 1;
    d->owner_until_ms = now_ms + CRYO_OWNER_LIFE_MS;
    d->claimed_mode = lease.mode;
    d->lease_count++;
    return CRYO_REJECT_NONE;
}

static void on_command(struct cryo_device *d, const uint8_t *payload, uint32_t now_ms)
{
    struct cryo_command command;
    const struct cryo_kept_answers *known;

    memcpy(&command, payload, sizeof command);
    known = kept(d, command.counter);
    if (known != NULL) {
        unsigned i;
        /* A retry gets the same answers and is not executed again. */
        for (i = 0; i < known->count; i++) {
            put(d, known->frames + i * (CRYO_ANSWERS_SIZE / 2u), known->sizes[i]);
        }
    } else if (command.counter <= d->command_counter) {
        /* Not kept: replays must not push out the answers that a retry may ask for. */
        send_ack(d, command.counter, command.op, CRYO_ANSWER_OLD_COUNTER, 0);
    } else {
        d->command_counter = command.counter;
        if (cryo_until_ms(now_ms, command.deadline_ms) < 0) {
            cryo_device_answer(d, command.counter, command.op, CRYO_ANSWER_STALE);
        } else {
            (void)keep(d, command.counter); /* a copy before the answer is a retry too */
            execute(d, command.counter);
            add_request(d, CRYO_ID_COMMAND)->u.command = command;
        }
    }
}

static enum cryo_reject on_stop(struct cryo_device *d, const struct cryo_parsed *parsed)
{
    int is_in_range = cryo_in_range(CRYO_ID_STOP, parsed->payload);
    const struct cryo_tag_key *used = NULL;
    struct cryo_stop stop;
    struct cryo_ack ack;
    struct cryo_wire wire;
    unsigned i;

    memcpy(&stop, parsed->payload, sizeof stop);
    for (i = 0; i < d->key_count && used == NULL; i++) {
        if (is_tagged_by(parsed, &d->stop_keys[i])) {
            used = &d->stop_keys[i];
        }
    }
    if (used == NULL) {
        /* Its sender may not have heard of the restart yet: no guess. */
        return is_in_range && stop.boot_id != d->config.identity.boot_id ? CRYO_REJECT_SESSION
                                                                  : CRYO_REJECT_TAG;
    }
    if (!is_in_range) {
        return CRYO_REJECT_RANGE;
    }
    ack.counter = stop.counter;
    ack.op = CRYO_OP_STOP;
    ack.answer = CRYO_ANSWER_ACCEPTED;
    send(d, &wire, CRYO_ID_ACK, &ack, sizeof ack, used, 0); /* who sent it may have no other key */
    add_request(d, CRYO_ID_STOP)->u.stop = stop;
    return CRYO_REJECT_NONE;
}

/* -- receiving --------------------------------------------------------------------------------- */

static enum cryo_reject judge(struct cryo_device *d, const uint8_t *body, size_t size,
                              uint32_t now_ms)
{
    struct cryo_parsed parsed;
    enum cryo_reject reject = cryo_parse(body, size, &parsed);

    if (reject != CRYO_REJECT_NONE) {
        return reject;
    }
    if (!parsed.is_down) {
        return CRYO_REJECT_DIRECTION;
    }
    if (parsed.message_id == CRYO_ID_HELLO_HOST) {
        on_hello(d, parsed.payload, now_ms);
        return CRYO_REJECT_NONE;
    }
    if (parsed.tag == NULL) {
        return CRYO_REJECT_UNTAGGED;
    }
    if (parsed.message_id == CRYO_ID_STOP) {
        return on_stop(d, &parsed);
    }
    reject = prove(d, &parsed, now_ms);
    if (reject != CRYO_REJECT_NONE) {
        return reject;
    }
    if (!cryo_in_range(parsed.message_id, parsed.payload)) {
        return CRYO_REJECT_RANGE;
    }
    if (parsed.message_id == CRYO_ID_LEASE) {
        return on_lease(d, parsed.payload, now_ms);
    }
    on_command(d, parsed.payload, now_ms);
    return CRYO_REJECT_NONE;
}

static void on_bad_tag(struct cryo_device *d, uint32_t now_ms)
{
    if (d->is_locked) {
        return; /* nothing is left to guess at but STOP, which does no harm */
    }
    while (d->bad_tag_count > 0u &&
           !is_within(d->bad_tag_ms[0], now_ms, (int32_t)CRYO_BAD_TAG_WINDOW_MS)) {
        d->bad_tag_count--;
        memmove(d->bad_tag_ms, d->bad_tag_ms + 1, d->bad_tag_count * sizeof d->bad_tag_ms[0]);
    }
    d->bad_tag_ms[d->bad_tag_count++] = now_ms;
    if (d->bad_tag_count == CRYO_BAD_TAGS_MAX) {
        /* Somebody is guessing: the session ends, and with it the lease. */
        d->bad_tag_count = 0;
        d->is_locked = 1;
        d->locked_until_ms = now_ms + CRYO_LOCK_OUT_MS;
        cryo_device_drop(d, now_ms);
    }
}

static void on_reject(struct cryo_device *d, enum cryo_reject reject, uint32_t now_ms)
{
    d->rejects[reject]++;
    if (d->reject_count == CRYO_REJECTS_KEPT) {
        d->reject_first = (uint8_t)((d->reject_first + 1u) % CRYO_REJECTS_KEPT);
        d->reject_count--;
    }
    d->reject_ms[(d->reject_first + d->reject_count) % CRYO_REJECTS_KEPT] = now_ms;
    d->reject_count++;
    if (reject == CRYO_REJECT_TAG) {
        on_bad_tag(d, now_ms);
    }
}

uint32_t cryo_device_rejects_within_window(struct cryo_device *d, uint32_t now_ms)
{
    while (d->reject_count > 0u &&
           !is_within(d->reject_ms[d->reject_first], now_ms, (int32_t)CRYO_REJECT_WINDOW_MS)) {
        d->reject_first = (uint8_t)((d->reject_first + 1u) % CRYO_REJECTS_KEPT);
        d->reject_count--;
    }
    return d->reject_count;
}

static void forget_what_lapsed(struct cryo_device *d, uint32_t now_ms)
{
    if (d->owner_held && cryo_until_ms(now_ms, d->owner_until_ms) <= 0) {
        d->owner_held = 0;
        d->lease_held = 0; /* it was void long before: every lease renews both */
        report(d, CRYO_EVENT_CODE_OWNER_LAPSED, now_ms);
    }
    if (d->is_locked && cryo_until_ms(now_ms, d->locked_until_ms) <= 0) {
        d->is_locked = 0;
    }
}

unsigned cryo_device_receive(struct cryo_device *d, const uint8_t *data, size_t size,
                             uint32_t now_ms)
{
    size_t i;

    d->request_count = 0;
    forget_what_lapsed(d, now_ms);
    for (i = 0; i < size && i < CRYO_RECEIVE_MAX; i++) {
        int found = cryo_deframer_byte(&d->deframer, data[i]);
        if (found == CRYO_NOTHING_YET) {
            continue;
        }
        if (found == CRYO_REJECT_NONE) {
            found = (int)judge(d, d->deframer.body, d->deframer.body_size, now_ms);
        }
        if (found != CRYO_REJECT_NONE) {
            on_reject(d, (enum cryo_reject)found, now_ms);
        }
    }
    return d->request_count;
}

int cryo_device_is_open(const struct cryo_device *d)
{
    return d->is_open;
}

int32_t cryo_device_lease_left_ms(const struct cryo_device *d, uint32_t now_ms)
{
    int32_t left_ms;

    if (!d->lease_held) {
        return 0;
    }
    left_ms = cryo_until_ms(now_ms, d->lease_until_ms);
    /* More than a lease may give is none: a bit of its end has turned over. */
    return left_ms < 0 || left_ms > (int32_t)CRYO_LEASE_LIFE_MS_MAX ? 0 : left_ms;
}

/* -- power-up ---------------------------------------------------------------------------------- */

void cryo_device_init(struct cryo_device *d, const struct cryo_device_config *config)
{
    uint8_t salt[4];
    unsigned i;

    memset(d, 0, sizeof *d);
    d->deframer.is_skipping = 1;
    d->state = CRYO_DEVICE_STATE_IDLE;
    d->claimed_mode = CRYO_HOST_MODE_IDLE;
    d->config = *config;
    d->key_count = config->has_former_key ? 2u : 1u;
    memcpy(salt, &config->identity.boot_id, sizeof salt);
    for (i = 0; i < d->key_count; i++) {
        derive_key(&d->stop_keys[i], key_of(d, i), salt, sizeof salt, CRYO_INFO_STOP);
    }
}
