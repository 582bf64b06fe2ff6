// Drives the serial pins of a board's top level, bit by bit, as a host would.
//
// Compiled with the Verilated model of the top level into a shared library; MODEL is the class and
// MODEL_HEADER its header. Ports: clk, uart_rxd, uart_txd, button, led.

#include MODEL_HEADER
#include "verilated.h"

#include <cstdint>
#include <memory>

namespace {

constexpr unsigned FRAME_BITS = 10;  // start, eight data bits, stop

struct Board {
    VerilatedContext context;
    std::unique_ptr<MODEL> model;
    std::uint64_t cycles = 0;

    void clock() {
        model->clk = 0;
        model->eval();
        model->clk = 1;
        model->eval();
        ++cycles;
    }
};

// The line from the host: frames back to back.
struct Sender {
    unsigned clocks_per_bit;
    unsigned frame = 0;
    unsigned bits_left = 0;
    unsigned count = 0;

    bool idle() const { return bits_left == 0; }

    void start(std::uint8_t byte) {
        frame = (1u << 9) | (unsigned(byte) << 1);
        bits_left = FRAME_BITS;
        count = clocks_per_bit;
    }

    bool level() const { return bits_left == 0 || (frame & 1); }

    void clock() {
        if (bits_left == 0 || --count != 0) return;
        frame >>= 1;
        --bits_left;
        count = clocks_per_bit;
    }
};

// The line to the host, sampled in the middle of each bit.
struct Receiver {
    unsigned clocks_per_bit;
    unsigned bits = 0;  // sampled bits of the frame, 0 when idle
    unsigned count = 0;
    unsigned frame = 0;
    bool busy = false;

    // Returns 1 for a byte in *byte, -1 for a frame without stop bit, else 0.
    int clock(bool level, std::uint8_t* byte) {
        if (!busy) {
            if (level) return 0;
            busy = true;
            bits = 0;
            frame = 0;
            count = clocks_per_bit / 2;
        }
        if (count-- != 0) return 0;
        count = clocks_per_bit - 1;
        frame |= unsigned(level) << bits;
        if (++bits != FRAME_BITS) return 0;
        busy = false;
        if ((frame & 1) || !(frame >> 9)) return -1;
        *byte = std::uint8_t(frame >> 1);
        return 1;
    }
};

}  // namespace

extern "C" {

// The caller's working directory must hold the files that $readmemh names.
Board* board_new(int seed) {
    auto* board = new Board;
    board->context.randReset(2);  // what no reset or initial value sets starts at random
    board->context.randSeed(seed);
    board->model = std::make_unique<MODEL>(&board->context);
    board->model->clk = 0;
    board->model->uart_rxd = 1;
    board->model->button = 0;
    board->model->eval();
    return board;
}

void board_delete(Board* board) {
    board->model->final();
    delete board;
}

std::uint64_t board_cycles(const Board* board) { return board->cycles; }

unsigned board_leds(const Board* board) { return board->model->led; }

// Lets cycles pass with the host silent.
void board_idle(Board* board, std::uint64_t cycles, int button) {
    board->model->uart_rxd = 1;
    board->model->button = button != 0;
    for (std::uint64_t i = 0; i < cycles; ++i) board->clock();
    board->model->button = 0;
}

// Drives given levels, one a cycle, and records what the pins show after each clock edge.
void board_drive(Board* board, const std::uint8_t* rxd, const std::uint8_t* button,
                 std::uint8_t* txd, std::uint32_t* leds, std::uint64_t cycles) {
    for (std::uint64_t i = 0; i < cycles; ++i) {
        board->model->uart_rxd = rxd[i] != 0;
        board->model->button = button[i] != 0;
        board->clock();
        txd[i] = board->model->uart_txd;
        leds[i] = board->model->led;
    }
}

// Sends images and collects answers; at most `window` images are on their way (0: no limit).
// Returns the number of received bytes, or -1 for a wrong frame from the board.
std::int64_t board_uart(Board* board, unsigned clocks_per_bit, const std::uint8_t* images,
                        std::uint64_t image_count, std::uint64_t image_bytes,
                        std::uint8_t* answers, std::uint64_t answer_bytes, std::uint64_t window,
                        std::uint64_t silence_cycles) {
    Sender sender{clocks_per_bit};
    Receiver receiver{clocks_per_bit};
    const std::uint64_t to_send = image_count * image_bytes;
    const std::uint64_t to_receive = image_count * answer_bytes;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t last_event = board->cycles;
    while (received < to_receive && board->cycles - last_event < silence_cycles) {
        if (sender.idle() && sent < to_send) {
            const std::uint64_t on_the_way = sent / image_bytes - received / answer_bytes;
            if (sent % image_bytes != 0 || window == 0 || on_the_way < window) {
                sender.start(images[sent++]);
                last_event = board->cycles;
            }
        }
        board->model->uart_rxd = sender.level();
        board->clock();
        sender.clock();
        const int event = receiver.clock(board->model->uart_txd, &answers[received]);
        if (event < 0) return -1;
        if (event > 0) {
            ++received;
            last_event = board->cycles;
        }
    }
    return std::int64_t(received);
}

}  // extern "C"
