#include "cryo_frame.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "cryoctl's C library copies payloads into packed structures: little-endian machines only"
#endif
#endif

/* Remainders of the sixteen values of four bits: small, and twice as fast as bit by bit. */
static const uint32_t CRC_OF_NIBBLE[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
    0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t cryo_crc32(const uint8_t *data, size_t size)
{
    uint32_t crc = CRYO_CRC_INIT;
    size_t i;

    for (i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ CRC_OF_NIBBLE[crc & 15u];
        crc = crc >> 4 ^ CRC_OF_NIBBLE[crc & 15u];
    }
    return crc ^ CRYO_CRC_XOR_OUT;
}

/* Decode COBS in place, which only makes it shorter; 0 if it is not a COBS group. A frame is
 * shorter than 254 bytes, so that every code but the last stands for a zero. */
static int cobs_decode(uint8_t *chunk, size_t size, size_t *decoded)
{
    size_t from = 0;
    size_t to = 0;

    while (from < size) {
        size_t code = chunk[from];
        if (from + code > size) {
            return 0;
        }
        memmove(chunk + to, chunk + from + 1u, code - 1u);
        to += code - 1u;
        from += code;
        if (from < size) {
            chunk[to++] = 0;
        }
    }
    *decoded = to;
    return 1;
}

static int unwrap(struct cryo_deframer *deframer, size_t size)
{
    size_t whole = 0;

    if (!cobs_decode(deframer->body, size, &whole)) {
        return CRYO_REJECT_COBS;
    }
    if (cryo_crc32(deframer->body, whole) != CRYO_CRC_RESIDUE) {
        return CRYO_REJECT_CRC;
    }
    deframer->body_size = (uint8_t)(whole > CRYO_CRC_SIZE ? whole - CRYO_CRC_SIZE : 0u);
    return CRYO_REJECT_NONE;
}

int cryo_deframer_byte(struct cryo_deframer *deframer, uint8_t byte)
{
    size_t size = deframer->size;

    if (byte == CRYO_DELIMITER) {
        int was_skipping = deframer->is_skipping;
        deframer->is_skipping = 0;
        deframer->size = 0;
        return was_skipping || size == 0u ? CRYO_NOTHING_YET : unwrap(deframer, size);
    }
    if (deframer->is_skipping) {
        return CRYO_NOTHING_YET;
    }
    if (size == CRYO_WIRE_SIZE_MAX) {
        deframer->is_skipping = 1;
        deframer->size = 0;
        return CRYO_REJECT_OVERSIZE;
    }
    deframer->body[size] = byte;
    deframer->size = (uint8_t)(size + 1u);
    return CRYO_NOTHING_YET;
}

struct message_row {
    uint8_t message_id;
    uint8_t size;
    uint8_t is_down;
};

#define MESSAGE_ROW(id, size, is_down) {id, size, is_down},
static const struct message_row MESSAGE_ROWS[] = {CRYO_MESSAGES(MESSAGE_ROW)};

static const struct message_row *row_of(uint8_t message_id)
{
    size_t i;

    for (i = 0; i < sizeof MESSAGE_ROWS / sizeof MESSAGE_ROWS[0]; i++) {
        if (MESSAGE_ROWS[i].message_id == message_id) {
            return &MESSAGE_ROWS[i];
        }
    }
    return NULL;
}

/* Whether the sizes fit the message id; a maker's own messages may have any size. */
static enum cryo_reject check_size(const struct message_row *row, size_t size,
                                   const struct cryo_parsed *parsed)
{
    if (row != NULL) {
        return parsed->payload_size == row->size ? CRYO_REJECT_NONE : CRYO_REJECT_SIZE;
    }
    if (parsed->message_id < CRYO_VENDOR_ID_FIRST || parsed->message_id > CRYO_VENDOR_ID_LAST) {
        return CRYO_REJECT_UNKNOWN_ID;
    }
    if (parsed->signed_size < CRYO_HEADER_SIZE) {
        return CRYO_REJECT_SHORT;
    }
    return size > CRYO_BODY_SIZE_MAX ? CRYO_REJECT_OVERSIZE : CRYO_REJECT_NONE;
}

enum cryo_reject cryo_parse(const uint8_t *body, size_t size, struct cryo_parsed *parsed)
{
    const struct message_row *row;
    size_t signed_size = size;
    unsigned version_flags;

    memset(parsed, 0, sizeof *parsed);
    if (size < CRYO_HEADER_SIZE) {
        return CRYO_REJECT_SHORT;
    }
    version_flags = body[CRYO_OFFSET_VERSION_FLAGS];
    if (version_flags >> 4 != CRYO_FRAME_VERSION) {
        return CRYO_REJECT_VERSION;
    }
    if ((version_flags & 15u) > CRYO_FLAG_TAGGED) {
        return CRYO_REJECT_FLAGS;
    }
    if ((version_flags & CRYO_FLAG_TAGGED) != 0u) {
        signed_size -= CRYO_TAG_SIZE;
        parsed->tag = body + signed_size;
    }
    parsed->signed_part = body;
    parsed->payload = body + CRYO_HEADER_SIZE;
    parsed->signed_size = (uint8_t)signed_size;
    parsed->payload_size =
        (uint8_t)(signed_size > CRYO_HEADER_SIZE ? signed_size - CRYO_HEADER_SIZE : 0u);
    parsed->message_id = body[CRYO_OFFSET_MESSAGE_ID];
    memcpy(&parsed->seq, body + CRYO_OFFSET_SEQ, sizeof parsed->seq);
    memcpy(&parsed->session, body + CRYO_OFFSET_SESSION, sizeof parsed->session);
    row = row_of(parsed->message_id);
    parsed->is_down = row != NULL && row->is_down;
    return check_size(row, size, parsed);
}

struct bound {
    uint8_t message_id;
    uint8_t offset;
    uint8_t size;
    uint16_t low;
    uint16_t high;
};

#define BOUND(id, offset, size, low, high) {id, offset, size, low, high},
static const struct bound BOUNDS[] = {CRYO_BOUNDS(BOUND)};

int cryo_in_range(uint8_t message_id, const uint8_t *payload)
{
    size_t i;

    for (i = 0; i < sizeof BOUNDS / sizeof BOUNDS[0]; i++) {
        const struct bound *bound = &BOUNDS[i];
        unsigned value;
        if (bound->message_id != message_id) {
            continue;
        }
        value = payload[bound->offset];
        if (bound->size == 2u) {
            value |= (unsigned)payload[bound->offset + 1u] << 8;
        }
        if (value < bound->low || value > bound->high) {
            return 0;
        }
    }
    return 1;
}

/* Encode COBS; a body with its CRC is shorter than 254 bytes and makes one group. */
static void cobs_encode(const uint8_t *body, size_t size, struct cryo_wire *wire)
{
    size_t code_at = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        wire->bytes[i + 1u] = body[i];
        if (body[i] == 0u) {
            wire->bytes[code_at] = (uint8_t)(i + 1u - code_at);
            code_at = i + 1u;
        }
    }
    wire->bytes[code_at] = (uint8_t)(size + 1u - code_at);
    wire->bytes[size + 1u] = CRYO_DELIMITER;
    wire->size = (uint8_t)(size + 2u);
}

