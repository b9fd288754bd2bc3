// The peer for the whole core: installs a program and streams events, as core.rs does, directly in
// C++. Arguments: a file of pairs of 64-bit words (address, value), a file of events of 64 bytes,
// and how often the events go through. Prints a checksum of all decisions, the cycles, and the
// seconds of processor time that the stream took.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <vector>

#include "Vbare.h"
#include "verilated.h"

static std::vector<char> read_file(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int main(int, char** argv) {
    const auto writes = read_file(argv[1]);
    const auto events = read_file(argv[2]);
    const uint64_t rounds = std::strtoull(argv[3], nullptr, 10);
    VerilatedContext context;
    Vbare model{&context};
    uint64_t cycles = 0;
    const auto cycle = [&] {
        model.clk = 1;
        model.eval();
        model.clk = 0;
        model.eval();
        ++cycles;
    };
    model.eval();
    model.rst = 1;
    for (int i = 0; i < 4; ++i) cycle();
    model.rst = 0;
    model.eval();
    for (size_t at = 0; at + 16 <= writes.size(); at += 16) {
        uint64_t pair[2];
        std::memcpy(pair, &writes[at], 16);
        model.host_valid = 1;
        model.host_write = 1;
        model.host_address = static_cast<uint32_t>(pair[0]);
        model.host_wdata = pair[1];
        cycle();
        model.host_valid = 0;
        while (!model.host_answer_valid) cycle();
        cycle();
    }

    const size_t count = events.size() / 64;
    uint64_t checksum = 0;
    uint64_t left = rounds * count;
    uint64_t next = 0;
    model.decision_ready = 1;
    cycles = 0;
    const std::clock_t start = std::clock();
    while (left > 0) {
        model.event_valid = next < rounds * count;
        if (model.event_valid) std::memcpy(&model.event_payload[0], &events[next % count * 64], 64);
        model.eval();
        if (model.event_valid && model.event_ready) ++next;
        if (model.decision_valid) {
            for (int word = 0; word < 8; ++word)
                checksum = checksum * 31 + model.decision_payload[word];
            --left;
        }
        cycle();
    }
    const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::printf("%016llx %llu %.9f\n", static_cast<unsigned long long>(checksum),
                static_cast<unsigned long long>(cycles), took);
    model.final();
    return 0;
}
