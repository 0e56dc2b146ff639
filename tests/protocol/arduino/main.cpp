#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "Arduino.h"

void setup();
void loop();

HardwareSerial Serial;

static const int TIP_PIN = A0;

int analogRead(int pin) {
  return pin == TIP_PIN ? 146 : rand() & 1023;  // 146: 713.6 mV, 21.3 degC.
}

unsigned long micros() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<unsigned long>(now.tv_sec) * 1000000ul +
         static_cast<unsigned long>(now.tv_nsec / 1000);
}

unsigned long millis() { return micros() / 1000ul; }

void HardwareSerial::begin(unsigned long) {}

int HardwareSerial::available() {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 1) > 0 ? 1 : 0;
}

int HardwareSerial::read() {
  uint8_t byte;
  if (::read(STDIN_FILENO, &byte, 1) != 1) {
    exit(0);
  }
  return byte;
}

size_t HardwareSerial::write(const uint8_t *data, size_t size) {
  return static_cast<size_t>(::write(STDOUT_FILENO, data, size));
}

int main() {
  setup();
  for (;;) {
    loop();
  }
}
