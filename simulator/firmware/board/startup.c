/* Vectors, memory at reset, and what happens when something is wrong beyond repair. */
#include <stdint.h>
#include <string.h>

#include "hal.h"

extern uint32_t stack_top;
extern uint8_t data_start, data_end, data_load, bss_start, bss_end;

int main(void);
void Reset_Handler(void);
void HardFault_Handler(void);
void SysTick_Handler(void);

typedef void (*vector)(void);

#define CORE_VECTORS 16

__attribute__((section(".vectors"), used)) static const vector vectors[CORE_VECTORS] = {
    [0] = (vector)(uintptr_t)&stack_top,
    [1] = Reset_Handler,
    [2] = HardFault_Handler, /* NMI */
    [3] = HardFault_Handler,
    [4] = HardFault_Handler, /* MemManage */
    [5] = HardFault_Handler, /* BusFault */
    [6] = HardFault_Handler, /* UsageFault */
    [11] = HardFault_Handler, /* SVCall */
    [12] = HardFault_Handler, /* DebugMonitor */
    [14] = HardFault_Handler, /* PendSV */
    [15] = SysTick_Handler,
};

void Reset_Handler(void)
{
    memcpy(&data_start, &data_load, (size_t)(&data_end - &data_start));
    memset(&bss_start, 0, (size_t)(&bss_end - &bss_start));
    main();
    hal_reset();
}

void HardFault_Handler(void)
{
    hal_all_off();
    hal_reset();
}

void SysTick_Handler(void)
{
    hal_tick();
}
