"""The card before the root complex of cocotbext-pcie, which this project did not write.

Addresses, ids, a program and what its events must give come from the file that `CARD_CONTRACT` names, made by
`sim/tests/cocotb.rs` from the tables of rmt-isa and by the interpreter.
"""

import json
import logging
import os
import random
import struct

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, with_timeout

from cocotbext.pcie.core import RootComplex
from cocotbext.pcie.core.caps import PciCapId

from card_device import Card

with open(os.environ["CARD_CONTRACT"], encoding="utf-8") as file:
    CONTRACT = json.load(file)
REGISTERS = CONTRACT["registers"]
SEED = CONTRACT["seed"]
LOG2 = 5
# A line for each packet would be thousands.
logging.getLogger("cocotb.pcie").setLevel(logging.ERROR)


class Bench:
    """A root complex with the card below it."""

    def __init__(self, dut):
        self.dut = dut
        self.random = random.Random(SEED)
        cocotb.start_soon(Clock(dut.clk, 4, unit="ns").start())
        self.card = Card(dut, CONTRACT, SEED)
        self.rc = RootComplex()
        self.port = self.rc.make_port()
        self.port.connect(self.card.device)
        self.rc.split_on_all_rcb = True
        self.rings = {}

    async def start(self, max_payload=0, max_read=2, boundary=False):
        self.dut.rst.value = 1
        self.card.start()
        await ClockCycles(self.dut.clk, 8)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 20)
        self.rc.max_payload_size_supported = max_payload
        self.port.pcie_cap.max_payload_size_supported = max_payload
        self.rc.read_completion_boundary = boundary
        await self.rc.enumerate()
        self.dev = self.rc.find_device(self.card.function.pcie_id)
        await self.dev.enable_device()
        await self.dev.set_master()
        # The model's enumeration leaves the smallest payload: choose it as a host with other devices would.
        self.rc.max_payload_size = max_payload
        for end in (self.dev.upstream_bridge(), self.dev):
            await end.set_mps(max_payload)
        await self.dev.set_readrq(max_read)
        assert self.card.function.pcie_cap.max_payload_size == max_payload

    def place(self, name, copy=0):
        register = REGISTERS[name]
        if copy == "admin":
            base = CONTRACT["admin"][register["block"]]
        else:
            base = register["base"] + register["stride"] * copy
        return self.dev.bar_window[register["bar"]], base + register["offset"], register["bytes"]

    async def read(self, name, copy=0):
        window, at, size = self.place(name, copy)
        return int.from_bytes(await window.read(at, size), "little")

    async def write(self, name, value, copy=0):
        window, at, size = self.place(name, copy)
        await window.write(at, value.to_bytes(size, "little"))

    async def open(self, pair, hooks=(), vector=None):
        """Gives a pair its rings and starts it."""
        if pair not in self.rings:
            self.rings[pair] = [*self.rc.alloc_region(4096), *self.rc.alloc_region(4096)]
        events, _, completions, memory = self.rings[pair][:4]
        memory[: 32 << LOG2] = bytes(32 << LOG2)
        self.rings[pair][4:] = [0, 0]
        await self.write("EVENT_RING", events, pair)
        await self.write("COMPLETION_RING", completions, pair)
        await self.write("RINGS", LOG2 | LOG2 << 8, pair)
        await self.write("INTERRUPT", 0 if vector is None else 1 << 31 | vector, pair)
        await self.write("HOOKS", sum(hook << 16 * place for place, hook in enumerate(hooks)), pair)
        await self.write("PAIR_CONTROL", 1 | len(hooks) << 8, pair)

    async def push(self, pair, records):
        """Puts records into the ring of events and rings the doorbell."""
        ring = self.rings[pair]
        for record in records:
            slot = ring[4] % (1 << LOG2)
            ring[1][64 * slot : 64 * slot + 64] = record
            ring[4] += 1
        await self.write("EVENT_TAIL", ring[4] & 0xFFFF, pair)

    async def take(self, pair):
        """The next completion, waited for."""
        ring = self.rings[pair]
        slot = ring[5] % (1 << LOG2)
        for _ in range(4000):
            record = bytes(ring[3][32 * slot : 32 * slot + 32])
            if record[5] >> 7 == 1 - (ring[5] >> LOG2 & 1):
                ring[5] += 1
                return record
            await ClockCycles(self.dut.clk, 5)
        raise AssertionError(f"no completion for pair {pair}")

    async def command(self, opcode, address=0, word=0, count=0, value=0):
        record = struct.pack("<HHIQIIQ32x", CONTRACT["opcodes"][opcode], 0, 77, address, word, count, value)
        await self.push("admin", [record])
        completion = await self.take("admin")
        await self.write("COMPLETION_HEAD", self.rings["admin"][5] & 0xFFFF, "admin")
        assert completion[4] == 0, f"{opcode}: status {completion[4]}"
        return struct.unpack("<3Q", completion[8:])

    async def install(self):
        """Opens the admin queue and installs the program."""
        await self.open("admin")
        image = CONTRACT["image"]
        # The card reads whole lines, also where a block ends within one.
        address, memory = self.rc.alloc_region(-16 * len(image) // 4096 * -4096)
        memory[: 16 * len(image)] = b"".join(struct.pack("<QQ", *entry) for entry in image)
        await self.command("write-list", address=address, count=len(image))

    async def expect(self, pair, cases):
        """Decisions for these cases, in any order."""
        expected = {case["tag"]: bytes.fromhex(case["decision"]) for case in cases}
        while expected:
            record = await self.take(pair)
            want = expected.pop(int.from_bytes(record[:4], "little"))
            # All but the phase and the cycles.
            assert record[4] == want[4] and record[5] & 7 == want[5] & 7 and record[8:] == want[8:]


@cocotb.test()
async def enumerates_and_says_what_it_is(dut):
    bench = Bench(dut)
    await bench.start()
    assert await bench.dev.config_read_word(0) == CONTRACT["vendor"]
    assert (await bench.dev.config_read_dword(8)) >> 8 == CONTRACT["class"]
    for bar in CONTRACT["bars"]:
        assert bench.dev.bar_size[bar["number"]] == bar["bytes"]
    assert await bench.read("MAGIC") == CONTRACT["magic"]
    window = bench.dev.bar_window[0]
    words = CONTRACT["capabilities"]
    found = await window.read(CONTRACT["window"], 8 * len(words))
    assert list(struct.unpack(f"<{len(words)}Q", found)) == words


@cocotb.test()
async def reads_and_writes_of_any_size(dut):
    bench = Bench(dut)
    await bench.start(max_payload=bench.random.randrange(3))
    window, first, _ = bench.place("EVENT_RING")
    # What keeps its bytes: all registers of a pair before its control register.
    size = REGISTERS["PAIR_CONTROL"]["offset"]
    model = bytearray(size)
    await window.write(first, model)
    for _ in range(120):
        at = bench.random.randrange(size)
        count = bench.random.randint(1, size - at)
        if bench.random.random() < 0.5:
            data = bench.random.randbytes(count)
            model[at : at + count] = data
            await window.write(first + at, data)
        else:
            assert await window.read(first + at, count) == model[at : at + count]


async def moves_blocks_and_events(dut, max_payload, max_read, boundary):
    """Blocks of words out and back, events of rings on all pairs."""
    bench = Bench(dut)
    await bench.start(max_payload, max_read, boundary)
    await bench.install()
    words = bench.random.randbytes(8 * 90)
    source, memory = bench.rc.alloc_region(4096)
    memory[: len(words)] = words
    target, back = bench.rc.alloc_region(4096)
    await bench.command("write-block", source, CONTRACT["scratch_word"], 90)
    await bench.command("read-block", target, CONTRACT["scratch_word"], 90)
    assert bytes(back[: len(words)]) == words
    cases = CONTRACT["cases"]
    for pair in range(CONTRACT["queues"]):
        await bench.open(pair, [CONTRACT["hook"]])
        await bench.push(pair, [bytes.fromhex(case["event"]) for case in cases])
    for pair in range(CONTRACT["queues"]):
        await bench.expect(pair, cases)
        assert await bench.read("PAIR_STATUS", pair) & 0xFF01 == 1


@cocotb.test()
async def moves_data_with_the_smallest_packets(dut):
    await moves_blocks_and_events(dut, max_payload=0, max_read=0, boundary=False)


@cocotb.test()
async def moves_data_with_large_packets(dut):
    await moves_blocks_and_events(dut, max_payload=2, max_read=2, boundary=True)


@cocotb.test()
async def an_inline_decision_takes_two_packets(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.install()
    await bench.open(0, [CONTRACT["hook"]])
    await bench.read("MAGIC")
    before = dict(bench.card.packets)
    window, first = bench.dev.bar_window[0], CONTRACT["inline"]
    for case in CONTRACT["cases"]:
        line = bench.rings[0][5] >> (LOG2 - 4) & 31
        await window.write(first + 64 * line, bytes.fromhex(case["event"]))
        await bench.expect(0, [case])
    count = len(CONTRACT["cases"])
    after = bench.card.packets
    assert {name: after[name] - before[name] for name in after} == {"to_card": count, "from_card": count}


@cocotb.test()
async def interrupts_arrive(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.dev.alloc_irq_vectors(1, CONTRACT["msix"]["vectors"])
    arrived = Event()

    async def handler():
        arrived.set()

    bench.dev.request_irq(1, handler)
    await bench.install()
    await bench.open(0, [CONTRACT["hook"]], vector=1)
    case = CONTRACT["cases"][0]
    await bench.push(0, [bytes.fromhex(case["event"])])
    await with_timeout(arrived.wait(), 20, "us")
    # The decision was written before its interrupt.
    assert bench.rings[0][3][5] >> 7 == 1
    await bench.expect(0, [case])


@cocotb.test()
async def a_function_level_reset_leaves_a_card_that_works(dut):
    bench = Bench(dut)
    await bench.start()
    await bench.install()
    await bench.open(0, [CONTRACT["hook"]])
    cases = CONTRACT["cases"]
    await bench.push(0, [bytes.fromhex(case["event"]) for case in cases])
    await ClockCycles(dut.clk, 60)
    control = await bench.dev.capability_read_dword(PciCapId.EXP, 8)
    await bench.dev.capability_write_dword(PciCapId.EXP, 8, control | 1 << 15)
    await ClockCycles(dut.clk, 200)
    assert bench.card.function.resets == 1
    await bench.dev.set_master()
    assert await bench.read("PAIR_STATUS", 0) & 0xFFFF == 0
    assert await bench.read("DECISIONS") == 0
    await bench.install()
    await bench.open(0, [CONTRACT["hook"]])
    await bench.push(0, [bytes.fromhex(case["event"]) for case in cases])
    await bench.expect(0, cases)
