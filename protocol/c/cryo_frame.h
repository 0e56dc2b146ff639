/* Frames of the cryoctl protocol, see SPEC.md: CRC-32, COBS, header, tag; C99, no heap.
 *
 * Bytes are late, broken or hostile: nothing here can be upset by any of them (SR-04).
 */
#ifndef CRYO_FRAME_H
#define CRYO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "cryo_hash.h"
#include "cryo_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returned by cryo_deframer_byte while a frame is not complete. */
#define CRYO_NOTHING_YET (-1)

/* Finds bodies in a stream of bytes; begins with zeros in it and `is_skipping` 1. */
struct cryo_deframer {
    uint8_t body[CRYO_WIRE_SIZE_MAX]; /* good until the next byte */
    uint8_t size;                     /* bytes of the frame so far */
    uint8_t body_size;
    uint8_t is_skipping; /* until the next delimiter: the first bytes may be a frame's tail */
};

/* A body taken apart; nothing is proved yet. Points into the body. */
struct cryo_parsed {
    const uint8_t *signed_part; /* header and payload: what a tag covers */
    const uint8_t *payload;
    const uint8_t *tag; /* NULL if there is none */
    uint32_t session;
    uint16_t seq;
    uint8_t signed_size;
    uint8_t payload_size;
    uint8_t message_id;
    uint8_t is_down; /* 1 for a message of the table that the controller sends */
};

/* The bytes of a frame on a stream link, delimiter included. */
struct cryo_wire {
    uint8_t bytes[CRYO_WIRE_SIZE_MAX + 1u];
    uint8_t size;
};

uint32_t cryo_crc32(const uint8_t *data, size_t size);

/* Take one byte. CRYO_NOTHING_YET, or CRYO_REJECT_NONE with a body in `body`, or a cryo_reject. */
int cryo_deframer_byte(struct cryo_deframer *deframer, uint8_t byte);

/* Take a body apart: CRYO_REJECT_NONE, or why it is none. */
enum cryo_reject cryo_parse(const uint8_t *body, size_t size, struct cryo_parsed *parsed);

/* 1 if every field of a payload of the right size is within its range, else 0. */
int cryo_in_range(uint8_t message_id, const uint8_t *payload);

/* Build a frame; `payload_size` at most 200. Without a key (NULL) it carries no tag. */
void cryo_build(struct cryo_wire *wire, uint8_t message_id, const void *payload,
                size_t payload_size, uint16_t seq, uint32_t session,
                const struct cryo_tag_key *key);

#ifdef __cplusplus
}
#endif

#endif
