/* Wire protocol of cryoctl, see SPEC.md.
 * Written by `python -m cryoctl_protocol.generate`; change the message table instead.
 *
 * Everything is little-endian. The structures are packed: on a little-endian machine a payload may
 * be copied into one; elsewhere read the fields at their offsets.
 */
#ifndef CRYO_PROTOCOL_H
#define CRYO_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

/* A line that does not compile where `condition` is false; C99 has no _Static_assert. */
#define CRYO_ASSERT(name, condition) typedef char cryo_assert_##name[(condition) ? 1 : -1]

/* Versions. */
#define CRYO_PROTOCOL_MAJOR 1u
#define CRYO_PROTOCOL_MINOR 0u
#define CRYO_SCHEMA_HASH 0x370BBA17u

/* Frame: COBS(header payload [tag] crc) 0x00. */
#define CRYO_FRAME_VERSION 1u
#define CRYO_FLAG_TAGGED 1u
#define CRYO_OFFSET_VERSION_FLAGS 0u
#define CRYO_OFFSET_MESSAGE_ID 1u
#define CRYO_OFFSET_SEQ 2u
#define CRYO_OFFSET_SESSION 4u
#define CRYO_HEADER_SIZE 8u
#define CRYO_TAG_SIZE 8u
#define CRYO_CRC_SIZE 4u
#define CRYO_BODY_SIZE_MAX 216u
#define CRYO_WIRE_SIZE_MAX 221u
#define CRYO_DELIMITER 0x00u
#define CRYO_CRC_POLYNOMIAL_REFLECTED 0xEDB88320u
#define CRYO_CRC_INIT 0xFFFFFFFFu
#define CRYO_CRC_XOR_OUT 0xFFFFFFFFu
#define CRYO_CRC_CHECK 0xCBF43926u
#define CRYO_CRC_RESIDUE 0x2144DF1Cu
#define CRYO_VENDOR_ID_FIRST 0xC0u
#define CRYO_VENDOR_ID_LAST 0xEFu

/* Times, in milliseconds where the name says so. */
#define CRYO_LEASE_LIFE_MS_MAX 300u
#define CRYO_OWNER_LIFE_MS 1000u
#define CRYO_RESULTS_KEPT 16u
#define CRYO_EXECUTING_MAX 64u
#define CRYO_BAD_TAGS_MAX 3u
#define CRYO_BAD_TAG_WINDOW_MS 10000u
#define CRYO_LOCK_OUT_MS 2000u
#define CRYO_REJECT_WINDOW_MS 1000u

/* Bytes that a device reads and sends in one tick, at most; a smaller one may define
 * less: one frame to read, 256 bytes to send. */
#ifndef CRYO_RECEIVE_MAX
#define CRYO_RECEIVE_MAX 1024u
#endif
#ifndef CRYO_SEND_MAX
#define CRYO_SEND_MAX 4096u
#endif

/* Key derivation: HKDF-SHA256, see SPEC.md. */
#define CRYO_DEMO_KEY_ID 0u
#define CRYO_DEMO_KEY {0x0F, 0xAD, 0x2D, 0x2F, 0x71, 0xEE, 0xDC, 0x9E, 0x99, 0x4E, 0x0B, 0xBC, 0x6D, 0xB3, 0x39, 0x68, 0x00, 0x7E, 0x25, 0x2D, 0xC9, 0x41, 0x91, 0x8D, 0xA5, 0x69, 0xE1, 0x68, 0x2F, 0x44, 0x7D, 0xA9}
#define CRYO_KEY_SIZE 32u
#define CRYO_KEYS_MAX 2u
#define CRYO_INFO_DOWN "cryoctl/1 h2d"
#define CRYO_INFO_UP "cryoctl/1 d2h"
#define CRYO_INFO_STOP "cryoctl/1 stop"
#define CRYO_SESSION_PREFIX "cryoctl/1 session"

/* What the probe is doing, by its own account. */
enum cryo_device_state {
    CRYO_DEVICE_STATE_IDLE = 0,
    CRYO_DEVICE_STATE_SELF_TEST = 1,
    CRYO_DEVICE_STATE_LEAK_TEST = 2,
    CRYO_DEVICE_STATE_ARMED = 3,
    CRYO_DEVICE_STATE_STARTED = 4,
    CRYO_DEVICE_STATE_PREWARM = 5,
    CRYO_DEVICE_STATE_FREEZE = 6,
    CRYO_DEVICE_STATE_THAW = 7,
    CRYO_DEVICE_STATE_SAFE = 8,
    CRYO_DEVICE_STATE_FAULT = 9,
    CRYO_DEVICE_STATE_STIMULATE = 10,
};

/* What the controller claims, with every lease, that the probe should be doing. */
enum cryo_host_mode {
    CRYO_HOST_MODE_IDLE = 0,
    CRYO_HOST_MODE_FREEZE = 1,
    CRYO_HOST_MODE_THAW = 2,
};

/* Operations a command can ask for; STOP has a message of its own. */
enum cryo_op {
    CRYO_OP_SELF_TEST = 1,
    CRYO_OP_LEAK_TEST = 2,
    CRYO_OP_ARM = 3,
    CRYO_OP_START = 4,
    CRYO_OP_PREWARM = 5,
    CRYO_OP_FREEZE = 6,
    CRYO_OP_SETPOINT = 7,
    CRYO_OP_THAW = 8,
    CRYO_OP_END = 9,
    CRYO_OP_CLEAR = 10,
    CRYO_OP_STOP = 11,
    CRYO_OP_STIMULATE = 12,
};

/* First stage of an answer: whether the command was taken. */
enum cryo_answer {
    CRYO_ANSWER_ACCEPTED = 0,
    CRYO_ANSWER_WRONG_STATE = 1,
    CRYO_ANSWER_OUT_OF_RANGE = 2,
    CRYO_ANSWER_NOT_AUTHORISED = 3,
    CRYO_ANSWER_STALE = 4,
    CRYO_ANSWER_OLD_COUNTER = 5,
    CRYO_ANSWER_FAULT_LATCHED = 6,
    CRYO_ANSWER_NOT_PROVIDED = 7,
    CRYO_ANSWER_PRESSURE = 8,
    CRYO_ANSWER_BATTERY = 9,
    CRYO_ANSWER_SENSOR = 10,
    CRYO_ANSWER_TIP_COLD = 11,
};

/* Second stage of an answer: how the actuation ended. */
enum cryo_result {
    CRYO_RESULT_OK = 0,
    CRYO_RESULT_FAILED = 1,
    CRYO_RESULT_ABORTED = 2,
};

/* What a probe does when it is made safe: all outputs off, or a thaw it runs by itself. */
enum cryo_safe_action {
    CRYO_SAFE_ACTION_OFF = 0,
    CRYO_SAFE_ACTION_THAW = 1,
};

/* How a thaw warms the tip: by the tissue alone, or with the tip heater. */
enum cryo_thaw_mode {
    CRYO_THAW_MODE_PASSIVE = 0,
    CRYO_THAW_MODE_ACTIVE = 1,
};

/* What a stimulus of the nerve does: nothing, something felt, a muscle's twitch. */
enum cryo_stimulus_response {
    CRYO_STIMULUS_RESPONSE_NONE = 0,
    CRYO_STIMULUS_RESPONSE_SENSORY = 1,
    CRYO_STIMULUS_RESPONSE_MOTOR = 2,
};

/* What an EVENT message reports. */
enum cryo_event_code {
    CRYO_EVENT_CODE_BOOT = 1,
    CRYO_EVENT_CODE_SESSION_OPENED = 2,
    CRYO_EVENT_CODE_SESSION_DROPPED = 3,
    CRYO_EVENT_CODE_STATE = 4,
    CRYO_EVENT_CODE_TRIP = 5,
    CRYO_EVENT_CODE_STOPPED = 6,
    CRYO_EVENT_CODE_CLEARED = 7,
    CRYO_EVENT_CODE_OWNER_LAPSED = 8,
};

/* Causes that make a probe safe; the first one stays on record until cleared. */
enum cryo_trip {
    CRYO_TRIP_NONE = 0,
    CRYO_TRIP_TIP_FLOOR = 1,
    CRYO_TRIP_VALVE_STUCK = 2,
    CRYO_TRIP_LEAK = 3,
    CRYO_TRIP_FREEZE_TIMER = 4,
    CRYO_TRIP_TIP_SENSOR = 5,
    CRYO_TRIP_TIP_FROZEN_READING = 6,
    CRYO_TRIP_NO_COOLING = 7,
    CRYO_TRIP_HEATER = 8,
    CRYO_TRIP_SKIN_COLD = 9,
    CRYO_TRIP_OVERPRESSURE = 10,
    CRYO_TRIP_EXHAUST_BLOCKED = 11,
    CRYO_TRIP_FLOW_HIGH = 12,
    CRYO_TRIP_INTEGRITY = 13,
    CRYO_TRIP_LEASE = 14,
    CRYO_TRIP_BATTERY = 15,
    CRYO_TRIP_MODE_MISMATCH = 16,
    CRYO_TRIP_LINK = 17,
    CRYO_TRIP_TICK_LATE = 18,
    CRYO_TRIP_COMMAND_FAILED = 19,
    CRYO_TRIP_OPERATOR_STOP = 20,
    CRYO_TRIP_INTERNAL = 21,
    CRYO_TRIP_THAW_TIMEOUT = 22,
    CRYO_TRIP_DEVICE_RESTART = 23,
    CRYO_TRIP_SENSOR_OPEN = 24,
    CRYO_TRIP_OUTPUTS_OVERLAP = 25,
    CRYO_TRIP_SKIN_HOT = 26,
    CRYO_TRIP_READING_FROZEN = 27,
};

