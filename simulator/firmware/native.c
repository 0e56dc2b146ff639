/* What a shared library of the firmware gives to the simulator. */
#include "parts.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT size_t native_size(void);
EXPORT void native_init(struct firmware *f, const struct firmware_config *config);
EXPORT size_t native_tick(struct firmware *f, uint32_t now_ms,
                          const struct firmware_readings *readings, const uint8_t *incoming,
                          size_t size, uint8_t *out);

/* Return the size of everything that a firmware remembers, in bytes. */
size_t native_size(void)
{
    return sizeof(struct firmware);
}

/* Power-up. */
void native_init(struct firmware *f, const struct firmware_config *config)
{
    firmware_init(f, config);
}

/* Run 10 ms; put what goes out into `out`, of CRYO_SEND_MAX bytes, and return how much it is. */
size_t native_tick(struct firmware *f, uint32_t now_ms, const struct firmware_readings *readings,
                   const uint8_t *incoming, size_t size, uint8_t *out)
{
    firmware_tick(f, now_ms, readings, incoming, size);
    return cryo_device_take(&f->session, out, CRYO_SEND_MAX);
}
