// The C side of every Verilated model: a table of functions that sim/src/verilated/ffi.rs calls.
//
// Compiled together with the model's class `Vmodel` and with ports.inc, which names the ports in
// the order of the Rust side's list, and clocks that go with others:
//     PORT(clk) PORT(sum) PORT(fast_clk) MULTIPLE(clk, fast_clk, 2)
// No exception and no exit() may leave
// this file: `$stop`, `$fatal` and failed convergence become status codes.

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include "Vmodel.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

namespace {

// Must equal `Status` in ffi.rs.
enum Status : uint32_t { kOk = 0, kFinished = 1, kStopped = 2 };

constexpr uint64_t most_cycles() {
    uint64_t most = 1;
#define PORT(name)
#define MULTIPLE(of, clock, cycles) most = most > cycles ? most : cycles;
#include "ports.inc"
#undef PORT
#undef MULTIPLE
    return most;
}

// A waveform shows the n-th rising edge at n x 10 ticks, the falling edge half a period later, and
// the inputs of a cycle just before its rising edge, where a reader looks for what the registers
// saw. One tick is one nanosecond. With multiples of the clock the period is as many times longer, and
// those of their edges that lie between two of the clock stand in the half before the second.
constexpr uint64_t kPeriod = 10 * most_cycles();
constexpr uint64_t kHalfPeriod = kPeriod / 2;

// What a design's own stop throws, from deep inside eval() to the shim.
struct DesignStopped {
    std::string message;
};

std::string place(const char* file, int line) {
    return file && *file ? std::string{file} + ":" + std::to_string(line) + ": " : std::string{};
}

thread_local std::string t_construct_error;
thread_local std::string t_finish_message;

struct Instance {
    VerilatedContext context;
    std::unique_ptr<Vmodel> model;
#if VM_TRACE_FST
    std::unique_ptr<VerilatedFstC> trace;
#endif
    Status status = kOk;
    std::string message;

    Instance(uint32_t random, uint32_t seed) {
        context.randReset(random ? 2 : 0);
        context.randSeed(static_cast<int>(seed));
#if VM_TRACE_FST
        context.traceEverOn(true);
#endif
        model = std::make_unique<Vmodel>(&context, "");
        context.time(kHalfPeriod);
        // An edge is a change since the last evaluation: without this one, the first rising edge
        // would be missed.
        guarded([this] { eval(); });
    }

    // One evaluation at the present time.
    void eval() {
        model->eval();
        if (VL_UNLIKELY(context.gotFinish())) {
            status = kFinished;
            message = t_finish_message;
        }
    }

    // Brings a clock and all that go with it to `level`.
    void set(uint8_t* clock, uint8_t level) {
        *clock = level;
#define PORT(name)
#define MULTIPLE(of, multiple, cycles) \
    if (clock == &model->of) model->multiple = level;
#include "ports.inc"
#undef PORT
#undef MULTIPLE
    }

    // The cycles of its multiples before the next edge of a clock, which comes at time `rise`.
    void multiples(uint8_t* clock, uint64_t rise) {
        (void)clock;
        (void)rise;
#define PORT(name)
#define MULTIPLE(of, multiple, cycles)                                       \
    if (clock == &model->of) {                                               \
        for (uint64_t left = cycles - 1; left != 0 && status == kOk; --left) \
            pulse(&model->multiple, rise - left * (kHalfPeriod / cycles));   \
    }
#include "ports.inc"
#undef PORT
#undef MULTIPLE
    }

    void pulse(uint8_t* clock, uint64_t rise) {
        context.time(rise);
        *clock = 1;
        eval();
        dump(rise);
        context.time(rise + 1);
        *clock = 0;
        eval();
        dump(rise + 1);
    }

    // Writes all signals to the waveform, if one is open, at time `time`.
    void dump(uint64_t time) {
#if VM_TRACE_FST
        if (VL_UNLIKELY(trace)) trace->dump(time);
#else
        (void)time;
#endif
    }