/* What a device says it has. */
enum cryo_capability {
    CRYO_CAPABILITY_LEASE = 1,
    CRYO_CAPABILITY_FREEZE_TIMER = 2,
    CRYO_CAPABILITY_SECOND_SHUTOFF = 4,
    CRYO_CAPABILITY_AUTHENTICATION = 8,
    CRYO_CAPABILITY_TIP_HEATER = 16,
    CRYO_CAPABILITY_SKIN_WARMER = 32,
    CRYO_CAPABILITY_INNER_LOOP = 64,
    CRYO_CAPABILITY_SELF_TEST = 128,
    CRYO_CAPABILITY_LEAK_TEST = 256,
    CRYO_CAPABILITY_BEEPER = 512,
    CRYO_CAPABILITY_LED = 1024,
    CRYO_CAPABILITY_STIMULATOR = 2048,
};

/* Sensors a device says it has; the same bits mark an open circuit in telemetry. */
enum cryo_sensor {
    CRYO_SENSOR_TIP = 1,
    CRYO_SENSOR_TIP_2 = 2,
    CRYO_SENSOR_SKIN = 4,
    CRYO_SENSOR_SUPPLY_PRESSURE = 8,
    CRYO_SENSOR_EXHAUST_PRESSURE = 16,
    CRYO_SENSOR_EXHAUST_FLOW = 32,
    CRYO_SENSOR_CARTRIDGE_TEMP = 64,
    CRYO_SENSOR_BATTERY = 128,
    CRYO_SENSOR_BUTTON = 256,
    CRYO_SENSOR_RESPONSE = 512,
};

/* How a trip makes the probe safe. */
#define CRYO_TRIP_ACTION_TIP_FLOOR CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_VALVE_STUCK CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_LEAK CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_FREEZE_TIMER CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_TIP_SENSOR CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_TIP_FROZEN_READING CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_NO_COOLING CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_HEATER CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_SKIN_COLD CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_OVERPRESSURE CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_EXHAUST_BLOCKED CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_FLOW_HIGH CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_INTEGRITY CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_LEASE CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_BATTERY CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_MODE_MISMATCH CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_LINK CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_TICK_LATE CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_COMMAND_FAILED CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_OPERATOR_STOP CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_INTERNAL CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_THAW_TIMEOUT CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_DEVICE_RESTART CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_SENSOR_OPEN CRYO_SAFE_ACTION_THAW
#define CRYO_TRIP_ACTION_OUTPUTS_OVERLAP CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_SKIN_HOT CRYO_SAFE_ACTION_OFF
#define CRYO_TRIP_ACTION_READING_FROZEN CRYO_SAFE_ACTION_THAW

/* Why bytes were not taken as a frame; never on the wire. */
enum cryo_reject {
    CRYO_REJECT_NONE = 0,
    CRYO_REJECT_COBS = 1,
    CRYO_REJECT_CRC = 2,
    CRYO_REJECT_OVERSIZE = 3,
    CRYO_REJECT_SHORT = 4,
    CRYO_REJECT_VERSION = 5,
    CRYO_REJECT_FLAGS = 6,
    CRYO_REJECT_UNKNOWN_ID = 7,
    CRYO_REJECT_SIZE = 8,
    CRYO_REJECT_RANGE = 9,
    CRYO_REJECT_TAG = 10,
    CRYO_REJECT_SESSION = 11,
    CRYO_REJECT_UNTAGGED = 12,
    CRYO_REJECT_REPLAY = 13,
    CRYO_REJECT_DIRECTION = 14,
};
#define CRYO_REJECTS 15u

/* Message ids. */
enum cryo_message_id {
    CRYO_ID_HELLO_HOST = 0x01,
    CRYO_ID_HELLO = 0x02,
    CRYO_ID_VITALS = 0x03,
    CRYO_ID_TELEMETRY = 0x10,
    CRYO_ID_EVENT = 0x11,
    CRYO_ID_COMMAND = 0x20,
    CRYO_ID_LEASE = 0x21,
    CRYO_ID_STOP = 0x22,
    CRYO_ID_ACK = 0x30,
    CRYO_ID_DONE = 0x31,
};

/* Controller greets, before any session. Layout frozen for ever. */
#define CRYO_HELLO_HOST_SIZE 14u
#define CRYO_HELLO_HOST_MAJOR_OFFSET 0u
#define CRYO_HELLO_HOST_MINOR_OFFSET 1u
#define CRYO_HELLO_HOST_SCHEMA_HASH_OFFSET 2u
#define CRYO_HELLO_HOST_HOST_NONCE_OFFSET 6u
#pragma pack(push, 1)
struct cryo_hello_host {
    uint8_t major; /* protocol major version */
    uint8_t minor; /* protocol minor version */
    uint32_t schema_hash; /* hash of this message table */
    uint64_t host_nonce; /* fresh random number of the controller */
};
#pragma pack(pop)
CRYO_ASSERT(hello_host_size, sizeof(struct cryo_hello_host) == CRYO_HELLO_HOST_SIZE);
CRYO_ASSERT(hello_host_major, offsetof(struct cryo_hello_host, major) == CRYO_HELLO_HOST_MAJOR_OFFSET);
CRYO_ASSERT(hello_host_minor, offsetof(struct cryo_hello_host, minor) == CRYO_HELLO_HOST_MINOR_OFFSET);
CRYO_ASSERT(hello_host_schema_hash, offsetof(struct cryo_hello_host, schema_hash) == CRYO_HELLO_HOST_SCHEMA_HASH_OFFSET);
CRYO_ASSERT(hello_host_host_nonce, offsetof(struct cryo_hello_host, host_nonce) == CRYO_HELLO_HOST_HOST_NONCE_OFFSET);

/* Device says who it is, on boot and in answer to HELLO_HOST. Layout frozen for ever. */
#define CRYO_HELLO_SIZE 90u
#define CRYO_HELLO_MAJOR_OFFSET 0u
#define CRYO_HELLO_MINOR_OFFSET 1u
#define CRYO_HELLO_SCHEMA_HASH_OFFSET 2u
#define CRYO_HELLO_PROFILE_HASH_OFFSET 6u
#define CRYO_HELLO_BOOT_ID_OFFSET 10u
#define CRYO_HELLO_HOST_NONCE_OFFSET 14u
#define CRYO_HELLO_DEVICE_NONCE_OFFSET 22u
#define CRYO_HELLO_KEY_ID_OFFSET 30u
#define CRYO_HELLO_OWNED_OFFSET 31u
#define CRYO_HELLO_OWNED_MIN 0
#define CRYO_HELLO_OWNED_MAX 1
#define CRYO_HELLO_CAPABILITIES_OFFSET 32u
#define CRYO_HELLO_SENSORS_OFFSET 36u
#define CRYO_HELLO_TELEMETRY_PERIOD_MS_OFFSET 40u
#define CRYO_HELLO_DEVICE_ID_OFFSET 42u
#define CRYO_HELLO_FIRMWARE_ID_OFFSET 58u
#define CRYO_HELLO_PROFILE_ID_OFFSET 74u
#pragma pack(push, 1)
struct cryo_hello {
    uint8_t major; /* protocol major version */
    uint8_t minor; /* protocol minor version */
    uint32_t schema_hash; /* hash of this message table */
    uint32_t profile_hash; /* hash of the probe profile's limits */
    uint32_t boot_id; /* differs after every restart */
    uint64_t host_nonce; /* echo of the nonce answered, 0 on boot */
    uint64_t device_nonce; /* fresh random number of the device */
    uint8_t key_id; /* which key it holds; 0 is the public demo key */
    uint8_t owned; /* 1 while another controller's lease is alive */
    uint32_t capabilities; /* what it has (`Capability` bits) */
    uint32_t sensors; /* sensors it has (`Sensor` bits) */
    uint16_t telemetry_period_ms; /* time between TELEMETRY frames, ms */
    uint8_t device_id[16]; /* serial number, ASCII, zero padded */
    uint8_t firmware_id[16]; /* firmware build, ASCII, zero padded */
    uint8_t profile_id[16]; /* probe profile, ASCII, zero padded */
};
#pragma pack(pop)
CRYO_ASSERT(hello_size, sizeof(struct cryo_hello) == CRYO_HELLO_SIZE);
CRYO_ASSERT(hello_major, offsetof(struct cryo_hello, major) == CRYO_HELLO_MAJOR_OFFSET);
CRYO_ASSERT(hello_minor, offsetof(struct cryo_hello, minor) == CRYO_HELLO_MINOR_OFFSET);
CRYO_ASSERT(hello_schema_hash, offsetof(struct cryo_hello, schema_hash) == CRYO_HELLO_SCHEMA_HASH_OFFSET);
CRYO_ASSERT(hello_profile_hash, offsetof(struct cryo_hello, profile_hash) == CRYO_HELLO_PROFILE_HASH_OFFSET);
CRYO_ASSERT(hello_boot_id, offsetof(struct cryo_hello, boot_id) == CRYO_HELLO_BOOT_ID_OFFSET);
CRYO_ASSERT(hello_host_nonce, offsetof(struct cryo_hello, host_nonce) == CRYO_HELLO_HOST_NONCE_OFFSET);
CRYO_ASSERT(hello_device_nonce, offsetof(struct cryo_hello, device_nonce) == CRYO_HELLO_DEVICE_NONCE_OFFSET);
CRYO_ASSERT(hello_key_id, offsetof(struct cryo_hello, key_id) == CRYO_HELLO_KEY_ID_OFFSET);
CRYO_ASSERT(hello_owned, offsetof(struct cryo_hello, owned) == CRYO_HELLO_OWNED_OFFSET);
CRYO_ASSERT(hello_capabilities, offsetof(struct cryo_hello, capabilities) == CRYO_HELLO_CAPABILITIES_OFFSET);
CRYO_ASSERT(hello_sensors, offsetof(struct cryo_hello, sensors) == CRYO_HELLO_SENSORS_OFFSET);
CRYO_ASSERT(hello_telemetry_period_ms, offsetof(struct cryo_hello, telemetry_period_ms) == CRYO_HELLO_TELEMETRY_PERIOD_MS_OFFSET);
CRYO_ASSERT(hello_device_id, offsetof(struct cryo_hello, device_id) == CRYO_HELLO_DEVICE_ID_OFFSET);
CRYO_ASSERT(hello_firmware_id, offsetof(struct cryo_hello, firmware_id) == CRYO_HELLO_FIRMWARE_ID_OFFSET);
CRYO_ASSERT(hello_profile_id, offsetof(struct cryo_hello, profile_id) == CRYO_HELLO_PROFILE_ID_OFFSET);

