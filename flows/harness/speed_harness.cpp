// SPDX-License-Identifier: Apache-2.0
//
// Runs a Verilated accelerator as fast as it goes: random beats in, a sink that always takes.
//
//   speed_harness BEATS
//
// Counts BEATS transfers on the first output and prints the cycles until the last one and the CPU
// seconds that they took. Nothing is recorded. `speed_bindings.h`, written for the model, gives the
// ports.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "verilated.h"

#include "speed_bindings.h"

namespace {

double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

uint64_t state = 88172645463325252ull;

// Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003.
uint64_t random_word() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

}  // namespace

void random_bytes(void* to, size_t count) {
  uint8_t* bytes = static_cast<uint8_t*>(to);
  for (size_t i = 0; i < count; i += 8) {
    const uint64_t word = random_word();
    std::memcpy(bytes + i, &word, count - i < 8 ? count - i : 8);
  }
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: speed_harness BEATS\n");
    return 2;
  }
  const uint64_t beats = std::strtoull(argv[1], nullptr, 10);
  VerilatedContext context;
  Model model(&context);
  auto clock = [&](bool level) {
    model.clk = level;
    model.eval();
  };
  set_idle(model);
  model.rst = 1;
  clock(false);
  clock(true);
  model.rst = 0;
  set_busy(model);

  const double begin = cpu_seconds();
  uint64_t cycles = 0, last = 0, left = beats;
  while (left > 0) {
    clock(false);
    const unsigned taken = takes_input(model);
    const bool given = gives_output(model);
    clock(true);
    if (taken) next_beats(model, taken);
    ++cycles;
    if (given) {
      --left;
      last = cycles;
    }
  }
  const double seconds = cpu_seconds() - begin;
  std::printf("%llu %.6f\n", static_cast<unsigned long long>(last), seconds);
  model.final();
  return 0;
}