    // Runs `body` unless the design has stopped before, and catches its stopping.
    template <typename Body>
    Status guarded(Body body) {
        if (VL_UNLIKELY(status != kOk)) return status;
        // The runtime's $finish and $stop act on the thread's context; left alone, that is the one of
        // whichever instance was constructed last.
        Verilated::threadContextp(&context);
        try {
            body();
        } catch (const DesignStopped& stop) {
            status = kStopped;
            message = stop.message;
        } catch (const std::exception& error) {
            status = kStopped;
            message = error.what();
        }
        return status;
    }
};

Instance* cast(void* handle) { return static_cast<Instance*>(handle); }

void* create(uint32_t random, uint32_t seed) {
    try {
        return new Instance{random, seed};
    } catch (const DesignStopped& stop) {
        t_construct_error = stop.message;
    } catch (const std::exception& error) {
        t_construct_error = error.what();
    }
    return nullptr;
}

const char* construct_error() { return t_construct_error.c_str(); }

void destroy(void* handle) {
    Instance* const self = cast(handle);
    Verilated::threadContextp(&self->context);
    try {
        // `final` blocks must not run after a stop: the state they would see is half of an
        // evaluation.
        if (self->status != kStopped) self->model->final();
    } catch (const DesignStopped&) {
    } catch (const std::exception&) {
    }
    delete self;
}

void addresses(void* handle, void** out) {
    Vmodel& model = *cast(handle)->model;
#define PORT(name) *out++ = static_cast<void*>(&model.name);
#define MULTIPLE(of, clock, cycles)
#include "ports.inc"
#undef PORT
#undef MULTIPLE
}

uint32_t eval(void* handle) {
    Instance* const self = cast(handle);
    return self->guarded([&] { self->eval(); });
}

uint32_t cycles(void* handle, uint8_t* clock, uint64_t count) {
    Instance* const self = cast(handle);
    return self->guarded([&] {
        for (; count != 0 && self->status == kOk; --count) {
            const uint64_t rise = self->context.time() + kHalfPeriod;
            self->multiples(clock, rise);
#if VM_TRACE_FST
            if (VL_UNLIKELY(self->trace)) {
                self->eval();
                self->dump(rise - 1);
            }
#endif
            self->context.time(rise);
            self->set(clock, 1);
            self->eval();
            self->dump(rise);
            self->context.time(rise + kHalfPeriod);
            self->set(clock, 0);
            self->eval();
            self->dump(rise + kHalfPeriod);
        }
    });
}

uint32_t advance(void* handle, uint64_t ticks) {
    Instance* const self = cast(handle);
    return self->guarded([&] {
        self->context.timeInc(ticks);
        self->eval();
        self->dump(self->context.time());
    });
}

uint64_t time(const void* handle) { return static_cast<const Instance*>(handle)->context.time(); }

const char* message(const void* handle) {
    return static_cast<const Instance*>(handle)->message.c_str();
}

// Returns 0 if the model was built without waveforms.
uint32_t trace_open(void* handle, const char* path) {
#if VM_TRACE_FST
    Instance* const self = cast(handle);
    self->trace = std::make_unique<VerilatedFstC>();
    self->model->trace(self->trace.get(), 99);
    self->trace->open(path);
    self->trace->dump(self->context.time());
    return 1;
#else
    (void)handle;
    (void)path;
    return 0;
#endif
}

void trace_close(void* handle) {
#if VM_TRACE_FST
    cast(handle)->trace.reset();
#else
    (void)handle;
#endif
}

// Must equal `Abi` in ffi.rs, field by field.
struct Abi {
    uint32_t version;
    uint32_t port_count;
    void* (*create)(uint32_t random, uint32_t seed);
    const char* (*construct_error)();
    void (*destroy)(void*);
    void (*addresses)(void*, void** out);
    uint32_t (*eval)(void*);
    uint32_t (*cycles)(void*, uint8_t* clock, uint64_t count);
    uint32_t (*advance)(void*, uint64_t ticks);
    uint64_t (*time)(const void*);
    const char* (*message)(const void*);
    uint32_t (*trace_open)(void*, const char* path);
    void (*trace_close)(void*);
};

constexpr uint32_t kPortCount = 0
#define PORT(name) +1
#define MULTIPLE(of, clock, cycles)
#include "ports.inc"
#undef PORT
#undef MULTIPLE
    ;

constexpr Abi kAbi = {
    RMT_ABI_VERSION, kPortCount, create,  construct_error, destroy, addresses,  eval,
    cycles,          advance,    time,    message,         trace_open, trace_close,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const void* rmt_verilated_abi() { return &kAbi; }

// The runtime is compiled with VL_USER_FINISH, VL_USER_STOP and VL_USER_FATAL: these take the place
// of its exit().

void vl_finish(const char* file, int line, const char*) VL_MT_UNSAFE {
    t_finish_message = place(file, line) + "$finish";
    Verilated::threadContextp()->gotFinish(true);
}

void vl_stop(const char* file, int line, const char*) VL_MT_UNSAFE {
    throw DesignStopped{place(file, line) +
                        "$stop, $fatal or a failed assertion (its text is on standard output)"};
}

void vl_fatal(const char* file, int line, const char*, const char* message) VL_MT_UNSAFE {
    throw DesignStopped{place(file, line) + message};
}
