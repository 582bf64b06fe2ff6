// SPDX-License-Identifier: Apache-2.0
//
// Drives a Verilated accelerator with beats and records every transfer on every stream.
//
//   harness STIMULUS RESULT [TRACE]
//
// STIMULUS and RESULT are little-endian binary files, described in popshift.flows.verilate. Cycle 0
// is the first cycle after reset. Registers start with random bits, so a missing reset shows.
// `bindings.h`, written for the model, defines Model, Trace, the stream tables and access to ports.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "verilated.h"

#include "bindings.h"

namespace {

constexpr int kResetCycles = 1;  // the shortest, so that no counter can settle by itself

struct Reader {
  std::ifstream file;
  explicit Reader(const char* path) : file(path, std::ios::binary) {}
  void bytes(void* to, size_t count) {
    file.read(static_cast<char*>(to), static_cast<std::streamsize>(count));
    if (!file) {
      std::fprintf(stderr, "stimulus: file ends too early\n");
      std::exit(3);
    }
  }
  uint64_t word() {
    uint64_t value = 0;
    bytes(&value, sizeof value);
    return value;
  }
  std::vector<uint64_t> words() {
    std::vector<uint64_t> values(word());
    bytes(values.data(), values.size() * sizeof(uint64_t));
    return values;
  }
};

// A source waits gaps[k] idle cycles before it offers beat k, then holds it until it is taken.
struct Source {
  std::vector<uint64_t> gaps;
  std::vector<uint8_t> beats;
  uint64_t count = 0, sent = 0, wait = 0;
  bool offers() const { return wait == 0 && sent < count; }
};

struct Sink {
  std::vector<uint64_t> ready;
  uint64_t expected = 0;
};

struct Record {
  std::vector<uint64_t> cycles;
  std::vector<uint8_t> data;
};

Record records[kStreams];

}  // namespace

uint64_t now = 0;

void transferred(int stream, const void* data) {
  Record& record = records[stream];
  record.cycles.push_back(now);
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  record.data.insert(record.data.end(), bytes, bytes + kBytes[stream]);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: harness STIMULUS RESULT [TRACE]\n");
    return 2;
  }
  Reader in(argv[1]);
  const uint64_t seed = in.word();
  const uint64_t max_cycles = in.word();
  const uint64_t patience = in.word();
  std::vector<Source> sources(kInputs);
  for (int i = 0; i < kInputs; ++i) {
    sources[i].gaps = in.words();
    sources[i].count = in.word();
    sources[i].beats.resize(sources[i].count * kBytes[kInputStreams[i]]);
    in.bytes(sources[i].beats.data(), sources[i].beats.size());
    sources[i].wait = sources[i].gaps[0];
  }
  std::vector<Sink> sinks(kOutputs);
  for (int i = 0; i < kOutputs; ++i) {
    sinks[i].ready = in.words();
    sinks[i].expected = in.word();
  }

  VerilatedContext context;
  context.randReset(2);
  context.randSeed(static_cast<int>(seed));
  Model model(&context);
#ifdef POPSHIFT_TRACE
  context.traceEverOn(true);
  Trace trace;
  const bool is_traced = argc > 3;
  if (is_traced) {
    model.trace(&trace, 99);
    trace.open(argv[3]);
  }
#endif

  auto clock = [&](bool level) {
    model.clk = level;
    model.eval();
#ifdef POPSHIFT_TRACE
    if (is_traced) trace.dump(context.time());
#endif
    context.timeInc(1);
  };

  model.rst = 1;
  for (int i = 0; i < kInputs; ++i) set_valid(model, i, false);
  for (int i = 0; i < kOutputs; ++i) set_ready(model, i, false);
  for (int i = 0; i < kResetCycles; ++i) {
    clock(false);
    clock(true);
  }
  model.rst = 0;

  uint64_t idle = 0;
  for (now = 0; now < max_cycles && idle < patience; ++now) {
    for (int i = 0; i < kInputs; ++i) {
      Source& source = sources[i];
      const bool offers = source.offers();
      set_valid(model, i, offers);
      if (offers) set_data(model, i, &source.beats[source.sent * kBytes[kInputStreams[i]]]);
    }
    for (int i = 0; i < kOutputs; ++i) {
      set_ready(model, i, sinks[i].ready[now % sinks[i].ready.size()] != 0);
    }
    clock(false);

    const bool moved = observe(model);
    idle = moved ? 0 : idle + 1;
    for (int i = 0; i < kInputs; ++i) {
      Source& source = sources[i];
      if (source.offers() && is_ready(model, i)) {
        ++source.sent;
        source.wait = source.gaps[source.sent % source.gaps.size()];
      } else if (source.wait > 0) {
        --source.wait;
        idle = 0;
      }
    }
    bool is_flooded = false;
    for (int i = 0; i < kOutputs; ++i) {
      is_flooded |= records[kOutputStreams[i]].cycles.size() > sinks[i].expected + 16;
    }
    if (is_flooded) break;
    clock(true);
  }
  model.final();
#ifdef POPSHIFT_TRACE
  if (is_traced) trace.close();
#endif

  std::ofstream out(argv[2], std::ios::binary);
  auto word = [&](uint64_t value) { out.write(reinterpret_cast<char*>(&value), sizeof value); };
  word(now);
  for (Record& record : records) {
    word(record.cycles.size());
    out.write(reinterpret_cast<char*>(record.cycles.data()),
              static_cast<std::streamsize>(record.cycles.size() * sizeof(uint64_t)));
    out.write(reinterpret_cast<char*>(record.data.data()),
              static_cast<std::streamsize>(record.data.size()));
  }
  out.flush();
  if (!out) {
    std::fprintf(stderr, "result: cannot write %s\n", argv[2]);
    return 4;
  }
  return 0;
}
