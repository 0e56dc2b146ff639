/* Ten seconds of a port in virtual time, 10 ms a turn, over a wrap of the clock: what it writes goes
 * to standard output. What comes on standard input is given to it in one piece, after a second, and
 * the turn after that comes three seconds late. */
#include <stdio.h>

#include "cryo_port.h"

static uint32_t clock_now_ms = 0xFFFFF000u;

static void write_out(void *user, const uint8_t *data, size_t size)
{
    (void)user;
    fwrite(data, size, 1, stdout);
}

static uint8_t on_command(void *user, const struct cryo_command *command)
{
    (void)user;
    (void)command;
    return CRYO_ANSWER_WRONG_STATE;
}

static void on_stop(void *user, const struct cryo_stop *stop)
{
    cryo_port_report((struct cryo_port *)user, CRYO_EVENT_CODE_STOPPED, CRYO_DEVICE_STATE_SAFE,
                     stop->trip, 0, 0);
}

static uint32_t clock_ms(void *user)
{
    (void)user;
    return clock_now_ms;
}

int main(void)
{
    static const struct cryo_port_callbacks callbacks = {write_out, on_command, on_stop, clock_ms};
    static struct cryo_device_config config;
    static struct cryo_port port;
    static uint8_t heard[8192];
    size_t size = fread(heard, 1, sizeof heard, stdin);
    int turn;

    config.identity.boot_id = 7;
    config.identity.telemetry_period_ms = 20;
    cryo_port_begin(&port, &config, &callbacks, &port);
    for (turn = 1; turn <= 700; turn++) {
        clock_now_ms += turn == 101 ? 3010u : 10u;
        cryo_port_poll(&port, heard, turn == 100 ? size : 0u);
    }
    return 0;
}
