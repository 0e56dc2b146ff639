/* The smallest probe on a Unix machine: the link is standard input and output.
 *
 * It greets, sends telemetry of a tip that lies at 21.5 degC, takes SELF_TEST, refuses every other
 * command and obeys STOP. It has no valve: a probe with one must also have the timers and the
 * interlocks that SPEC.md asks for.
 */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cryo_port.h"

static const uint8_t DEMO_KEY[CRYO_KEY_SIZE] = CRYO_DEMO_KEY; /* known to everybody: for a bench */

static void write_out(void *user, const uint8_t *data, size_t size)
{
    (void)user;
    while (size > 0u) {
        ssize_t done = write(STDOUT_FILENO, data, size);
        if (done <= 0) {
            return; /* nobody listens any more */
        }
        data += done;
        size -= (size_t)done;
    }
}

static uint32_t clock_ms(void *user)
{
    struct timespec now;

    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec * 1000u + (uint32_t)(now.tv_nsec / 1000000);
}

static uint8_t on_command(void *user, const struct cryo_command *command)
{
    struct cryo_port *port = (struct cryo_port *)user;

    if (command->op != CRYO_OP_SELF_TEST) {
        return CRYO_ANSWER_NOT_PROVIDED;
    }
    cryo_port_done(port, command->counter, command->op, CRYO_RESULT_OK, 0);
    return CRYO_ANSWER_ACCEPTED;
}

static void on_stop(void *user, const struct cryo_stop *stop)
{
    struct cryo_port *port = (struct cryo_port *)user;

    /* Here a real probe shuts its valve and switches its heater off, before it says so. */
    cryo_port_report(port, CRYO_EVENT_CODE_STOPPED, CRYO_DEVICE_STATE_SAFE, stop->trip, 0, 0);
}

static int fill_with_random(void *bytes, size_t size)
{
    FILE *source = fopen("/dev/urandom", "rb");
    int is_filled = source != NULL && fread(bytes, size, 1, source) == 1u;

    if (source != NULL) {
        fclose(source);
    }
    return is_filled;
}

int main(void)
{
    static const struct cryo_port_callbacks callbacks = {write_out, on_command, on_stop, clock_ms};
    static struct cryo_device_config config;
    static struct cryo_port port;
    struct cryo_hello *identity = &config.identity;
    uint32_t boot_id;

    /* A nonce that comes twice lets a recorded session be played again. */
    if (!fill_with_random(config.nonce_seed, sizeof config.nonce_seed) ||
        !fill_with_random(&boot_id, sizeof boot_id)) {
        fputs("probe: cannot read /dev/urandom\n", stderr);
        return 1;
    }
    identity->major = CRYO_PROTOCOL_MAJOR;
    identity->minor = CRYO_PROTOCOL_MINOR;
    identity->schema_hash = CRYO_SCHEMA_HASH;
    identity->profile_hash = CRYO_PROFILE_N2O_20G_HASH;
    identity->boot_id = boot_id;
    identity->key_id = CRYO_DEMO_KEY_ID;
    identity->capabilities =
        CRYO_CAPABILITY_LEASE | CRYO_CAPABILITY_AUTHENTICATION | CRYO_CAPABILITY_SELF_TEST;
    identity->sensors = CRYO_SENSOR_TIP;
    identity->telemetry_period_ms = 20;
    memcpy(identity->device_id, "STDIO-1", 7);
    memcpy(identity->firmware_id, "stdio-example", 13);
    memcpy(identity->profile_id, "n2o-20g", 7);
    memcpy(config.key, DEMO_KEY, sizeof DEMO_KEY);
    cryo_port_begin(&port, &config, &callbacks, &port);
    for (;;) {
        uint8_t bytes[256];
        struct pollfd input = {STDIN_FILENO, POLLIN, 0};
        ssize_t size = 0;
        if (poll(&input, 1, 10) > 0) {
            size = read(STDIN_FILENO, bytes, sizeof bytes);
            if (size <= 0) {
                return 0; /* the other end has gone */
            }
        }
        port.sample.tip_mdegc = 21500;
        cryo_port_poll(&port, bytes, (size_t)size);
    }
}
