/* The virtual board's hal.h. */
#include "hal.h"

#include "board.h"

#define TICK_MS 10u
#define RESET_REQUEST 0x05FA0004u
#define SYSTICK_ON 7u /* Counts processor clocks, with its interrupt. */

/* Registers of sensors and actuators are words in the order of these structures. */
#define READINGS (sizeof(struct firmware_readings) / sizeof(uint32_t))
#define OUTPUTS (sizeof(struct firmware_outputs) / sizeof(uint32_t))

static volatile uint32_t tick_is_due;

const struct firmware_config *hal_config(void)
{
    return (const struct firmware_config *)(uintptr_t)BOARD_PROVISIONING;
}

void hal_start_ticks(void)
{
    BOARD_REGISTER(CORE_SYSTICK_RELOAD) = BOARD_CLOCK_HZ / 1000u * TICK_MS - 1u;
    BOARD_REGISTER(CORE_SYSTICK_CONTROL) = SYSTICK_ON;
}

void hal_tick(void)
{
    tick_is_due = 1;
}

void hal_wait_for_tick(void)
{
    /* Without interrupts between the question and the sleep no tick can be missed: WFI ends all
     * the same, and the handler runs at CPSIE. */
    while (tick_is_due == 0) {
        __asm volatile("cpsid i" ::: "memory");
        if (tick_is_due == 0) {
            __asm volatile("wfi" ::: "memory");
        }
        __asm volatile("cpsie i" ::: "memory");
    }
    tick_is_due = 0;
}

uint32_t hal_now_ms(void)
{
    return BOARD_REGISTER(BOARD_CLOCK);
}

void hal_read_sensors(struct firmware_readings *readings)
{
    int32_t *word = (int32_t *)readings;
    for (uint32_t row = 0; row < READINGS; row++) {
        word[row] = (int32_t)BOARD_REGISTER(BOARD_SENSORS + 4u * row);
    }
}

void hal_drive(const struct firmware_outputs *outputs)
{
    const int32_t *word = (const int32_t *)outputs;
    for (uint32_t row = 0; row < OUTPUTS; row++) {
        BOARD_REGISTER(BOARD_ACTUATORS + 4u * row) = (uint32_t)word[row];
    }
}

void hal_all_off(void)
{
    for (uint32_t row = 0; row < OUTPUTS; row++) {
        BOARD_REGISTER(BOARD_ACTUATORS + 4u * row) = 0;
    }
}

size_t hal_receive(uint8_t *data, size_t capacity)
{
    if (BOARD_REGISTER(BOARD_UART_RECEIVED) == 0) {
        return 0;
    }
    BOARD_REGISTER(BOARD_UART_BLOCK_ADDRESS) = (uint32_t)(uintptr_t)data;
    BOARD_REGISTER(BOARD_UART_BLOCK_RECEIVE) = (uint32_t)capacity;
    return BOARD_REGISTER(BOARD_UART_BLOCK_MOVED);
}

void hal_send(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return;
    }
    BOARD_REGISTER(BOARD_UART_BLOCK_ADDRESS) = (uint32_t)(uintptr_t)data;
    BOARD_REGISTER(BOARD_UART_BLOCK_SEND) = (uint32_t)size;
}

void hal_kick_watchdog(void)
{
    BOARD_REGISTER(BOARD_WATCHDOG) = BOARD_WATCHDOG_KEY;
}

void hal_reset(void)
{
    BOARD_REGISTER(CORE_RESET_CONTROL) = RESET_REQUEST;
    for (;;) {
    }
}