/* The least a monitor needs, readable with any message table. Layout frozen for ever. */
#define CRYO_VITALS_SIZE 18u
#define CRYO_VITALS_DEVICE_MS_OFFSET 0u
#define CRYO_VITALS_STATE_OFFSET 4u
#define CRYO_VITALS_TIP_MDEGC_OFFSET 5u
#define CRYO_VITALS_SUPPLY_MBAR_OFFSET 9u
#define CRYO_VITALS_VALVE_PERMILLE_OFFSET 13u
#define CRYO_VITALS_TIP_HEATER_PERMILLE_OFFSET 15u
#define CRYO_VITALS_SHUTOFF_OPEN_OFFSET 17u
#pragma pack(push, 1)
struct cryo_vitals {
    uint32_t device_ms; /* device clock, wraps, ms */
    uint8_t state; /* device state (`DeviceState`) */
    int32_t tip_mdegc; /* tip temperature, m°C */
    int32_t supply_mbar; /* supply pressure, absolute, mbar */
    uint16_t valve_permille; /* valve duty, ‰ */
    uint16_t tip_heater_permille; /* tip heater duty, ‰ */
    uint8_t shutoff_open; /* second shut-off open */
};
#pragma pack(pop)
CRYO_ASSERT(vitals_size, sizeof(struct cryo_vitals) == CRYO_VITALS_SIZE);
CRYO_ASSERT(vitals_device_ms, offsetof(struct cryo_vitals, device_ms) == CRYO_VITALS_DEVICE_MS_OFFSET);
CRYO_ASSERT(vitals_state, offsetof(struct cryo_vitals, state) == CRYO_VITALS_STATE_OFFSET);
CRYO_ASSERT(vitals_tip_mdegc, offsetof(struct cryo_vitals, tip_mdegc) == CRYO_VITALS_TIP_MDEGC_OFFSET);
CRYO_ASSERT(vitals_supply_mbar, offsetof(struct cryo_vitals, supply_mbar) == CRYO_VITALS_SUPPLY_MBAR_OFFSET);
CRYO_ASSERT(vitals_valve_permille, offsetof(struct cryo_vitals, valve_permille) == CRYO_VITALS_VALVE_PERMILLE_OFFSET);
CRYO_ASSERT(vitals_tip_heater_permille, offsetof(struct cryo_vitals, tip_heater_permille) == CRYO_VITALS_TIP_HEATER_PERMILLE_OFFSET);
CRYO_ASSERT(vitals_shutoff_open, offsetof(struct cryo_vitals, shutoff_open) == CRYO_VITALS_SHUTOFF_OPEN_OFFSET);

