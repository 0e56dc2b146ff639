/* The probe's firmware as a program of this computer: a board for who has none yet. POSIX.
 *
 * host PAGE: reads the provisioning page from a file, makes two pseudo-terminals, the protocol port
 * and the channel, says where they are and runs in real time, until it is killed.
 */
#define _XOPEN_SOURCE 600

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "firmware.h"
#include "hal_injected.h"

#define TICK_US 10000
#define LATE_US_MAX 50000  /* ticks of so long are made up for */
#define WATCHDOG_US 150000 /* the board's own: so long without a whole tick, and it restarts */

struct port {
    int terminal;
    int holder; /* our own hold on the far end: what is written while nobody listens is kept */
};

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(3);
}

/* Time in which this computer stood still, which is no fault of a board: nothing that the board
 * measures time by runs in it. */
static int64_t lost_us;

static int64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - lost_us;
}

static void sleep_until(int64_t due_us)
{
    for (;;) {
        const int64_t left_us = due_us - clock_us();
        if (left_us <= 0) {
            return;
        }
        const struct timespec left = {(time_t)(left_us / 1000000),
                                      (long)(left_us % 1000000) * 1000};
        nanosleep(&left, NULL);
    }
}

/* Every byte goes through as it is: no echo, no lines, no signals. */
static void make_raw(int terminal)
{
    struct termios settings;

    if (tcgetattr(terminal, &settings) != 0) {
        fail("tcgetattr");
    }
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    settings.c_cflag |= CS8;
    if (tcsetattr(terminal, TCSANOW, &settings) != 0) {
        fail("tcsetattr");
    }
}

static void open_port(struct port *port, const char *name)
{
    port->terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (port->terminal < 0 || grantpt(port->terminal) != 0 || unlockpt(port->terminal) != 0) {
        fail("posix_openpt");
    }
    const char *path = ptsname(port->terminal);
    port->holder = open(path, O_RDWR | O_NOCTTY);
    if (port->holder < 0) {
        fail(path);
    }
    make_raw(port->holder);
    if (fcntl(port->terminal, F_SETFL, O_NONBLOCK) < 0) {
        fail("fcntl");
    }
    printf("%s %s\n", name, path);
}

static size_t read_port(void *context, uint8_t *data, size_t capacity)
{
    const ssize_t size = read(((struct port *)context)->terminal, data, capacity);

    return size > 0 ? (size_t)size : 0;
}

/* What the far end does not take is lost, as on a line. */
static void write_port(void *context, const uint8_t *data, size_t size)
{
    const ssize_t written = write(((struct port *)context)->terminal, data, size);

    (void)written;
}

static void read_page(struct firmware_config *page, const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        fail(path);
    }
    if (fread(page, sizeof *page, 1, file) != 1 || fgetc(file) != EOF) {
        fprintf(stderr, "%s: no provisioning page (%u bytes)\n", path, (unsigned)sizeof *page);
        exit(2);
    }
    fclose(file);
}

/* No boot id and no nonce may come twice. */
static void draw(struct firmware_config *page)
{
    FILE *file = fopen("/dev/urandom", "rb");
    struct cryo_device_config *device = &page->device;

    if (file == NULL || fread(&device->identity.boot_id, 4, 1, file) != 1 ||
        fread(device->nonce_seed, sizeof device->nonce_seed, 1, file) != 1) {
        fail("/dev/urandom");
    }
    fclose(file);
}

/* Run from power-up until a reset. */
static void run(struct firmware_config *page, struct port *link, struct port *channel)
{
    static struct firmware firmware;
    static struct injected injected;
    static uint8_t incoming[CRYO_RECEIVE_MAX];
    const struct injected_port port = {read_port, write_port, channel};
    struct firmware_readings readings;
    const int64_t boot_us = clock_us();
    int64_t due_us = boot_us;
    int64_t last_us = boot_us;
    int64_t kicked_us = boot_us;

    draw(page);
    injected_init(&injected, &port, "probe-1 host");
    firmware_init(&firmware, page);
    for (;;) {
        due_us += TICK_US;
        sleep_until(due_us);
        int64_t now_us = clock_us();
        if (now_us - due_us > LATE_US_MAX) {
            /* Ticks that were being made up for have been told a later time than `due_us`. */
            due_us = last_us > due_us ? last_us : due_us;
            lost_us += now_us - due_us;
            now_us = due_us;
        }
        last_us = now_us;
        const enum injected_order order = injected_begin(&injected, (uint32_t)now_us, &readings);
        if (order == INJECTED_RESET || now_us - kicked_us > WATCHDOG_US) {
            return;
        }
        if (order == INJECTED_HANG) {
            continue;
        }
        const size_t size = read_port(link, incoming, sizeof incoming);
        const uint32_t now_ms = (uint32_t)((now_us - boot_us) / 1000);
        firmware_tick(&firmware, now_ms, &readings, incoming, size);
        injected_end(&injected, &firmware.state.outputs);
        write_port(link, firmware.session.out, firmware.session.out_size);
        firmware.session.out_size = 0;
        kicked_us = now_us;
    }
}

int main(int count, char **arguments)
{
    struct firmware_config page;
    struct port link;
    struct port channel;

    if (count != 2) {
        fprintf(stderr, "usage: %s PAGE\n", arguments[0]);
        return 2;
    }
    read_page(&page, arguments[1]);
    open_port(&link, "link");
    open_port(&channel, "channel");
    fflush(stdout);
    for (;;) {
        run(&page, &link, &channel);
    }
}
