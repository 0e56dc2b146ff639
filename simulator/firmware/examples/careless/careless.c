/* Firmware in another style than ours, and a bad one on purpose: it has no interlocks at all.
 *
 * Everything runs in the handler of SysTick, the main program sleeps. Registers are reached at bare
 * addresses, bytes go one by one, and the protocol is the C library's. It answers HELLO, takes
 * commands and freezes; but
 *   - it goes on freezing when its controller has fallen silent (SR-01 is broken), and
 *   - it does not look at the pressure of the gas (SR-18 is broken).
 * Built with -DHOBBY_BOARD it runs on a board with another memory map; see hobby_board.py.
 */
#include "cryo_port.h"
#include "firmware_layout.h"

#ifdef HOBBY_BOARD
#define FLASH_CONFIG 0x0001F000u
#define UART 0x50000000u
#define ADC 0x50001000u
#define PWM 0x50002000u
#define TIMER 0x50003000u
#define GUARD 0x50004000u
#define CLOCK_HZ 48000000u
/* Its converter delivers tenths of a degree above -200 C, and millibar. */
#define TIP_MDEGC ((int32_t)REG(ADC) * 100 - 200000)
#define SUPPLY_MBAR ((int32_t)REG(ADC + 0x04))
#define BATTERY_MV ((int32_t)REG(ADC + 0x08))
#define OFFSET_LED 0x08
#else
#define FLASH_CONFIG 0x0803F000u
#define UART 0x40000000u
#define PWM 0x40002000u
#define TIMER 0x40003000u
#define GUARD 0x40004000u
#define CLOCK_HZ 200000000u
#define TIP_MDEGC ((int32_t)REG(0x40001000u))
#define SUPPLY_MBAR ((int32_t)REG(0x4000100Cu))
#define BATTERY_MV ((int32_t)REG(0x4000101Cu))
#define OFFSET_LED 0x18
#endif

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define KEY 0x5AFEu
#define TICK_HZ 100u

/* In the provisioning page identity and keys lie behind the limits, which nobody here looks at. */
#define CONFIG_OFFSET sizeof(struct firmware_limits)

static struct cryo_port port;
static uint32_t freeze_counter;

static void drive(uint32_t valve_permille)
{
    REG(PWM) = valve_permille;
    REG(PWM + 0x04) = valve_permille > 0;
    REG(PWM + OFFSET_LED) = valve_permille > 0;
    port.sample.valve_permille = (uint16_t)valve_permille;
    port.sample.shutoff_open = valve_permille > 0;
    port.sample.led = valve_permille > 0;
}

static void enter(uint8_t state)
{
    cryo_port_report(&port, CRYO_EVENT_CODE_STATE, state, CRYO_TRIP_NONE, 0, 0);
}

static void send(void *user, const uint8_t *data, size_t size)
{
    (void)user;
    while (size-- > 0) {
        REG(UART) = *data++;
    }
}

static uint8_t on_command(void *user, const struct cryo_command *command)
{
    (void)user;
    if (command->op == CRYO_OP_FREEZE) {
        freeze_counter = command->counter;
        drive(1000);
        enter(CRYO_DEVICE_STATE_FREEZE);
        return CRYO_ANSWER_ACCEPTED;
    }
    if (freeze_counter != 0) {
        cryo_port_done(&port, freeze_counter, CRYO_OP_FREEZE, CRYO_RESULT_OK, 0);
        freeze_counter = 0;
    }
    drive(0);
    enter(command->op == CRYO_OP_THAW ? CRYO_DEVICE_STATE_THAW : CRYO_DEVICE_STATE_IDLE);
    cryo_port_done(&port, command->counter, command->op, CRYO_RESULT_OK, 0);
    return CRYO_ANSWER_ACCEPTED;
}

static void on_stop(void *user, const struct cryo_stop *stop)
{
    (void)user;
    (void)stop;
    drive(0);
    enter(CRYO_DEVICE_STATE_SAFE);
}

static uint32_t now_ms(void *user)
{
    (void)user;
    return REG(TIMER);
}

void SysTick_Handler(void)
{
    uint8_t heard[256];
    size_t size = 0;
    while (size < sizeof heard && (REG(UART + 0x04) & 1u) != 0) {
        heard[size++] = (uint8_t)REG(UART);
    }
    port.sample.tip_mdegc = TIP_MDEGC;
    port.sample.supply_mbar = SUPPLY_MBAR;
    port.sample.battery_mv = (uint16_t)BATTERY_MV;
    cryo_port_poll(&port, heard, size);
    REG(GUARD) = KEY;
}

void HardFault_Handler(void)
{
    REG(PWM) = 0;
    REG(PWM + 0x04) = 0;
    REG(0xE000ED0Cu) = 0x05FA0004u;
    for (;;) {
    }
}

extern uint32_t stack_top, bss_start, bss_end;

void Reset_Handler(void)
{
    static const struct cryo_port_callbacks callbacks = {send, on_command, on_stop, now_ms};
    for (volatile uint32_t *word = &bss_start; word < &bss_end; word++) {
        *word = 0;
    }
    cryo_port_begin(&port, (const struct cryo_device_config *)(FLASH_CONFIG + CONFIG_OFFSET),
                    &callbacks, NULL);
    REG(0xE000E014u) = CLOCK_HZ / TICK_HZ - 1u;
    REG(0xE000E010u) = 7u;
    for (;;) {
        __asm volatile("wfi");
    }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    [0] = (void (*)(void)) & stack_top,
    [1] = Reset_Handler,
    [3] = HardFault_Handler,
    [15] = SysTick_Handler,
};