/* One sample of everything, at a fixed period. */
#define CRYO_TELEMETRY_SIZE 70u
#define CRYO_TELEMETRY_DEVICE_MS_OFFSET 0u
#define CRYO_TELEMETRY_STATE_OFFSET 4u
#define CRYO_TELEMETRY_STATE_MIN 0
#define CRYO_TELEMETRY_STATE_MAX 10
#define CRYO_TELEMETRY_TRIP_OFFSET 5u
#define CRYO_TELEMETRY_TRIP_MIN 0
#define CRYO_TELEMETRY_TRIP_MAX 27
#define CRYO_TELEMETRY_OPEN_CIRCUIT_OFFSET 6u
#define CRYO_TELEMETRY_TIP_MDEGC_OFFSET 8u
#define CRYO_TELEMETRY_TIP_2_MDEGC_OFFSET 12u
#define CRYO_TELEMETRY_SKIN_MDEGC_OFFSET 16u
#define CRYO_TELEMETRY_SUPPLY_MBAR_OFFSET 20u
#define CRYO_TELEMETRY_EXHAUST_MBAR_OFFSET 24u
#define CRYO_TELEMETRY_EXHAUST_FLOW_UG_S_OFFSET 28u
#define CRYO_TELEMETRY_CARTRIDGE_MDEGC_OFFSET 32u
#define CRYO_TELEMETRY_BATTERY_MV_OFFSET 36u
#define CRYO_TELEMETRY_BUTTON_OFFSET 38u
#define CRYO_TELEMETRY_BUTTON_MIN 0
#define CRYO_TELEMETRY_BUTTON_MAX 1
#define CRYO_TELEMETRY_SETPOINT_MDEGC_OFFSET 39u
#define CRYO_TELEMETRY_VALVE_PERMILLE_OFFSET 43u
#define CRYO_TELEMETRY_VALVE_PERMILLE_MIN 0
#define CRYO_TELEMETRY_VALVE_PERMILLE_MAX 1000
#define CRYO_TELEMETRY_SHUTOFF_OPEN_OFFSET 45u
#define CRYO_TELEMETRY_SHUTOFF_OPEN_MIN 0
#define CRYO_TELEMETRY_SHUTOFF_OPEN_MAX 1
#define CRYO_TELEMETRY_TIP_HEATER_PERMILLE_OFFSET 46u
#define CRYO_TELEMETRY_TIP_HEATER_PERMILLE_MIN 0
#define CRYO_TELEMETRY_TIP_HEATER_PERMILLE_MAX 1000
#define CRYO_TELEMETRY_SKIN_WARMER_PERMILLE_OFFSET 48u
#define CRYO_TELEMETRY_SKIN_WARMER_PERMILLE_MIN 0
#define CRYO_TELEMETRY_SKIN_WARMER_PERMILLE_MAX 1000
#define CRYO_TELEMETRY_LED_OFFSET 50u
#define CRYO_TELEMETRY_LED_MIN 0
#define CRYO_TELEMETRY_LED_MAX 1
#define CRYO_TELEMETRY_BEEPER_OFFSET 51u
#define CRYO_TELEMETRY_BEEPER_MIN 0
#define CRYO_TELEMETRY_BEEPER_MAX 1
#define CRYO_TELEMETRY_STIMULUS_UA_OFFSET 52u
#define CRYO_TELEMETRY_STIMULUS_UA_MIN 0
#define CRYO_TELEMETRY_STIMULUS_UA_MAX 10000
#define CRYO_TELEMETRY_STIMULUS_HZ_OFFSET 54u
#define CRYO_TELEMETRY_STIMULUS_HZ_MIN 0
#define CRYO_TELEMETRY_STIMULUS_HZ_MAX 100
#define CRYO_TELEMETRY_STIMULUS_PULSE_US_OFFSET 55u
#define CRYO_TELEMETRY_STIMULUS_PULSE_US_MIN 0
#define CRYO_TELEMETRY_STIMULUS_PULSE_US_MAX 1000
#define CRYO_TELEMETRY_STIMULUS_RESPONSE_OFFSET 57u
#define CRYO_TELEMETRY_STIMULUS_RESPONSE_MIN 0
#define CRYO_TELEMETRY_STIMULUS_RESPONSE_MAX 2
#define CRYO_TELEMETRY_FREEZE_MS_OFFSET 58u
#define CRYO_TELEMETRY_THAW_ENERGY_MJ_OFFSET 62u
#define CRYO_TELEMETRY_LEASE_LEFT_MS_OFFSET 66u
#define CRYO_TELEMETRY_EVENT_COUNT_OFFSET 68u
#pragma pack(push, 1)
struct cryo_telemetry {
    uint32_t device_ms; /* device clock when the sensors were read, wraps, ms */
    uint8_t state; /* device state (`DeviceState`) */
    uint8_t trip; /* first cause of being safe, kept until cleared (`Trip`) */
    uint16_t open_circuit; /* sensors found open (`Sensor` bits) */
    int32_t tip_mdegc; /* tip temperature, m°C */
    int32_t tip_2_mdegc; /* second tip thermocouple, m°C */
    int32_t skin_mdegc; /* skin at the needle's base, m°C */
    int32_t supply_mbar; /* supply pressure, absolute, mbar */
    int32_t exhaust_mbar; /* exhaust pressure, absolute, mbar */
    int32_t exhaust_flow_ug_s; /* gas leaving the exhaust, µg/s */
    int32_t cartridge_mdegc; /* cartridge temperature, m°C */
    uint16_t battery_mv; /* battery voltage, mV */
    uint8_t button; /* handpiece button pressed */
    int32_t setpoint_mdegc; /* set-point of the inner loop, m°C */
    uint16_t valve_permille; /* valve duty, ‰ */
    uint8_t shutoff_open; /* second shut-off open */
    uint16_t tip_heater_permille; /* tip heater duty, ‰ */
    uint16_t skin_warmer_permille; /* skin warmer duty, ‰ */
    uint8_t led; /* handpiece light on */
    uint8_t beeper; /* handpiece beeper on */
    uint16_t stimulus_ua; /* stimulator output, 0: off, µA */
    uint8_t stimulus_hz; /* pulses a second, Hz */
    uint16_t stimulus_pulse_us; /* width of a pulse, µs */
    uint8_t stimulus_response; /* to the present stimulus (`StimulusResponse`) */
    uint32_t freeze_ms; /* length of the present or last freeze, ms */
    uint32_t thaw_energy_mj; /* tip heater energy of this thaw, mJ */
    uint16_t lease_left_ms; /* life left in the controller's lease, ms */
    uint16_t event_count; /* EVENT messages sent since boot, wraps */
};
#pragma pack(pop)
CRYO_ASSERT(telemetry_size, sizeof(struct cryo_telemetry) == CRYO_TELEMETRY_SIZE);
CRYO_ASSERT(telemetry_device_ms, offsetof(struct cryo_telemetry, device_ms) == CRYO_TELEMETRY_DEVICE_MS_OFFSET);
CRYO_ASSERT(telemetry_state, offsetof(struct cryo_telemetry, state) == CRYO_TELEMETRY_STATE_OFFSET);
CRYO_ASSERT(telemetry_trip, offsetof(struct cryo_telemetry, trip) == CRYO_TELEMETRY_TRIP_OFFSET);
CRYO_ASSERT(telemetry_open_circuit, offsetof(struct cryo_telemetry, open_circuit) == CRYO_TELEMETRY_OPEN_CIRCUIT_OFFSET);
CRYO_ASSERT(telemetry_tip_mdegc, offsetof(struct cryo_telemetry, tip_mdegc) == CRYO_TELEMETRY_TIP_MDEGC_OFFSET);
CRYO_ASSERT(telemetry_tip_2_mdegc, offsetof(struct cryo_telemetry, tip_2_mdegc) == CRYO_TELEMETRY_TIP_2_MDEGC_OFFSET);
CRYO_ASSERT(telemetry_skin_mdegc, offsetof(struct cryo_telemetry, skin_mdegc) == CRYO_TELEMETRY_SKIN_MDEGC_OFFSET);
CRYO_ASSERT(telemetry_supply_mbar, offsetof(struct cryo_telemetry, supply_mbar) == CRYO_TELEMETRY_SUPPLY_MBAR_OFFSET);
CRYO_ASSERT(telemetry_exhaust_mbar, offsetof(struct cryo_telemetry, exhaust_mbar) == CRYO_TELEMETRY_EXHAUST_MBAR_OFFSET);
CRYO_ASSERT(telemetry_exhaust_flow_ug_s, offsetof(struct cryo_telemetry, exhaust_flow_ug_s) == CRYO_TELEMETRY_EXHAUST_FLOW_UG_S_OFFSET);
CRYO_ASSERT(telemetry_cartridge_mdegc, offsetof(struct cryo_telemetry, cartridge_mdegc) == CRYO_TELEMETRY_CARTRIDGE_MDEGC_OFFSET);
CRYO_ASSERT(telemetry_battery_mv, offsetof(struct cryo_telemetry, battery_mv) == CRYO_TELEMETRY_BATTERY_MV_OFFSET);
CRYO_ASSERT(telemetry_button, offsetof(struct cryo_telemetry, button) == CRYO_TELEMETRY_BUTTON_OFFSET);
CRYO_ASSERT(telemetry_setpoint_mdegc, offsetof(struct cryo_telemetry, setpoint_mdegc) == CRYO_TELEMETRY_SETPOINT_MDEGC_OFFSET);
CRYO_ASSERT(telemetry_valve_permille, offsetof(struct cryo_telemetry, valve_permille) == CRYO_TELEMETRY_VALVE_PERMILLE_OFFSET);
CRYO_ASSERT(telemetry_shutoff_open, offsetof(struct cryo_telemetry, shutoff_open) == CRYO_TELEMETRY_SHUTOFF_OPEN_OFFSET);
CRYO_ASSERT(telemetry_tip_heater_permille, offsetof(struct cryo_telemetry, tip_heater_permille) == CRYO_TELEMETRY_TIP_HEATER_PERMILLE_OFFSET);
CRYO_ASSERT(telemetry_skin_warmer_permille, offsetof(struct cryo_telemetry, skin_warmer_permille) == CRYO_TELEMETRY_SKIN_WARMER_PERMILLE_OFFSET);
CRYO_ASSERT(telemetry_led, offsetof(struct cryo_telemetry, led) == CRYO_TELEMETRY_LED_OFFSET);
CRYO_ASSERT(telemetry_beeper, offsetof(struct cryo_telemetry, beeper) == CRYO_TELEMETRY_BEEPER_OFFSET);
CRYO_ASSERT(telemetry_stimulus_ua, offsetof(struct cryo_telemetry, stimulus_ua) == CRYO_TELEMETRY_STIMULUS_UA_OFFSET);
CRYO_ASSERT(telemetry_stimulus_hz, offsetof(struct cryo_telemetry, stimulus_hz) == CRYO_TELEMETRY_STIMULUS_HZ_OFFSET);
CRYO_ASSERT(telemetry_stimulus_pulse_us, offsetof(struct cryo_telemetry, stimulus_pulse_us) == CRYO_TELEMETRY_STIMULUS_PULSE_US_OFFSET);
CRYO_ASSERT(telemetry_stimulus_response, offsetof(struct cryo_telemetry, stimulus_response) == CRYO_TELEMETRY_STIMULUS_RESPONSE_OFFSET);
CRYO_ASSERT(telemetry_freeze_ms, offsetof(struct cryo_telemetry, freeze_ms) == CRYO_TELEMETRY_FREEZE_MS_OFFSET);
CRYO_ASSERT(telemetry_thaw_energy_mj, offsetof(struct cryo_telemetry, thaw_energy_mj) == CRYO_TELEMETRY_THAW_ENERGY_MJ_OFFSET);
CRYO_ASSERT(telemetry_lease_left_ms, offsetof(struct cryo_telemetry, lease_left_ms) == CRYO_TELEMETRY_LEASE_LEFT_MS_OFFSET);
CRYO_ASSERT(telemetry_event_count, offsetof(struct cryo_telemetry, event_count) == CRYO_TELEMETRY_EVENT_COUNT_OFFSET);

