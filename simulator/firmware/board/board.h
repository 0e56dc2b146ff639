/* Memory map of the virtual board; docs/reference/virtual-board.md says what each register does. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define BOARD_CLOCK_HZ 200000000u
#define BOARD_PROVISIONING 0x0803F000u

#define BOARD_UART 0x40000000u
#define BOARD_UART_DATA (BOARD_UART + 0x00u)
#define BOARD_UART_STATUS (BOARD_UART + 0x04u)
#define BOARD_UART_RECEIVED (BOARD_UART + 0x08u)
#define BOARD_UART_ROOM (BOARD_UART + 0x0Cu)
#define BOARD_UART_BLOCK_ADDRESS (BOARD_UART + 0x10u)
#define BOARD_UART_BLOCK_RECEIVE (BOARD_UART + 0x14u)
#define BOARD_UART_BLOCK_SEND (BOARD_UART + 0x18u)
#define BOARD_UART_BLOCK_MOVED (BOARD_UART + 0x1Cu)

#define BOARD_SENSORS 0x40001000u
#define BOARD_ACTUATORS 0x40002000u
#define BOARD_CLOCK 0x40003000u
#define BOARD_WATCHDOG 0x40004000u
#define BOARD_WATCHDOG_KEY 0x5AFEu
#define BOARD_RESET_CAUSE 0x40005000u
#define BOARD_PANIC 0x40005004u

/* The processor's own, as in every Cortex-M. */
#define CORE_SYSTICK_CONTROL 0xE000E010u
#define CORE_SYSTICK_RELOAD 0xE000E014u
#define CORE_RESET_CONTROL 0xE000ED0Cu

#define BOARD_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#endif
