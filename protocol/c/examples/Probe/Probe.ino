// The smallest probe on an Arduino: greets, sends telemetry, takes SELF_TEST, obeys STOP.
//
// It has no valve: a probe with one must also have the timers and the interlocks that SPEC.md asks
// for. Needs 16 KB of RAM; for less, define CRYO_RECEIVE_MAX and CRYO_SEND_MAX for the whole build.

#include <Arduino.h>

#include <cryo_port.h>
#include <string.h>

static const int TIP_PIN = A0;
static const int NOISE_PIN = A1;  // Leave it open.

static const uint8_t DEMO_KEY[CRYO_KEY_SIZE] = CRYO_DEMO_KEY;  // Known to everybody: for a bench.

static struct cryo_device_config config;
static struct cryo_port port;

static void writeOut(void *, const uint8_t *data, size_t size) { Serial.write(data, size); }

static uint32_t clockMs(void *) { return millis(); }

static uint8_t onCommand(void *, const struct cryo_command *command) {
  if (command->op != CRYO_OP_SELF_TEST) {
    return CRYO_ANSWER_NOT_PROVIDED;
  }
  cryo_port_done(&port, command->counter, command->op, CRYO_RESULT_OK, 0);
  return CRYO_ANSWER_ACCEPTED;
}

static void onStop(void *, const struct cryo_stop *stop) {
  // Here a real probe shuts its valve and switches its heater off, before it says so.
  cryo_port_report(&port, CRYO_EVENT_CODE_STOPPED, CRYO_DEVICE_STATE_SAFE, stop->trip, 0, 0);
}

// Noise of an open input, hashed. If your board has a random number generator, use that one: a nonce
// that comes twice lets a recorded session be played again.
static void gatherNoise(uint8_t digest[CRYO_DIGEST_SIZE]) {
  struct cryo_sha256 hash;
  cryo_sha256_begin(&hash);
  for (int i = 0; i < 2000; i++) {
    const int noise = analogRead(NOISE_PIN);
    const unsigned long at = micros();
    cryo_sha256_add(&hash, &noise, sizeof noise);
    cryo_sha256_add(&hash, &at, sizeof at);
  }
  cryo_sha256_end(&hash, digest);
}

void setup() {
  static const struct cryo_port_callbacks callbacks = {writeOut, onCommand, onStop, clockMs};
  struct cryo_hello *identity = &config.identity;
  uint8_t noise[CRYO_DIGEST_SIZE];

  Serial.begin(115200);
  gatherNoise(noise);
  memcpy(&identity->boot_id, noise, sizeof identity->boot_id);
  gatherNoise(config.nonce_seed);
  identity->major = CRYO_PROTOCOL_MAJOR;
  identity->minor = CRYO_PROTOCOL_MINOR;
  identity->schema_hash = CRYO_SCHEMA_HASH;
  identity->profile_hash = CRYO_PROFILE_N2O_20G_HASH;
  identity->key_id = CRYO_DEMO_KEY_ID;
  identity->capabilities =
      CRYO_CAPABILITY_LEASE | CRYO_CAPABILITY_AUTHENTICATION | CRYO_CAPABILITY_SELF_TEST;
  identity->sensors = CRYO_SENSOR_TIP;
  identity->telemetry_period_ms = 20;
  memcpy(identity->device_id, "ARDUINO-1", 9);
  memcpy(identity->firmware_id, "arduino-example", 15);
  memcpy(identity->profile_id, "n2o-20g", 7);
  memcpy(config.key, DEMO_KEY, sizeof DEMO_KEY);
  cryo_port_begin(&port, &config, &callbacks, nullptr);
}

void loop() {
  uint8_t bytes[64];
  size_t size = 0;

  while (size < sizeof bytes && Serial.available() > 0) {
    bytes[size++] = static_cast<uint8_t>(Serial.read());
  }
  // An amplifier with 10 mV per degree and 0.5 V at 0 degC, on a converter of 10 bits and 5 V.
  port.sample.tip_mdegc = (static_cast<int32_t>(analogRead(TIP_PIN)) * 5000 / 1023 - 500) * 100;
  cryo_port_poll(&port, bytes, size);
}