/* Something happened at the device. */
#define CRYO_EVENT_SIZE 17u
#define CRYO_EVENT_DEVICE_MS_OFFSET 0u
#define CRYO_EVENT_NUMBER_OFFSET 4u
#define CRYO_EVENT_CODE_OFFSET 6u
#define CRYO_EVENT_CODE_MIN 1
#define CRYO_EVENT_CODE_MAX 8
#define CRYO_EVENT_STATE_OFFSET 7u
#define CRYO_EVENT_STATE_MIN 0
#define CRYO_EVENT_STATE_MAX 10
#define CRYO_EVENT_TRIP_OFFSET 8u
#define CRYO_EVENT_TRIP_MIN 0
#define CRYO_EVENT_TRIP_MAX 27
#define CRYO_EVENT_VALUE_OFFSET 9u
#define CRYO_EVENT_LIMIT_OFFSET 13u
#pragma pack(push, 1)
struct cryo_event {
    uint32_t device_ms; /* device clock, wraps, ms */
    uint16_t number; /* counts events since boot, wraps; a gap is a loss */
    uint8_t code; /* what happened (`EventCode`) */
    uint8_t state; /* device state afterwards (`DeviceState`) */
    uint8_t trip; /* cause, for TRIP and STOPPED (`Trip`) */
    int32_t value; /* measured value in the unit of its telemetry field */
    int32_t limit; /* the limit it broke */
};
#pragma pack(pop)
CRYO_ASSERT(event_size, sizeof(struct cryo_event) == CRYO_EVENT_SIZE);
CRYO_ASSERT(event_device_ms, offsetof(struct cryo_event, device_ms) == CRYO_EVENT_DEVICE_MS_OFFSET);
CRYO_ASSERT(event_number, offsetof(struct cryo_event, number) == CRYO_EVENT_NUMBER_OFFSET);
CRYO_ASSERT(event_code, offsetof(struct cryo_event, code) == CRYO_EVENT_CODE_OFFSET);
CRYO_ASSERT(event_state, offsetof(struct cryo_event, state) == CRYO_EVENT_STATE_OFFSET);
CRYO_ASSERT(event_trip, offsetof(struct cryo_event, trip) == CRYO_EVENT_TRIP_OFFSET);
CRYO_ASSERT(event_value, offsetof(struct cryo_event, value) == CRYO_EVENT_VALUE_OFFSET);
CRYO_ASSERT(event_limit, offsetof(struct cryo_event, limit) == CRYO_EVENT_LIMIT_OFFSET);

/* Controller asks for one operation; the same bytes again are a retry. Unused fields are 0. */
#define CRYO_COMMAND_SIZE 32u
#define CRYO_COMMAND_COUNTER_OFFSET 0u
#define CRYO_COMMAND_DEADLINE_MS_OFFSET 4u
#define CRYO_COMMAND_OP_OFFSET 8u
#define CRYO_COMMAND_OP_MIN 1
#define CRYO_COMMAND_OP_MAX 12
#define CRYO_COMMAND_MODE_OFFSET 9u
#define CRYO_COMMAND_MODE_MIN 0
#define CRYO_COMMAND_MODE_MAX 1
#define CRYO_COMMAND_CYCLES_OFFSET 10u
#define CRYO_COMMAND_CYCLES_MIN 0
#define CRYO_COMMAND_CYCLES_MAX 20
#define CRYO_COMMAND_TREATMENT_HASH_OFFSET 11u
#define CRYO_COMMAND_SETPOINT_MDEGC_OFFSET 15u
#define CRYO_COMMAND_DURATION_MS_OFFSET 19u
#define CRYO_COMMAND_ENERGY_MJ_OFFSET 23u
#define CRYO_COMMAND_STIMULUS_UA_OFFSET 27u
#define CRYO_COMMAND_STIMULUS_UA_MIN 0
#define CRYO_COMMAND_STIMULUS_UA_MAX 10000
#define CRYO_COMMAND_STIMULUS_HZ_OFFSET 29u
#define CRYO_COMMAND_STIMULUS_HZ_MIN 0
#define CRYO_COMMAND_STIMULUS_HZ_MAX 100
#define CRYO_COMMAND_STIMULUS_PULSE_US_OFFSET 30u
#define CRYO_COMMAND_STIMULUS_PULSE_US_MIN 0
#define CRYO_COMMAND_STIMULUS_PULSE_US_MAX 1000
#pragma pack(push, 1)
struct cryo_command {
    uint32_t counter; /* grows by at least 1 with each new command */
    uint32_t deadline_ms; /* device clock after which it is void, ms */
    uint8_t op; /* operation (`Op`) */
    uint8_t mode; /* THAW: how to warm (`ThawMode`) */
    uint8_t cycles; /* ARM: freezes to authorise */
    uint32_t treatment_hash; /* ARM, START: treatment authorised */
    int32_t setpoint_mdegc; /* FREEZE, SETPOINT: tip set-point, m°C */
    uint32_t duration_ms; /* FREEZE, PREWARM, STIMULATE: at most, ms */
    uint32_t energy_mj; /* THAW: tip heater energy allowed, mJ */
    uint16_t stimulus_ua; /* STIMULATE: amplitude, 0 turns it off, µA */
    uint8_t stimulus_hz; /* STIMULATE: pulses a second, Hz */
    uint16_t stimulus_pulse_us; /* STIMULATE: width of a pulse, µs */
};
#pragma pack(pop)
CRYO_ASSERT(command_size, sizeof(struct cryo_command) == CRYO_COMMAND_SIZE);
CRYO_ASSERT(command_counter, offsetof(struct cryo_command, counter) == CRYO_COMMAND_COUNTER_OFFSET);
CRYO_ASSERT(command_deadline_ms, offsetof(struct cryo_command, deadline_ms) == CRYO_COMMAND_DEADLINE_MS_OFFSET);
CRYO_ASSERT(command_op, offsetof(struct cryo_command, op) == CRYO_COMMAND_OP_OFFSET);
CRYO_ASSERT(command_mode, offsetof(struct cryo_command, mode) == CRYO_COMMAND_MODE_OFFSET);
CRYO_ASSERT(command_cycles, offsetof(struct cryo_command, cycles) == CRYO_COMMAND_CYCLES_OFFSET);
CRYO_ASSERT(command_treatment_hash, offsetof(struct cryo_command, treatment_hash) == CRYO_COMMAND_TREATMENT_HASH_OFFSET);
CRYO_ASSERT(command_setpoint_mdegc, offsetof(struct cryo_command, setpoint_mdegc) == CRYO_COMMAND_SETPOINT_MDEGC_OFFSET);
CRYO_ASSERT(command_duration_ms, offsetof(struct cryo_command, duration_ms) == CRYO_COMMAND_DURATION_MS_OFFSET);
CRYO_ASSERT(command_energy_mj, offsetof(struct cryo_command, energy_mj) == CRYO_COMMAND_ENERGY_MJ_OFFSET);
CRYO_ASSERT(command_stimulus_ua, offsetof(struct cryo_command, stimulus_ua) == CRYO_COMMAND_STIMULUS_UA_OFFSET);
CRYO_ASSERT(command_stimulus_hz, offsetof(struct cryo_command, stimulus_hz) == CRYO_COMMAND_STIMULUS_HZ_OFFSET);
CRYO_ASSERT(command_stimulus_pulse_us, offsetof(struct cryo_command, stimulus_pulse_us) == CRYO_COMMAND_STIMULUS_PULSE_US_OFFSET);

/* Controller is alive and holds the probe; needs no answer. */
#define CRYO_LEASE_SIZE 9u
#define CRYO_LEASE_COUNTER_OFFSET 0u
#define CRYO_LEASE_MODE_OFFSET 4u
#define CRYO_LEASE_MODE_MIN 0
#define CRYO_LEASE_MODE_MAX 2
#define CRYO_LEASE_VALID_UNTIL_MS_OFFSET 5u
#pragma pack(push, 1)
struct cryo_lease {
    uint32_t counter; /* grows with each lease */
    uint8_t mode; /* what the controller thinks the probe is doing (`HostMode`) */
    uint32_t valid_until_ms; /* device clock; capped at now + 300 ms, ms */
};
#pragma pack(pop)
CRYO_ASSERT(lease_size, sizeof(struct cryo_lease) == CRYO_LEASE_SIZE);
CRYO_ASSERT(lease_counter, offsetof(struct cryo_lease, counter) == CRYO_LEASE_COUNTER_OFFSET);
CRYO_ASSERT(lease_mode, offsetof(struct cryo_lease, mode) == CRYO_LEASE_MODE_OFFSET);
CRYO_ASSERT(lease_valid_until_ms, offsetof(struct cryo_lease, valid_until_ms) == CRYO_LEASE_VALID_UNTIL_MS_OFFSET);

/* Make the probe safe now. Session 0, stop key, no deadline, accepted from any key holder. */
#define CRYO_STOP_SIZE 10u
#define CRYO_STOP_COUNTER_OFFSET 0u
#define CRYO_STOP_BOOT_ID_OFFSET 4u
#define CRYO_STOP_ACTION_OFFSET 8u
#define CRYO_STOP_ACTION_MIN 0
#define CRYO_STOP_ACTION_MAX 1
#define CRYO_STOP_TRIP_OFFSET 9u
#define CRYO_STOP_TRIP_MIN 0
#define CRYO_STOP_TRIP_MAX 27
#pragma pack(push, 1)
struct cryo_stop {
    uint32_t counter; /* names this stop in its answer */
    uint32_t boot_id; /* boot id of the device meant */
    uint8_t action; /* outputs off, or device-run thaw if frozen (`SafeAction`) */
    uint8_t trip; /* why (`Trip`) */
};
#pragma pack(pop)
CRYO_ASSERT(stop_size, sizeof(struct cryo_stop) == CRYO_STOP_SIZE);
CRYO_ASSERT(stop_counter, offsetof(struct cryo_stop, counter) == CRYO_STOP_COUNTER_OFFSET);
CRYO_ASSERT(stop_boot_id, offsetof(struct cryo_stop, boot_id) == CRYO_STOP_BOOT_ID_OFFSET);
CRYO_ASSERT(stop_action, offsetof(struct cryo_stop, action) == CRYO_STOP_ACTION_OFFSET);
CRYO_ASSERT(stop_trip, offsetof(struct cryo_stop, trip) == CRYO_STOP_TRIP_OFFSET);

