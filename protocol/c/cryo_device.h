/* The device's end of a session, see SPEC.md: who may command, what is a repeat, what came too late.
 *
 * C99, no heap, no pointers in its state (copy it, save it, put it anywhere), nothing of libc but
 * memcpy, memmove, memset and memcmp. Little-endian machines only; unaligned access is not needed.
 * Not for two threads or an interrupt at once: call everything from one loop.
 */
#ifndef CRYO_DEVICE_H
#define CRYO_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "cryo_frame.h"
#include "cryo_hash.h"
#include "cryo_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CRYO_NONCE_SEED_SIZE 32u
#define CRYO_REJECTS_KEPT 64u
#define CRYO_STOP_WIRE_SIZE \
    (CRYO_HEADER_SIZE + CRYO_STOP_SIZE + CRYO_TAG_SIZE + CRYO_CRC_SIZE + 2u)
/* STOP is the smallest request; one more frame may have been complete but for its delimiter. */
#define CRYO_REQUESTS_MAX (CRYO_RECEIVE_MAX / CRYO_STOP_WIRE_SIZE + 2u)
/* Two answers to a command, ACK and DONE, as they went out; DONE is the longer one. */
#define CRYO_ANSWERS_SIZE \
    (2u * (CRYO_HEADER_SIZE + CRYO_DONE_SIZE + CRYO_TAG_SIZE + CRYO_CRC_SIZE + 2u))

/* Something that the firmware has to decide on: a command, or a stop to obey. */
struct cryo_request {
    uint8_t message_id; /* CRYO_ID_COMMAND or CRYO_ID_STOP */
    union {
        struct cryo_command command;
        struct cryo_stop stop;
    } u;
};

/* What a device is born with. */
struct cryo_device_config {
    struct cryo_hello identity; /* HELLO as it goes out on boot: nonces and `owned` are 0 */
    uint8_t key[CRYO_KEY_SIZE]; /* the key that `identity.key_id` announces */
    uint8_t has_former_key;
    uint8_t former_key[CRYO_KEY_SIZE]; /* the one before, while it is still valid */
    uint8_t nonce_seed[CRYO_NONCE_SEED_SIZE]; /* random, fresh for every boot */
};

struct cryo_session_keys {
    uint32_t session; /* never 0 */
    struct cryo_tag_key down;
    struct cryo_tag_key up;
};

struct cryo_kept_answers {
    uint32_t counter;
    uint8_t count; /* 0 while a command waits for its first answer */
    uint8_t sizes[2];
    uint8_t frames[CRYO_ANSWERS_SIZE];
};

/* One device's view of whoever talks to it. The first part is for the firmware to read. */
struct cryo_device {
    struct cryo_device_config config; /* as it was given; first, so that tools find the identity */
    uint8_t state;        /* the firmware's own cryo_device_state, which it keeps here for events */
    uint8_t claimed_mode; /* cryo_host_mode of the last lease */
    uint8_t owner_held;   /* 1 while a controller holds the probe, until cryo_device_receive */
    uint8_t request_count;
    uint16_t event_count; /* events since boot, for telemetry; wraps */
    uint16_t out_size;
    uint32_t owner_until_ms;
    uint32_t lease_count; /* leases accepted since boot */
    uint32_t rejects[CRYO_REJECTS]; /* frames refused since boot, by cryo_reject */
    uint8_t out[CRYO_SEND_MAX];     /* what is to be sent */
    struct cryo_request requests[CRYO_REQUESTS_MAX];

    /* The rest is the session's own. */
    uint8_t key_count;
    struct cryo_tag_key stop_keys[CRYO_KEYS_MAX];
    struct cryo_deframer deframer;

    uint8_t is_open;
    struct cryo_session_keys open; /* the session in force */
    uint8_t is_pending;
    uint8_t is_pending_derived; /* keys are worked out when the first frame asks for them */
    struct cryo_hello_host pending_hello;
    uint64_t pending_nonce;
    struct cryo_session_keys pending[CRYO_KEYS_MAX];
    uint32_t nonce_count;

    uint16_t seq;
    uint8_t lease_held;
    uint8_t is_locked; /* somebody guessed at tags */
    uint32_t lease_until_ms;
    uint32_t locked_until_ms;
    uint32_t command_counter;
    uint32_t lease_counter;

    uint8_t answers_first; /* a ring, oldest first */
    uint8_t answers_count;
    uint8_t executing_count;
    uint8_t bad_tag_count;
    uint8_t reject_first; /* a ring, oldest first */
    uint8_t reject_count;
    struct cryo_kept_answers answers[CRYO_RESULTS_KEPT];
    uint32_t executing[CRYO_EXECUTING_MAX]; /* counters of commands without DONE, oldest first */
    uint32_t bad_tag_ms[CRYO_BAD_TAGS_MAX];
    uint32_t reject_ms[CRYO_REJECTS_KEPT];
};

/* Begin after power-up; `config` is copied. */
void cryo_device_init(struct cryo_device *d, const struct cryo_device_config *config);

/* Send the 0x00 that ends whatever a link carried before; call it once, before all else. */
void cryo_device_delimiter(struct cryo_device *d);

/* Take at most CRYO_RECEIVE_MAX bytes off the link (the rest is not read) and return
 * `request_count`; `requests` is good until the next call. Call it in every tick, with size 0 if
 * nothing came: what has lapsed is forgotten here. `now_ms` is the device clock, which wraps. */
unsigned cryo_device_receive(struct cryo_device *d, const uint8_t *data, size_t size,
                             uint32_t now_ms);

/* Send the first answer (cryo_answer) to a command and keep it for retries. */
void cryo_device_answer(struct cryo_device *d, uint32_t counter, uint8_t op, uint8_t answer);

/* Send the second answer (cryo_result) to a command that was accepted and keep it for retries. */
void cryo_device_done(struct cryo_device *d, uint32_t counter, uint8_t op, uint8_t result,
                      int32_t detail);

/* Send an event; its number and state are filled in. */
void cryo_device_event(struct cryo_device *d, const struct cryo_event *event);

void cryo_device_telemetry(struct cryo_device *d, const struct cryo_telemetry *sample);
void cryo_device_vitals(struct cryo_device *d, const struct cryo_vitals *vitals);
void cryo_device_hello(struct cryo_device *d);

/* End the session; the lease dies with it. */
void cryo_device_drop(struct cryo_device *d, uint32_t now_ms);

/* 1 while a controller has proved that it holds the key. */
int cryo_device_is_open(const struct cryo_device *d);

/* How long outputs may stay on without another lease. */
int32_t cryo_device_lease_left_ms(const struct cryo_device *d, uint32_t now_ms);

/* How many frames were rejected in the last second (SR-23). */
uint32_t cryo_device_rejects_within_window(struct cryo_device *d, uint32_t now_ms);

/* Move what is to be sent to `out`, as much as fits; the rest stays. Return the bytes moved. */
size_t cryo_device_take(struct cryo_device *d, uint8_t *out, size_t capacity);

/* How far `later_ms` lies ahead of `now_ms` on a clock that wraps; negative if it has passed. */
int32_t cryo_until_ms(uint32_t now_ms, uint32_t later_ms);

#ifdef __cplusplus
}
#endif

#endif
