#include "cryo_hash.h"

#include <string.h>

/* Inner and outer pad of HMAC, RFC 2104. */
#define INNER_PAD 0x36u
#define OUTER_PAD 0x5Cu
/* Bytes at the end of the last block that hold the length in bits, FIPS 180-4. */
#define LENGTH_SIZE 8u

static const uint32_t INITIAL[8] = {
    0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
    0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u,
};

static const uint32_t ROUND[64] = {
    0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u,
    0xAB1C5ED5u, 0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu,
    0x9BDC06A7u, 0xC19BF174u, 0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu,
    0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu, 0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u,
    0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u, 0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu,
    0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u, 0xA2BFE8A1u, 0xA81A664Bu,
    0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u, 0x19A4C116u,
    0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
    0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u,
    0xC67178F2u,
};

static uint32_t rotated(uint32_t value, unsigned by)
{
    return value >> by | value << (32u - by);
}

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void put_big_endian(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

/* The next word of the schedule, which is kept 16 words long to spare the stack. */
static uint32_t scheduled(uint32_t *w, unsigned round)
{
    uint32_t before_2 = w[(round + 14u) & 15u];
    uint32_t before_15 = w[(round + 1u) & 15u];
    uint32_t small_1 = rotated(before_2, 17) ^ rotated(before_2, 19) ^ before_2 >> 10;
    uint32_t small_0 = rotated(before_15, 7) ^ rotated(before_15, 18) ^ before_15 >> 3;
    w[round & 15u] += small_1 + w[(round + 9u) & 15u] + small_0;
    return w[round & 15u];
}

/* Eight variables and plain assignments: what a compiler keeps in registers, if it has as many. */
static void compress(uint32_t state[8], const uint8_t block[CRYO_HASH_BLOCK_SIZE])
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    uint32_t w[16];
    unsigned i;

    for (i = 0; i < 16u; i++) {
        w[i] = big_endian(block + 4u * i);
    }
    for (i = 0; i < 64u; i++) {
        uint32_t word = i < 16u ? w[i] : scheduled(w, i);
        uint32_t choice = (e & f) ^ (~e & g);
        uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t first =
            h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + choice + ROUND[i] + word;
        uint32_t second = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + majority;
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

void cryo_sha256_begin(struct cryo_sha256 *hash)
{
    memcpy(hash->state, INITIAL, sizeof hash->state);
    hash->size = 0;
}

void cryo_sha256_add(struct cryo_sha256 *hash, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)data;

    while (size > 0u) {
        uint32_t filled = hash->size % CRYO_HASH_BLOCK_SIZE;
        uint32_t part = CRYO_HASH_BLOCK_SIZE - filled;
        if (part > size) {
            part = (uint32_t)size;
        }
        memcpy(hash->block + filled, bytes, part);
        hash->size += part;
        bytes += part;
        size -= part;
        if (filled + part == CRYO_HASH_BLOCK_SIZE) {
            compress(hash->state, hash->block);
        }
    }
}

void cryo_sha256_end(struct cryo_sha256 *hash, uint8_t digest[CRYO_DIGEST_SIZE])
{
    uint32_t size = hash->size;
    uint32_t filled = size % CRYO_HASH_BLOCK_SIZE;
    unsigned i;

    hash->block[filled++] = 0x80u;
    if (filled > CRYO_HASH_BLOCK_SIZE - LENGTH_SIZE) {
        memset(hash->block + filled, 0, CRYO_HASH_BLOCK_SIZE - filled);
        compress(hash->state, hash->block);
        filled = 0;
    }
    memset(hash->block + filled, 0, CRYO_HASH_BLOCK_SIZE - filled);
    put_big_endian(hash->block + CRYO_HASH_BLOCK_SIZE - 8u, size >> 29);
    put_big_endian(hash->block + CRYO_HASH_BLOCK_SIZE - 4u, size << 3);
    compress(hash->state, hash->block);
    for (i = 0; i < 8u; i++) {
        put_big_endian(digest + 4u * i, hash->state[i]);
    }
}

void cryo_tag_key_prepare(struct cryo_tag_key *prepared, const uint8_t *key, size_t size)
{
    uint8_t block[CRYO_HASH_BLOCK_SIZE];
    size_t i;

    if (size > CRYO_HASH_BLOCK_SIZE) {
        size = CRYO_HASH_BLOCK_SIZE;
    }
    memset(block, INNER_PAD, sizeof block);
    for (i = 0; i < size; i++) {
        block[i] ^= key[i];
    }
    memcpy(prepared->inner, INITIAL, sizeof prepared->inner);
    compress(prepared->inner, block);
    for (i = 0; i < sizeof block; i++) {
        block[i] ^= INNER_PAD ^ OUTER_PAD;
    }
    memcpy(prepared->outer, INITIAL, sizeof prepared->outer);
    compress(prepared->outer, block);
}

/* Begin where one block, the padded key, is already in. */
static void resume(struct cryo_sha256 *hash, const uint32_t state[8])
{
    memcpy(hash->state, state, sizeof hash->state);
    hash->size = CRYO_HASH_BLOCK_SIZE;
}

void cryo_hmac(const struct cryo_tag_key *key, const uint8_t *data, size_t size,
               uint8_t digest[CRYO_DIGEST_SIZE])
{
    struct cryo_sha256 hash;

    resume(&hash, key->inner);
    cryo_sha256_add(&hash, data, size);
    cryo_sha256_end(&hash, digest);
    resume(&hash, key->outer);
    cryo_sha256_add(&hash, digest, CRYO_DIGEST_SIZE);
    cryo_sha256_end(&hash, digest);
}

int cryo_tag_verify(const struct cryo_tag_key *key, const uint8_t *data, size_t size,
                    const uint8_t tag[CRYO_TAG_SIZE])
{
    uint8_t digest[CRYO_DIGEST_SIZE];
    unsigned difference = 0;
    unsigned i;

    cryo_hmac(key, data, size, digest);
    for (i = 0; i < CRYO_TAG_SIZE; i++) {
        difference |= (unsigned)(digest[i] ^ tag[i]);
    }
    return difference == 0u;
}

void cryo_hkdf(const uint8_t key[CRYO_KEY_SIZE], const uint8_t *salt, size_t salt_size,
               const char *info, uint8_t derived[CRYO_DIGEST_SIZE])
{
    uint8_t text[CRYO_HASH_BLOCK_SIZE];
    struct cryo_tag_key prepared;
    size_t size = 0;

    cryo_tag_key_prepare(&prepared, salt, salt_size);
    cryo_hmac(&prepared, key, CRYO_KEY_SIZE, derived); /* extract, RFC 5869 */
    while (size < sizeof text - 1u && info[size] != '\0') {
        text[size] = (uint8_t)info[size];
        size++;
    }
    text[size++] = 1u; /* the first and only round of expand */
    cryo_tag_key_prepare(&prepared, derived, CRYO_DIGEST_SIZE);
    cryo_hmac(&prepared, text, size, derived);
}
