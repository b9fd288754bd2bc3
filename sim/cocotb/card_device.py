"""The card as a device of cocotbext-pcie: its configuration space in Python, its packets on the pins of the RTL.

Packets pass as DWs in the order of the 7-series block: header DWs as numbers, payload DWs with the byte of the lowest
address in bits 31..24. Both are the big-endian reading of the packed packet.
"""

import random
import struct

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge

from cocotbext.pcie.core import Device, Endpoint
from cocotbext.pcie.core.caps import MsixCapability
from cocotbext.pcie.core.tlp import Tlp, TlpType

MEMORY = {TlpType.MEM_READ, TlpType.MEM_READ_64, TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}


class CardFunction(Endpoint):
    """Configuration space; everything else goes to the RTL."""

    def __init__(self, contract):
        super().__init__()
        self.vendor_id = contract["vendor"]
        self.device_id = contract["device"]
        self.subsystem_vendor_id = contract["vendor"]
        self.subsystem_id = contract["subsystem"]
        self.class_code = contract["class"]
        self.revision_id = contract["revision"]
        for bar in contract["bars"]:
            self.configure_bar(bar["number"], bar["bytes"])
        msix = contract["msix"]
        self.msix_cap = MsixCapability()
        self.msix_cap.msix_table_size = msix["vectors"] - 1
        self.msix_cap.msix_table_bar_indicator_register = msix["bar"]
        self.msix_cap.msix_table_offset = msix["table"]
        self.msix_cap.msix_pba_bar_indicator_register = msix["bar"]
        self.msix_cap.msix_pba_offset = msix["pending"]
        self.register_capability(self.msix_cap)
        self.pcie_cap.max_payload_size_supported = 2
        self.pcie_cap.function_level_reset_capability = True
        self.pcie_cap.initiate_function_level_reset = self.function_level_reset
        self.to_card = Queue()
        self.resets = 0

    async def function_level_reset(self):
        """A write of the reset bit: the RTL is told, and the function's own state goes."""
        self.resets += 1
        self.bus_master_enable = False
        self.msix_cap.msix_enable = False

    async def handle_tlp(self, tlp):
        """Configuration is answered here, memory requests and completions go to the card."""
        if tlp.is_completion() or tlp.fmt_type in MEMORY:
            self.to_card.put_nowait(tlp)
        else:
            await super().handle_tlp(tlp)


class Card:
    """Joins a function to the pins; pauses at random on both streams."""

    def __init__(self, dut, contract, seed):
        self.dut = dut
        self.function = CardFunction(contract)
        self.device = Device(self.function)
        self.lanes = contract["stream_bits"] // 32
        self.random = random.Random(seed)
        self.packets = {"to_card": 0, "from_card": 0}
        self.pause = 0.2

    def start(self):
        """Starts the processes that drive the pins; the clock runs already."""
        cocotb.start_soon(self._receive())
        cocotb.start_soon(self._send())
        cocotb.start_soon(self._sideband())

    async def _sideband(self):
        dut, function = self.dut, self.function
        resets = 0
        while True:
            cap = function.pcie_cap
            dut.sideband_completer_id.value = int(function.pcie_id)
            dut.sideband_max_payload.value = cap.max_payload_size
            dut.sideband_max_read_request.value = cap.max_read_request_size
            dut.sideband_bus_master.value = int(function.bus_master_enable)
            dut.sideband_msix_enable.value = int(function.msix_cap.msix_enable)
            dut.sideband_msix_mask.value = int(function.msix_cap.msix_function_mask)
            dut.sideband_link_up.value = 1
            dut.sideband_function_reset.value = int(resets != function.resets)
            resets = function.resets
            await RisingEdge(dut.clk)

    async def _receive(self):
        """Packets of the host, beat by beat."""
        dut = self.dut
        dut.rx_valid.value = 0
        while True:
            tlp = await self.function.to_card.get()
            tlp.release_fc()
            self.packets["to_card"] += 1
            bar = None if tlp.is_completion() else self.function.match_bar(tlp.address)
            packed = bytes(tlp.pack())
            words = struct.unpack(f">{len(packed) // 4}L", packed)
            beats = [words[at : at + self.lanes] for at in range(0, len(words), self.lanes)]
            for index, beat in enumerate(beats):
                while self.random.random() < self.pause:
                    await RisingEdge(dut.clk)
                dut.rx_payload_data.value = sum(word << 32 * lane for lane, word in enumerate(beat))
                dut.rx_payload_keep.value = (1 << 4 * len(beat)) - 1
                dut.rx_payload_last.value = int(index + 1 == len(beats))
                dut.rx_payload_bar_hit.value = 0 if bar is None else 1 << bar[0]
                dut.rx_valid.value = 1
                await RisingEdge(dut.clk)
                while not int(dut.rx_ready.value):
                    await RisingEdge(dut.clk)
                dut.rx_valid.value = 0

    async def _send(self):
        """Packets of the card."""
        dut = self.dut
        dut.tx_ready.value = 0
        words, ready = [], False
        while True:
            await RisingEdge(dut.clk)
            if ready and int(dut.tx_valid.value):
                data, keep = int(dut.tx_payload_data.value), int(dut.tx_payload_keep.value)
                for lane in range(self.lanes):
                    if keep >> 4 * lane & 15 == 15:
                        words.append(data >> 32 * lane & 0xFFFFFFFF)
                if int(dut.tx_payload_last.value):
                    tlp = Tlp.unpack(struct.pack(f">{len(words)}L", *words))
                    words = []
                    assert tlp.check(), f"the card sent {tlp!r}"
                    self.check(tlp)
                    self.packets["from_card"] += 1
                    await self.function.send(tlp)
            ready = self.random.random() >= self.pause
            dut.tx_ready.value = int(ready)

    def check(self, tlp):
        """Rules that the root complex does not look at."""
        cap = self.function.pcie_cap
        assert tlp.get_payload_size() <= 128 << cap.max_payload_size
        if not tlp.is_completion():
            assert self.function.bus_master_enable, "a request without bus mastering"
            assert not int(tlp.attr), "relaxed ordering or no-snoop"
            assert tlp.address % 4096 + 4 * tlp.length <= 4096, "a request over 4 KiB"
            if not tlp.has_data():
                assert 4 * tlp.length <= 128 << cap.max_read_request_size
