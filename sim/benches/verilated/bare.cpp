// The peer: drives the same design as main.rs does, with the same stimulus, directly in C++.
// Prints the checksum of all outputs and the seconds of processor time that the cycles took.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "Vbare.h"
#include "verilated.h"

int main(int, char** argv) {
    const uint64_t cycles = std::strtoull(argv[1], nullptr, 10);
    VerilatedContext context;
    Vbare model{&context};
    const auto cycle = [&] {
        model.clk = 1;
        model.eval();
        model.clk = 0;
        model.eval();
    };
    model.eval();
    model.reset = 1;
    cycle();
    model.reset = 0;

    constexpr int kInputWords = SIZE / 4;
    uint64_t random = 0x9e3779b97f4a7c15;
    uint64_t checksum = 0;
    const std::clock_t start = std::clock();
    for (uint64_t number = 0; number < cycles; ++number) {
        model.load = number % 64 < SIZE;
        for (int word = 0; word < kInputWords; ++word) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            model.activations[word] = static_cast<uint32_t>(random);
            model.weights[word] = static_cast<uint32_t>(random >> 32);
        }
        cycle();
        for (int word = 0; word < SIZE; ++word) checksum = checksum * 31 + model.sums[word];
    }
    const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::printf("%016llx %.9f\n", static_cast<unsigned long long>(checksum), took);
    model.final();
    return 0;
}