/* First answer to a command or stop: taken or refused. Accepted never means cold. */
#define CRYO_ACK_SIZE 6u
#define CRYO_ACK_COUNTER_OFFSET 0u
#define CRYO_ACK_OP_OFFSET 4u
#define CRYO_ACK_OP_MIN 1
#define CRYO_ACK_OP_MAX 12
#define CRYO_ACK_ANSWER_OFFSET 5u
#define CRYO_ACK_ANSWER_MIN 0
#define CRYO_ACK_ANSWER_MAX 11
#pragma pack(push, 1)
struct cryo_ack {
    uint32_t counter; /* counter of the command answered */
    uint8_t op; /* operation answered (`Op`) */
    uint8_t answer; /* taken, or why not (`Answer`) */
};
#pragma pack(pop)
CRYO_ASSERT(ack_size, sizeof(struct cryo_ack) == CRYO_ACK_SIZE);
CRYO_ASSERT(ack_counter, offsetof(struct cryo_ack, counter) == CRYO_ACK_COUNTER_OFFSET);
CRYO_ASSERT(ack_op, offsetof(struct cryo_ack, op) == CRYO_ACK_OP_OFFSET);
CRYO_ASSERT(ack_answer, offsetof(struct cryo_ack, answer) == CRYO_ACK_ANSWER_OFFSET);

/* Second answer to a command: its actuation ended. */
#define CRYO_DONE_SIZE 10u
#define CRYO_DONE_COUNTER_OFFSET 0u
#define CRYO_DONE_OP_OFFSET 4u
#define CRYO_DONE_OP_MIN 1
#define CRYO_DONE_OP_MAX 12
#define CRYO_DONE_RESULT_OFFSET 5u
#define CRYO_DONE_RESULT_MIN 0
#define CRYO_DONE_RESULT_MAX 2
#define CRYO_DONE_DETAIL_OFFSET 6u
#pragma pack(push, 1)
struct cryo_done {
    uint32_t counter; /* counter of the command answered */
    uint8_t op; /* operation ended (`Op`) */
    uint8_t result; /* how it ended (`Result`) */
    int32_t detail; /* LEAK_TEST: pressure decay in mbar; else 0 */
};
#pragma pack(pop)
CRYO_ASSERT(done_size, sizeof(struct cryo_done) == CRYO_DONE_SIZE);
CRYO_ASSERT(done_counter, offsetof(struct cryo_done, counter) == CRYO_DONE_COUNTER_OFFSET);
CRYO_ASSERT(done_op, offsetof(struct cryo_done, op) == CRYO_DONE_OP_OFFSET);
CRYO_ASSERT(done_result, offsetof(struct cryo_done, result) == CRYO_DONE_RESULT_OFFSET);
CRYO_ASSERT(done_detail, offsetof(struct cryo_done, detail) == CRYO_DONE_DETAIL_OFFSET);

/* Every message: X(message id, payload size, 1 if the controller sends it). */
#define CRYO_MESSAGES(X) \
    X(CRYO_ID_HELLO_HOST, CRYO_HELLO_HOST_SIZE, 1u) \
    X(CRYO_ID_HELLO, CRYO_HELLO_SIZE, 0u) \
    X(CRYO_ID_VITALS, CRYO_VITALS_SIZE, 0u) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_SIZE, 0u) \
    X(CRYO_ID_EVENT, CRYO_EVENT_SIZE, 0u) \
    X(CRYO_ID_COMMAND, CRYO_COMMAND_SIZE, 1u) \
    X(CRYO_ID_LEASE, CRYO_LEASE_SIZE, 1u) \
    X(CRYO_ID_STOP, CRYO_STOP_SIZE, 1u) \
    X(CRYO_ID_ACK, CRYO_ACK_SIZE, 0u) \
    X(CRYO_ID_DONE, CRYO_DONE_SIZE, 0u)

/* Every field with a range: X(message id, offset, size in bytes, smallest, largest).
 * All of them are unsigned. */
#define CRYO_BOUNDS(X) \
    X(CRYO_ID_HELLO, CRYO_HELLO_OWNED_OFFSET, 1u, CRYO_HELLO_OWNED_MIN, CRYO_HELLO_OWNED_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_STATE_OFFSET, 1u, CRYO_TELEMETRY_STATE_MIN, CRYO_TELEMETRY_STATE_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_TRIP_OFFSET, 1u, CRYO_TELEMETRY_TRIP_MIN, CRYO_TELEMETRY_TRIP_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_BUTTON_OFFSET, 1u, CRYO_TELEMETRY_BUTTON_MIN, CRYO_TELEMETRY_BUTTON_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_VALVE_PERMILLE_OFFSET, 2u, CRYO_TELEMETRY_VALVE_PERMILLE_MIN, CRYO_TELEMETRY_VALVE_PERMILLE_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_SHUTOFF_OPEN_OFFSET, 1u, CRYO_TELEMETRY_SHUTOFF_OPEN_MIN, CRYO_TELEMETRY_SHUTOFF_OPEN_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_TIP_HEATER_PERMILLE_OFFSET, 2u, CRYO_TELEMETRY_TIP_HEATER_PERMILLE_MIN, CRYO_TELEMETRY_TIP_HEATER_PERMILLE_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_SKIN_WARMER_PERMILLE_OFFSET, 2u, CRYO_TELEMETRY_SKIN_WARMER_PERMILLE_MIN, CRYO_TELEMETRY_SKIN_WARMER_PERMILLE_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_LED_OFFSET, 1u, CRYO_TELEMETRY_LED_MIN, CRYO_TELEMETRY_LED_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_BEEPER_OFFSET, 1u, CRYO_TELEMETRY_BEEPER_MIN, CRYO_TELEMETRY_BEEPER_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_STIMULUS_UA_OFFSET, 2u, CRYO_TELEMETRY_STIMULUS_UA_MIN, CRYO_TELEMETRY_STIMULUS_UA_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_STIMULUS_HZ_OFFSET, 1u, CRYO_TELEMETRY_STIMULUS_HZ_MIN, CRYO_TELEMETRY_STIMULUS_HZ_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_STIMULUS_PULSE_US_OFFSET, 2u, CRYO_TELEMETRY_STIMULUS_PULSE_US_MIN, CRYO_TELEMETRY_STIMULUS_PULSE_US_MAX) \
    X(CRYO_ID_TELEMETRY, CRYO_TELEMETRY_STIMULUS_RESPONSE_OFFSET, 1u, CRYO_TELEMETRY_STIMULUS_RESPONSE_MIN, CRYO_TELEMETRY_STIMULUS_RESPONSE_MAX) \
    X(CRYO_ID_EVENT, CRYO_EVENT_CODE_OFFSET, 1u, CRYO_EVENT_CODE_MIN, CRYO_EVENT_CODE_MAX) \
    X(CRYO_ID_EVENT, CRYO_EVENT_STATE_OFFSET, 1u, CRYO_EVENT_STATE_MIN, CRYO_EVENT_STATE_MAX) \
    X(CRYO_ID_EVENT, CRYO_EVENT_TRIP_OFFSET, 1u, CRYO_EVENT_TRIP_MIN, CRYO_EVENT_TRIP_MAX) \
    X(CRYO_ID_COMMAND, CRYO_COMMAND_OP_OFFSET, 1u, CRYO_COMMAND_OP_MIN, CRYO_COMMAND_OP_MAX) \
    X(CRYO_ID_COMMAND, CRYO_COMMAND_MODE_OFFSET, 1u, CRYO_COMMAND_MODE_MIN, CRYO_COMMAND_MODE_MAX) \
    X(CRYO_ID_COMMAND, CRYO_COMMAND_CYCLES_OFFSET, 1u, CRYO_COMMAND_CYCLES_MIN, CRYO_COMMAND_CYCLES_MAX) \
    X(CRYO_ID_COMMAND, CRYO_COMMAND_STIMULUS_UA_OFFSET, 2u, CRYO_COMMAND_STIMULUS_UA_MIN, CRYO_COMMAND_STIMULUS_UA_MAX) \
    X(CRYO_ID_COMMAND, CRYO_COMMAND_STIMULUS_HZ_OFFSET, 1u, CRYO_COMMAND_STIMULUS_HZ_MIN, CRYO_COMMAND_STIMULUS_HZ_MAX) \
    X(CRYO_ID_COMMAND, CRYO_COMMAND_STIMULUS_PULSE_US_OFFSET, 2u, CRYO_COMMAND_STIMULUS_PULSE_US_MIN, CRYO_COMMAND_STIMULUS_PULSE_US_MAX) \
    X(CRYO_ID_LEASE, CRYO_LEASE_MODE_OFFSET, 1u, CRYO_LEASE_MODE_MIN, CRYO_LEASE_MODE_MAX) \
    X(CRYO_ID_STOP, CRYO_STOP_ACTION_OFFSET, 1u, CRYO_STOP_ACTION_MIN, CRYO_STOP_ACTION_MAX) \
    X(CRYO_ID_STOP, CRYO_STOP_TRIP_OFFSET, 1u, CRYO_STOP_TRIP_MIN, CRYO_STOP_TRIP_MAX) \
    X(CRYO_ID_ACK, CRYO_ACK_OP_OFFSET, 1u, CRYO_ACK_OP_MIN, CRYO_ACK_OP_MAX) \
    X(CRYO_ID_ACK, CRYO_ACK_ANSWER_OFFSET, 1u, CRYO_ACK_ANSWER_MIN, CRYO_ACK_ANSWER_MAX) \
    X(CRYO_ID_DONE, CRYO_DONE_OP_OFFSET, 1u, CRYO_DONE_OP_MIN, CRYO_DONE_OP_MAX) \
    X(CRYO_ID_DONE, CRYO_DONE_RESULT_OFFSET, 1u, CRYO_DONE_RESULT_MIN, CRYO_DONE_RESULT_MAX)

