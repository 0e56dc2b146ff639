// As much of Arduino as our sketch uses, on standard input and output: no Arduino toolchain comes
// as a wheel.
#ifndef ARDUINO_STUB_H
#define ARDUINO_STUB_H

#include <stddef.h>
#include <stdint.h>

static const int A0 = 14;
static const int A1 = 15;

int analogRead(int pin);
unsigned long micros();
unsigned long millis();

class HardwareSerial {
 public:
  void begin(unsigned long baud);
  int available();
  int read();
  size_t write(const uint8_t *data, size_t size);
};

extern HardwareSerial Serial;

#endif
