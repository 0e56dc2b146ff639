/* SHA-256, HMAC-SHA256 and HKDF-SHA256 of the cryoctl protocol, see SPEC.md; C99, no heap. */
#ifndef CRYO_HASH_H
#define CRYO_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "cryo_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CRYO_DIGEST_SIZE 32u
#define CRYO_HASH_BLOCK_SIZE 64u

/* A hash under way; at most 512 MiB. */
struct cryo_sha256 {
    uint32_t state[8];
    uint32_t size; /* bytes taken so far */
    uint8_t block[CRYO_HASH_BLOCK_SIZE];
};

/* A key that tags and verifies: the padded key, hashed once for each end of HMAC. */
struct cryo_tag_key {
    uint32_t inner[8];
    uint32_t outer[8];
};

void cryo_sha256_begin(struct cryo_sha256 *hash);
void cryo_sha256_add(struct cryo_sha256 *hash, const void *data, size_t size);
void cryo_sha256_end(struct cryo_sha256 *hash, uint8_t digest[CRYO_DIGEST_SIZE]);

/* Prepare a key of at most 64 bytes. */
void cryo_tag_key_prepare(struct cryo_tag_key *prepared, const uint8_t *key, size_t size);

/* HMAC-SHA256; a tag is its first CRYO_TAG_SIZE bytes. */
void cryo_hmac(const struct cryo_tag_key *key, const uint8_t *data, size_t size,
               uint8_t digest[CRYO_DIGEST_SIZE]);

/* 1 if `tag` is the tag of `data`, else 0; takes the same time either way. */
int cryo_tag_verify(const struct cryo_tag_key *key, const uint8_t *data, size_t size,
                    const uint8_t tag[CRYO_TAG_SIZE]);

/* HKDF-SHA256 of one digest's length; `salt_size` at most 64, `info` a C string of at most 63. */
void cryo_hkdf(const uint8_t key[CRYO_KEY_SIZE], const uint8_t *salt, size_t salt_size,
               const char *info, uint8_t derived[CRYO_DIGEST_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