/* Limits of 20G x 8 mm single needle, CO2; compare the hash before ARM. */
#define CRYO_PROFILE_CO2_20G_HASH 0x14193062u
#define CRYO_PROFILE_CO2_20G_TIP_FLOOR_MDEGC (-82000)
#define CRYO_PROFILE_CO2_20G_SETPOINT_MIN_MDEGC (-66000)
#define CRYO_PROFILE_CO2_20G_SETPOINT_MAX_MDEGC (-20000)
#define CRYO_PROFILE_CO2_20G_SETPOINT_DEFAULT_MDEGC (-60000)
#define CRYO_PROFILE_CO2_20G_BAND_MDEGC 2000
#define CRYO_PROFILE_CO2_20G_REACH_MS_MAX 20000
#define CRYO_PROFILE_CO2_20G_COAST_MS 2000
#define CRYO_PROFILE_CO2_20G_SENSOR_ERROR_MDEGC 2000
#define CRYO_PROFILE_CO2_20G_COOLING_RATE_MDEGC_PER_S 6000
#define CRYO_PROFILE_CO2_20G_FREEZE_MS_MAX 180000
#define CRYO_PROFILE_CO2_20G_HOLD_MS_MAX 150000
#define CRYO_PROFILE_CO2_20G_PRESSURE_LOW_MBAR 44000
#define CRYO_PROFILE_CO2_20G_PRESSURE_WARN_MBAR 70000
#define CRYO_PROFILE_CO2_20G_PRESSURE_TRIP_MBAR 76000
#define CRYO_PROFILE_CO2_20G_EXHAUST_TRIP_MBAR 2500
#define CRYO_PROFILE_CO2_20G_NOMINAL_FLOW_UG_S 35000
#define CRYO_PROFILE_CO2_20G_CARTRIDGE_FILL_MG 16000
#define CRYO_PROFILE_CO2_20G_CARTRIDGE_USABLE_PERMILLE 750
#define CRYO_PROFILE_CO2_20G_GAS_USE_UG_S 36000
#define CRYO_PROFILE_CO2_20G_TIP_HEATER_MW 1500
#define CRYO_PROFILE_CO2_20G_THAW_ENERGY_MJ_MAX 5000
#define CRYO_PROFILE_CO2_20G_THAW_MS_MAX 600000
#define CRYO_PROFILE_CO2_20G_HEATER_ON_MS_MAX 20000
#define CRYO_PROFILE_CO2_20G_HEATER_TIP_MAX_MDEGC 43000
#define CRYO_PROFILE_CO2_20G_SKIN_MIN_MDEGC 5000
#define CRYO_PROFILE_CO2_20G_STIMULUS_UA_MAX 5000
#define CRYO_PROFILE_CO2_20G_BATTERY_MIN_MV 3300

/* Limits of 18G x 7 mm double-barrel needle, CO2; compare the hash before ARM. */
#define CRYO_PROFILE_CO2_DOUBLE_18G_HASH 0xC4BBEDB9u
#define CRYO_PROFILE_CO2_DOUBLE_18G_TIP_FLOOR_MDEGC (-82000)
#define CRYO_PROFILE_CO2_DOUBLE_18G_SETPOINT_MIN_MDEGC (-66000)
#define CRYO_PROFILE_CO2_DOUBLE_18G_SETPOINT_MAX_MDEGC (-20000)
#define CRYO_PROFILE_CO2_DOUBLE_18G_SETPOINT_DEFAULT_MDEGC (-60000)
#define CRYO_PROFILE_CO2_DOUBLE_18G_BAND_MDEGC 2000
#define CRYO_PROFILE_CO2_DOUBLE_18G_REACH_MS_MAX 20000
#define CRYO_PROFILE_CO2_DOUBLE_18G_COAST_MS 2000
#define CRYO_PROFILE_CO2_DOUBLE_18G_SENSOR_ERROR_MDEGC 2000
#define CRYO_PROFILE_CO2_DOUBLE_18G_COOLING_RATE_MDEGC_PER_S 6000
#define CRYO_PROFILE_CO2_DOUBLE_18G_FREEZE_MS_MAX 180000
#define CRYO_PROFILE_CO2_DOUBLE_18G_HOLD_MS_MAX 150000
#define CRYO_PROFILE_CO2_DOUBLE_18G_PRESSURE_LOW_MBAR 44000
#define CRYO_PROFILE_CO2_DOUBLE_18G_PRESSURE_WARN_MBAR 70000
#define CRYO_PROFILE_CO2_DOUBLE_18G_PRESSURE_TRIP_MBAR 76000
#define CRYO_PROFILE_CO2_DOUBLE_18G_EXHAUST_TRIP_MBAR 2500
#define CRYO_PROFILE_CO2_DOUBLE_18G_NOMINAL_FLOW_UG_S 35000
#define CRYO_PROFILE_CO2_DOUBLE_18G_CARTRIDGE_FILL_MG 16000
#define CRYO_PROFILE_CO2_DOUBLE_18G_CARTRIDGE_USABLE_PERMILLE 750
#define CRYO_PROFILE_CO2_DOUBLE_18G_GAS_USE_UG_S 36000
#define CRYO_PROFILE_CO2_DOUBLE_18G_TIP_HEATER_MW 1500
#define CRYO_PROFILE_CO2_DOUBLE_18G_THAW_ENERGY_MJ_MAX 5000
#define CRYO_PROFILE_CO2_DOUBLE_18G_THAW_MS_MAX 600000
#define CRYO_PROFILE_CO2_DOUBLE_18G_HEATER_ON_MS_MAX 20000
#define CRYO_PROFILE_CO2_DOUBLE_18G_HEATER_TIP_MAX_MDEGC 43000
#define CRYO_PROFILE_CO2_DOUBLE_18G_SKIN_MIN_MDEGC 5000
#define CRYO_PROFILE_CO2_DOUBLE_18G_STIMULUS_UA_MAX 5000
#define CRYO_PROFILE_CO2_DOUBLE_18G_BATTERY_MIN_MV 3300

/* Limits of 20G x 8 mm single needle, N2O; compare the hash before ARM. */
#define CRYO_PROFILE_N2O_20G_HASH 0x771997A0u
#define CRYO_PROFILE_N2O_20G_TIP_FLOOR_MDEGC (-85000)
#define CRYO_PROFILE_N2O_20G_SETPOINT_MIN_MDEGC (-63000)
#define CRYO_PROFILE_N2O_20G_SETPOINT_MAX_MDEGC (-20000)
#define CRYO_PROFILE_N2O_20G_SETPOINT_DEFAULT_MDEGC (-60000)
#define CRYO_PROFILE_N2O_20G_BAND_MDEGC 2000
#define CRYO_PROFILE_N2O_20G_REACH_MS_MAX 25000
#define CRYO_PROFILE_N2O_20G_COAST_MS 2000
#define CRYO_PROFILE_N2O_20G_SENSOR_ERROR_MDEGC 2000
#define CRYO_PROFILE_N2O_20G_COOLING_RATE_MDEGC_PER_S 6000
#define CRYO_PROFILE_N2O_20G_FREEZE_MS_MAX 180000
#define CRYO_PROFILE_N2O_20G_HOLD_MS_MAX 150000
#define CRYO_PROFILE_N2O_20G_PRESSURE_LOW_MBAR 40000
#define CRYO_PROFILE_N2O_20G_PRESSURE_WARN_MBAR 62000
#define CRYO_PROFILE_N2O_20G_PRESSURE_TRIP_MBAR 68000
#define CRYO_PROFILE_N2O_20G_EXHAUST_TRIP_MBAR 2500
#define CRYO_PROFILE_N2O_20G_NOMINAL_FLOW_UG_S 35000
#define CRYO_PROFILE_N2O_20G_CARTRIDGE_FILL_MG 16000
#define CRYO_PROFILE_N2O_20G_CARTRIDGE_USABLE_PERMILLE 800
#define CRYO_PROFILE_N2O_20G_GAS_USE_UG_S 36000
#define CRYO_PROFILE_N2O_20G_TIP_HEATER_MW 1500
#define CRYO_PROFILE_N2O_20G_THAW_ENERGY_MJ_MAX 5000
#define CRYO_PROFILE_N2O_20G_THAW_MS_MAX 600000
#define CRYO_PROFILE_N2O_20G_HEATER_ON_MS_MAX 20000
#define CRYO_PROFILE_N2O_20G_HEATER_TIP_MAX_MDEGC 43000
#define CRYO_PROFILE_N2O_20G_SKIN_MIN_MDEGC 5000
#define CRYO_PROFILE_N2O_20G_STIMULUS_UA_MAX 5000
#define CRYO_PROFILE_N2O_20G_BATTERY_MIN_MV 3300

