/* Carries out what a test writes to its standard input, one operation after the other, and says
 * after each of them what the library did: the test compares that with the Python session.
 *
 * operation: letter, argument (32 bits), size (16 bits), data; little-endian.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cryo_device.h"

static struct cryo_device device;
static uint8_t data[65536];
static uint8_t out[CRYO_SEND_MAX];

static void print_hex(const void *bytes, size_t size)
{
    const uint8_t *each = bytes;
    while (size-- > 0u) {
        printf("%02x", *each++);
    }
    putchar(' ');
}

static void print_state(uint32_t now_ms)
{
    printf("%u %" PRId32 " %u %u %u %" PRIu32 "\n", cryo_device_is_open(&device) ? 1u : 0u,
           cryo_device_lease_left_ms(&device, now_ms), (unsigned)device.owner_held,
           (unsigned)device.claimed_mode, (unsigned)device.event_count, device.lease_count);
}

static void receive(size_t size, uint32_t now_ms)
{
    unsigned count = cryo_device_receive(&device, data, size, now_ms);
    unsigned i;
    for (i = 0; i < count; i++) {
        const struct cryo_request *request = &device.requests[i];
        if (request->message_id == CRYO_ID_STOP) {
            print_hex(&request->u.stop, sizeof request->u.stop);
        } else {
            print_hex(&request->u.command, sizeof request->u.command);
        }
    }
}

static void say(char letter, uint32_t now_ms)
{
    static struct cryo_device_config config;
    struct cryo_ack ack;
    struct cryo_done done;
    struct cryo_event event;
    struct cryo_telemetry telemetry;
    struct cryo_vitals vitals;

    switch (letter) {
    case 'I':
        memcpy(&config, data, sizeof config);
        cryo_device_init(&device, &config);
        break;
    case 'L':
        cryo_device_delimiter(&device);
        break;
    case 'A':
        memcpy(&ack, data, sizeof ack);
        cryo_device_answer(&device, ack.counter, ack.op, ack.answer);
        break;
    case 'D':
        memcpy(&done, data, sizeof done);
        cryo_device_done(&device, done.counter, done.op, done.result, done.detail);
        break;
    case 'E':
        memcpy(&event, data, sizeof event);
        cryo_device_event(&device, &event);
        break;
    case 'T':
        memcpy(&telemetry, data, sizeof telemetry);
        cryo_device_telemetry(&device, &telemetry);
        break;
    case 'V':
        memcpy(&vitals, data, sizeof vitals);
        cryo_device_vitals(&device, &vitals);
        break;
    case 'H':
        cryo_device_hello(&device);
        break;
    case 'S':
        device.state = data[0];
        break;
    case 'X':
        cryo_device_drop(&device, now_ms);
        break;
    default:
        break;
    }
}

static void print_rejects(uint32_t now_ms)
{
    unsigned i;
    printf("%" PRIu32 " ", cryo_device_rejects_within_window(&device, now_ms));
    for (i = 1; i < CRYO_REJECTS; i++) {
        printf("%" PRIu32 " ", device.rejects[i]);
    }
}

/* A frame off the wire, alone: why it is refused, or what is in it. */
static void print_frame(size_t size)
{
    static struct cryo_deframer deframer;
    struct cryo_parsed parsed;
    size_t i;
    int found = CRYO_NOTHING_YET;

    memset(&deframer, 0, sizeof deframer);
    for (i = 0; i < size && found == CRYO_NOTHING_YET; i++) {
        found = cryo_deframer_byte(&deframer, data[i]);
    }
    if (found != CRYO_REJECT_NONE) {
        printf("%d ", found);
        return;
    }
    found = (int)cryo_parse(deframer.body, deframer.body_size, &parsed);
    if (found == CRYO_REJECT_NONE && !cryo_in_range(parsed.message_id, parsed.payload)) {
        found = CRYO_REJECT_RANGE;
    }
    printf("%d ", found);
    print_hex(deframer.body, deframer.body_size);
    if (found == CRYO_REJECT_NONE) {
        printf("%u %u %" PRIu32 " %u ", (unsigned)parsed.message_id, (unsigned)parsed.seq,
               parsed.session, parsed.tag != NULL ? 1u : 0u);
    }
}

/* Data: key (32), frame without tag, CRC and COBS, or with the key at zero an untagged one. */
static void print_built(size_t size)
{
    static const uint8_t no_key[CRYO_KEY_SIZE];
    struct cryo_tag_key key;
    struct cryo_wire wire;
    uint16_t seq;
    uint32_t session;
    const uint8_t *header = data + CRYO_KEY_SIZE;

    memcpy(&seq, header + CRYO_OFFSET_SEQ, sizeof seq);
    memcpy(&session, header + CRYO_OFFSET_SESSION, sizeof session);
    cryo_tag_key_prepare(&key, data, CRYO_KEY_SIZE);
    cryo_build(&wire, header[CRYO_OFFSET_MESSAGE_ID], header + CRYO_HEADER_SIZE,
               size - CRYO_KEY_SIZE - CRYO_HEADER_SIZE, seq, session,
               memcmp(data, no_key, sizeof no_key) == 0 ? NULL : &key);
    print_hex(wire.bytes, wire.size);
}

/* Data: key (32), size of the salt (1), salt, info. */
static void print_derived(size_t size)
{
    uint8_t derived[CRYO_DIGEST_SIZE];
    data[size] = 0;
    cryo_hkdf(data, data + CRYO_KEY_SIZE + 1u, data[CRYO_KEY_SIZE],
              (const char *)data + CRYO_KEY_SIZE + 1u + data[CRYO_KEY_SIZE], derived);
    print_hex(derived, sizeof derived);
}

static void print_digest(size_t size)
{
    uint8_t digest[CRYO_DIGEST_SIZE];
    struct cryo_sha256 hash;
    cryo_sha256_begin(&hash);
    cryo_sha256_add(&hash, data, size / 3u);
    cryo_sha256_add(&hash, data + size / 3u, size - size / 3u);
    cryo_sha256_end(&hash, digest);
    print_hex(digest, sizeof digest);
}

int main(void)
{
    uint8_t head[7];

    while (fread(head, sizeof head, 1, stdin) == 1u) {
        uint32_t argument;
        uint16_t size;
        memcpy(&argument, head + 1, sizeof argument);
        memcpy(&size, head + 5, sizeof size);
        if (size > 0u && fread(data, size, 1, stdin) != 1u) {
            return 1;
        }
        printf("%c ", head[0]);
        switch (head[0]) {
        case 'R':
            receive(size, argument);
            break;
        case 'O':
            print_hex(out, cryo_device_take(&device, out, argument));
            break;
        case 'W':
            print_rejects(argument);
            break;
        case 'P':
            print_frame(size);
            break;
        case 'B':
            print_built(size);
            break;
        case 'K':
            print_derived(size);
            break;
        case 'G':
            print_digest(size);
            break;
        case 'Z':
            printf("%u %u %u ", (unsigned)sizeof device, (unsigned)sizeof(struct cryo_device_config),
                   (unsigned)CRYO_REQUESTS_MAX);
            break;
        default:
            say((char)head[0], argument);
            break;
        }
        print_state(argument);
    }
    return 0;
}