void cryo_build(struct cryo_wire *wire, uint8_t message_id, const void *payload,
                size_t payload_size, uint16_t seq, uint32_t session,
                const struct cryo_tag_key *key)
{
    uint8_t body[CRYO_BODY_SIZE_MAX + CRYO_CRC_SIZE];
    unsigned flags = key != NULL ? CRYO_FLAG_TAGGED : 0u;
    size_t size = CRYO_HEADER_SIZE;
    uint32_t crc;

    if (payload_size > CRYO_BODY_SIZE_MAX - CRYO_HEADER_SIZE - CRYO_TAG_SIZE) {
        payload_size = CRYO_BODY_SIZE_MAX - CRYO_HEADER_SIZE - CRYO_TAG_SIZE;
    }
    body[CRYO_OFFSET_VERSION_FLAGS] = (uint8_t)(CRYO_FRAME_VERSION << 4 | flags);
    body[CRYO_OFFSET_MESSAGE_ID] = message_id;
    memcpy(body + CRYO_OFFSET_SEQ, &seq, sizeof seq);
    memcpy(body + CRYO_OFFSET_SESSION, &session, sizeof session);
    memcpy(body + size, payload, payload_size);
    size += payload_size;
    if (key != NULL) {
        uint8_t digest[CRYO_DIGEST_SIZE];
        cryo_hmac(key, body, size, digest);
        memcpy(body + size, digest, CRYO_TAG_SIZE);
        size += CRYO_TAG_SIZE;
    }
    crc = cryo_crc32(body, size);
    memcpy(body + size, &crc, sizeof crc);
    cobs_encode(body, size + sizeof crc, wire);
}
