/* The functions that compilers call by themselves; there is no C library on the board. */
#include <stdint.h>
#include <string.h>

/* Else clang takes the loops for what they are and calls the function that it is in. */
#ifdef __clang__
#define LOOP __attribute__((no_builtin))
#else
#define LOOP
#endif

static int is_aligned(const void *left, const void *right)
{
    return (((uintptr_t)left | (uintptr_t)right) & 3u) == 0;
}

LOOP void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    if (is_aligned(to, from)) {
        for (; size >= 4; size -= 4, t += 4, f += 4) {
            *(uint32_t *)(void *)t = *(const uint32_t *)(const void *)f;
        }
    }
    for (; size > 0; size--) {
        *t++ = *f++;
    }
    return to;
}

LOOP void *memset(void *to, int value, size_t size)
{
    unsigned char *t = to;
    if (is_aligned(to, to)) {
        const uint32_t word = (unsigned char)value * 0x01010101u;
        for (; size >= 4; size -= 4, t += 4) {
            *(uint32_t *)(void *)t = word;
        }
    }
    for (; size > 0; size--) {
        *t++ = (unsigned char)value;
    }
    return to;
}

LOOP void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    if (t < f) {
        return memcpy(to, from, size); /* It goes upwards. */
    }
    if (is_aligned(to, from) && size % 4 == 0) {
        for (; size > 0; size -= 4) {
            *(uint32_t *)(void *)(t + size - 4) = *(const uint32_t *)(const void *)(f + size - 4);
        }
    }
    for (; size > 0; size--) {
        t[size - 1] = f[size - 1];
    }
    return to;
}

LOOP int memcmp(const void *left, const void *right, size_t size)
{
    const unsigned char *l = left;
    const unsigned char *r = right;
    for (; size > 0; size--, l++, r++) {
        if (*l != *r) {
            return *l < *r ? -1 : 1;
        }
    }
    return 0;
}