/* Limits of three 27G x 8.5 mm needles, N2O; compare the hash before ARM. */
#define CRYO_PROFILE_N2O_27GX3_HASH 0xAF39E9A7u
#define CRYO_PROFILE_N2O_27GX3_TIP_FLOOR_MDEGC (-85000)
#define CRYO_PROFILE_N2O_27GX3_SETPOINT_MIN_MDEGC (-57000)
#define CRYO_PROFILE_N2O_27GX3_SETPOINT_MAX_MDEGC (-20000)
#define CRYO_PROFILE_N2O_27GX3_SETPOINT_DEFAULT_MDEGC (-55000)
#define CRYO_PROFILE_N2O_27GX3_BAND_MDEGC 2000
#define CRYO_PROFILE_N2O_27GX3_REACH_MS_MAX 25000
#define CRYO_PROFILE_N2O_27GX3_COAST_MS 2000
#define CRYO_PROFILE_N2O_27GX3_SENSOR_ERROR_MDEGC 2000
#define CRYO_PROFILE_N2O_27GX3_COOLING_RATE_MDEGC_PER_S 6000
#define CRYO_PROFILE_N2O_27GX3_FREEZE_MS_MAX 180000
#define CRYO_PROFILE_N2O_27GX3_HOLD_MS_MAX 150000
#define CRYO_PROFILE_N2O_27GX3_PRESSURE_LOW_MBAR 40000
#define CRYO_PROFILE_N2O_27GX3_PRESSURE_WARN_MBAR 62000
#define CRYO_PROFILE_N2O_27GX3_PRESSURE_TRIP_MBAR 68000
#define CRYO_PROFILE_N2O_27GX3_EXHAUST_TRIP_MBAR 2500
#define CRYO_PROFILE_N2O_27GX3_NOMINAL_FLOW_UG_S 75000
#define CRYO_PROFILE_N2O_27GX3_CARTRIDGE_FILL_MG 16000
#define CRYO_PROFILE_N2O_27GX3_CARTRIDGE_USABLE_PERMILLE 800
#define CRYO_PROFILE_N2O_27GX3_GAS_USE_UG_S 75000
#define CRYO_PROFILE_N2O_27GX3_TIP_HEATER_MW 1500
#define CRYO_PROFILE_N2O_27GX3_THAW_ENERGY_MJ_MAX 5000
#define CRYO_PROFILE_N2O_27GX3_THAW_MS_MAX 600000
#define CRYO_PROFILE_N2O_27GX3_HEATER_ON_MS_MAX 20000
#define CRYO_PROFILE_N2O_27GX3_HEATER_TIP_MAX_MDEGC 43000
#define CRYO_PROFILE_N2O_27GX3_SKIN_MIN_MDEGC 5000
#define CRYO_PROFILE_N2O_27GX3_STIMULUS_UA_MAX 5000
#define CRYO_PROFILE_N2O_27GX3_BATTERY_MIN_MV 3300

/* Limits of 2.0 mm x 10 mm console probe, N2O; compare the hash before ARM. */
#define CRYO_PROFILE_N2O_CONSOLE_2MM_HASH 0x5E238B1Eu
#define CRYO_PROFILE_N2O_CONSOLE_2MM_TIP_FLOOR_MDEGC (-85000)
#define CRYO_PROFILE_N2O_CONSOLE_2MM_SETPOINT_MIN_MDEGC (-62000)
#define CRYO_PROFILE_N2O_CONSOLE_2MM_SETPOINT_MAX_MDEGC (-20000)
#define CRYO_PROFILE_N2O_CONSOLE_2MM_SETPOINT_DEFAULT_MDEGC (-60000)
#define CRYO_PROFILE_N2O_CONSOLE_2MM_BAND_MDEGC 2000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_REACH_MS_MAX 30000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_COAST_MS 2000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_SENSOR_ERROR_MDEGC 2000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_COOLING_RATE_MDEGC_PER_S 6000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_FREEZE_MS_MAX 180000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_HOLD_MS_MAX 150000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_PRESSURE_LOW_MBAR 40000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_PRESSURE_WARN_MBAR 62000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_PRESSURE_TRIP_MBAR 68000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_EXHAUST_TRIP_MBAR 3000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_NOMINAL_FLOW_UG_S 75000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_CARTRIDGE_FILL_MG 2900000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_CARTRIDGE_USABLE_PERMILLE 700
#define CRYO_PROFILE_N2O_CONSOLE_2MM_GAS_USE_UG_S 78000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_TIP_HEATER_MW 2500
#define CRYO_PROFILE_N2O_CONSOLE_2MM_THAW_ENERGY_MJ_MAX 5000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_THAW_MS_MAX 600000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_HEATER_ON_MS_MAX 20000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_HEATER_TIP_MAX_MDEGC 43000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_SKIN_MIN_MDEGC 5000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_STIMULUS_UA_MAX 5000
#define CRYO_PROFILE_N2O_CONSOLE_2MM_BATTERY_MIN_MV 3300

/* Limits of template, a 20G x 8 mm needle; compare the hash before ARM. */
#define CRYO_PROFILE_TEMPLATE_HASH 0x2387801Du
#define CRYO_PROFILE_TEMPLATE_TIP_FLOOR_MDEGC (-85000)
#define CRYO_PROFILE_TEMPLATE_SETPOINT_MIN_MDEGC (-63000)
#define CRYO_PROFILE_TEMPLATE_SETPOINT_MAX_MDEGC (-20000)
#define CRYO_PROFILE_TEMPLATE_SETPOINT_DEFAULT_MDEGC (-60000)
#define CRYO_PROFILE_TEMPLATE_BAND_MDEGC 2000
#define CRYO_PROFILE_TEMPLATE_REACH_MS_MAX 25000
#define CRYO_PROFILE_TEMPLATE_COAST_MS 2000
#define CRYO_PROFILE_TEMPLATE_SENSOR_ERROR_MDEGC 2000
#define CRYO_PROFILE_TEMPLATE_COOLING_RATE_MDEGC_PER_S 6000
#define CRYO_PROFILE_TEMPLATE_FREEZE_MS_MAX 180000
#define CRYO_PROFILE_TEMPLATE_HOLD_MS_MAX 150000
#define CRYO_PROFILE_TEMPLATE_PRESSURE_LOW_MBAR 40000
#define CRYO_PROFILE_TEMPLATE_PRESSURE_WARN_MBAR 62000
#define CRYO_PROFILE_TEMPLATE_PRESSURE_TRIP_MBAR 68000
#define CRYO_PROFILE_TEMPLATE_EXHAUST_TRIP_MBAR 2500
#define CRYO_PROFILE_TEMPLATE_NOMINAL_FLOW_UG_S 35000
#define CRYO_PROFILE_TEMPLATE_CARTRIDGE_FILL_MG 16000
#define CRYO_PROFILE_TEMPLATE_CARTRIDGE_USABLE_PERMILLE 800
#define CRYO_PROFILE_TEMPLATE_GAS_USE_UG_S 36000
#define CRYO_PROFILE_TEMPLATE_TIP_HEATER_MW 1500
#define CRYO_PROFILE_TEMPLATE_THAW_ENERGY_MJ_MAX 5000
#define CRYO_PROFILE_TEMPLATE_THAW_MS_MAX 600000
#define CRYO_PROFILE_TEMPLATE_HEATER_ON_MS_MAX 20000
#define CRYO_PROFILE_TEMPLATE_HEATER_TIP_MAX_MDEGC 43000
#define CRYO_PROFILE_TEMPLATE_SKIN_MIN_MDEGC 5000
#define CRYO_PROFILE_TEMPLATE_STIMULUS_UA_MAX 5000
#define CRYO_PROFILE_TEMPLATE_BATTERY_MIN_MV 3300

#endif
