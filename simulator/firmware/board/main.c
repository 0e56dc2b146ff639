/* The probe's firmware on a board: everything it decides is in firmware_tick. */
#include "hal.h"

struct firmware firmware; /* A debugger and the simulator know it by this name. */

static uint8_t incoming[CRYO_RECEIVE_MAX];

int main(void)
{
    struct firmware_readings readings;
    firmware_init(&firmware, hal_config());
    hal_start_ticks();
    for (;;) {
        hal_wait_for_tick();
        const size_t size = hal_receive(incoming, sizeof incoming);
        hal_read_sensors(&readings);
        firmware_tick(&firmware, hal_now_ms(), &readings, incoming, size);
        hal_drive(&firmware.state.outputs);
        hal_send(firmware.session.out, firmware.session.out_size);
        firmware.session.out_size = 0;
        /* Here and nowhere else: a step that is skipped or hangs must end in a reset. */
        hal_kick_watchdog();
    }
}
