//! The device's own registers, and the decode of all others.

use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::card::shape::MAGIC as MAGIC_VALUE;
use rmt_isa::device::fields::{device_control, device_errors};
use rmt_isa::device::registers::{
    ADMIN_PAGE, ADMIN_PAIR, Block, CONTROL, CORE_PAGE, CORE_WINDOW, CORE_WINDOW_WORDS, COUNTERS,
    CYCLES, ERRORS, FAILED_PAIRS, FUNCTION, IDENTITY, INLINE_SLOTS, LINE_BYTES, MAGIC, PAGE, PAIR,
    PAIR_CONTROL, PAIR_PAGE_BYTES, QUEUES, READ_TIMEOUT, REGISTERS, STATUS, STREAM_BITS, VECTORS,
    VERSION,
};
use rmt_isa::device::{READ_TIMEOUT_CYCLES, pci};
use rtl_builder::prelude::*;
use rtl_builder::stock::lowest_set;

use super::admin::COUNTER_NUMBER_BITS;
use super::config_copy::ConfigCopy;
use super::core_access::{CoreReply, CoreRequest};
use super::inline::pair_bits;
use super::pair::{line as line_of, merge};
use crate::bits::{any, flag, word_of};
use crate::counters::{Counters, SETTLE_CYCLES};
use crate::tlp::{LINE_BITS, LineBytes, join, place_bits, shown};

/// Lines of the window onto the core.
const WINDOW_LINES: u32 = CORE_WINDOW_WORDS * 8 / LINE_BYTES;

/// Decodes writes of words and reads of DWs.
pub struct Registers {
    /// Queue pairs.
    pub queues: u32,
    /// Inline events of each pair.
    pub inline_slots: u32,
    /// Width of the streams, bits.
    pub stream_bits: u32,
}

/// Ports of [`Registers`].
#[derive(Clone, Ports)]
pub struct RegistersIo {
    /// Bytes of the register BAR are written
    pub write: Input<Bool>,
    /// They are of the window onto the core, and wait until it has them all
    pub waits: Input<Bool>,
    /// They are taken in this cycle
    pub ready: Output<Bool>,
    /// Number of their line
    pub line: Input<UInt>,
    /// The bytes
    pub bytes: Input<LineBytes>,
    /// A DW is wanted
    pub reads: Input<Bool>,
    /// Its number
    pub dw: Input<UInt>,
    /// It is there
    pub read_ready: Output<Bool>,
    /// The DW
    pub read_data: Output<UInt>,
    /// The line is that of the rings and rights of a pair; the admin queue is the last one
    pub pair_write: Output<UInt>,
    /// The line is that of the doorbells of a pair
    pub page_write: Output<UInt>,
    /// The line is in the page of a queue pair
    pub in_page: Output<Bool>,
    /// The pair whose page it is
    pub page_pair: Output<UInt>,
    /// The state in each pair's line, the admin queue last
    pub pair_controls: Vec<Input<UInt>>,
    /// The DW of that place in the first lines of their pages
    pub page_dws: Vec<Input<UInt>>,
    /// Bit p: pair p has failed; the admin queue is the last one
    pub failed: Input<UInt>,
    /// What the counters count in this cycle, in their order
    pub events: Vec<Input<Bool>>,
    /// Bits of `ERRORS` that happen in this cycle
    pub errors: Input<UInt>,
    /// Register `STATUS`
    pub status: Input<UInt>,
    /// Access to the core
    pub core: Output<CoreRequest>,
    /// Its end
    pub reply: Input<CoreReply>,
    /// Cycles that a read may take
    pub read_timeout: Output<UInt>,
    /// The host asks for a reset
    pub reset: Output<Bool>,
    /// The admin queue reads counters: the host waits
    pub counter_asked: Input<Bool>,
    /// Number of the counter that it reads
    pub counter_number: Input<UInt>,
    /// The counter
    pub counter: Output<UInt>,
    /// Results of a health command
    pub health: Vec<Output<UInt>>,
    /// A new error happened
    pub alarm: Output<Bool>,
}

impl Component for Registers {
    type Io = RegistersIo;

    fn name(&self) -> String {
        format!("device_registers_q{}_s{}_w{}", self.queues, self.inline_slots, self.stream_bits)
    }

    fn doc(&self) -> String {
        "The device's own registers, and the decode of all others".into()
    }

    fn io(&self) -> RegistersIo {
        let all = self.queues + 1;
        let counters = REGISTERS.iter().filter(|register| register.block == COUNTERS);
        RegistersIo {
            write: input(boolean()),
            waits: input(boolean()),
            ready: output(boolean()),
            line: input(uint(LINE_BITS)),
            bytes: input(LineBytes::shape(self.stream_bits)),
            reads: input(boolean()),
            dw: input(uint(LINE_BITS + 4)),
            read_ready: output(boolean()),
            read_data: output(uint(32)),
            pair_write: output(uint(all)),
            page_write: output(uint(all)),
            in_page: output(boolean()),
            page_pair: output(uint(pair_bits(self.queues))),
            pair_controls: (0..all).map(|_| input(uint(32))).collect(),
            page_dws: (0..all).map(|_| input(uint(32))).collect(),
            failed: input(uint(all)),
            events: counters.map(|_| input(boolean())).collect(),
            errors: input(uint(32)),
            status: input(uint(32)),
            core: output(CoreRequest::shape()),
            reply: input(CoreReply::shape()),
            read_timeout: output(uint(32)),
            reset: output(boolean()),
            counter_asked: input(boolean()),
            counter_number: input(uint(COUNTER_NUMBER_BITS)),
            counter: output(uint(32)),
            health: (0..3).map(|_| output(uint(64))).collect(),
            alarm: output(boolean()),
        }
    }

    fn build(&self, io: RegistersIo) {
        let all = self.queues + 1;
        let bytes = io.bytes.value();
        let (data, enables) = (bytes.line(), bytes.line_enables());
        let line_number = |block: Block, copy: u32| u64::from(block.at(copy) / LINE_BYTES);
        // Nothing is taken before the copy for reads is cleared.
        let copy =
            instance("config_copy", ConfigCopy { queues: self.queues, bits: self.stream_bits });
        let takes = (!copy.clears.value()).named("takes_writes");
        let writes = io.write & takes;
        // The window takes the core's words of 64 bits one by one; the bytes stay offered until it has them all.
        let words = self.stream_bits / 64;
        let window_words =
            reg("window_words", uint(words), 0).doc("Words of the window to be written");
        let window_open = reg("window_open", boolean(), false).doc("They are being written");
        let window_log2 = WINDOW_LINES.ilog2();
        let whole: Vec<UInt> = (0..words)
            .map(|word| bytes.enables.bits(8 * word..8 * word + 8).reduce_and().as_uint())
            .collect();
        let whole = join(&whole).named("whole_words");
        let to_window = io.waits.value();
        let opens = (writes & to_window & !window_open).named("opens");
        // Registers alone say when the bytes are taken: the stream waits for it.
        let window_done = reg("window_done", boolean(), false).doc("All are written");
        window_done.next(window_open & window_words.is_zero() & !window_done);
        let ready = (!to_window | window_done).named("line_ready");
        io.ready.set(ready & takes);
        when(opens, || {
            window_open.next(true);
            window_words.next(whole);
        });
        when(window_done, || window_open.next(false));
        let write = (writes & ready).named("write_now");
        // All lines but the window's are taken at once.
        let hits = |block: Block, number: u32| writes & io.line.eq(line_number(block, number));
        let of_all = |block: Block, admin: Block| {
            let pairs = (0..self.queues).map(|pair| hits(block, pair));
            join(&pairs.chain([hits(admin, 0)]).map(|hit| hit.as_uint()).collect::<Vec<_>>())
        };
        let pair_write = of_all(PAIR, ADMIN_PAIR);
        io.pair_write.set(pair_write);
        copy.write.set(pair_write.reduce_or());
        copy.line.set(io.line);
        copy.bytes.set(bytes);
        copy.read_dw.set(io.dw);
        io.page_write.set(of_all(PAGE, ADMIN_PAGE));
        let page_lines_log2 = (PAIR_PAGE_BYTES / LINE_BYTES).ilog2();
        let page_number = |line: UInt| line.bits(page_lines_log2..LINE_BITS - 1);
        let in_pages = |line: UInt| line.bit(LINE_BITS - 1);
        let pair = page_number(io.line.value());
        io.in_page.set(writes & in_pages(io.line.value()) & pair.lt(self.queues));
        io.page_pair.set(pair.resize(pair_bits(self.queues)));

        // The function's registers.
        let function = hits(FUNCTION, 0);
        let timeout = reg("read_timeout_reg", uint(32), u64::from(READ_TIMEOUT_CYCLES));
        let core_page = reg("core_page", uint(32), 0);
        when(function, || {
            timeout.next(merge(READ_TIMEOUT, timeout.value(), data, enables));
            core_page.next(merge(CORE_PAGE, core_page.value(), data, enables));
        });
        // The least is put in beforehand: all slots compare with it.
        let used_timeout = reg("used_timeout", uint(32), u64::from(READ_TIMEOUT_CYCLES));
        used_timeout.next(timeout.max(64));
        io.read_timeout.set(used_timeout);
        let control = merge(CONTROL, UInt::lit(0, 32), data, enables);
        io.reset.set(function & flag(control, device_control::RESET));
        let errors = reg("errors_reg", uint(32), 0);
        let cleared =
            mux(function, merge(ERRORS, UInt::lit(0, 32), data, enables), UInt::lit(0, 32));
        let failed = io.failed.value();
        let seen = io.errors.value()
            | word_of(
                &[
                    (device_errors::PAIR, failed.bits(0..self.queues).reduce_or().as_uint()),
                    (device_errors::ADMIN, failed.bit(self.queues).as_uint()),
                ],
                32,
            );
        errors.next((errors.value() & !cleared) | seen);
        io.alarm.set((seen & !errors.value()).reduce_or());
        let cycles = reg("cycles", uint(64), UInt::lit(0, 64));
        cycles.next(cycles.wrapping_add(1));

        // The host waits until all that has happened before its read is counted.
        let names = REGISTERS.iter().filter(|register| register.block == COUNTERS);
        let counted: Vec<_> = names
            .zip(&io.events)
            .enumerate()
            .map(|(number, (register, event))| {
                assert_eq!(register.offset as usize, 4 * number, "counters stand without gap");
                (format!("count_{}", register.name.to_lowercase()), event.value().as_uint())
            })
            .collect();
        let counters = Counters::of_bits("counters", 32, &counted);
        let read_line = io.dw.bits(4..LINE_BITS + 4);
        let read_place = io.dw.bits(0..4);
        let counter_number = mux(io.counter_asked, io.counter_number.value(), read_place);
        let counter = counters.read(counter_number.zext(5)).trunc(32);
        io.counter.set(counter);
        // Which line is read is known a cycle after the DW's number.
        let asked = reg("asked", boolean(), false).doc("The DW was wanted in the last cycle too");
        let read_at = |name: &str, line: u64| delayed(format!("reads_{name}"), read_line.eq(line));
        let is_counter = read_at("counters", line_number(COUNTERS, 0));
        let settle_left = reg("settle_left", uint(bits_for(SETTLE_CYCLES + 1)), SETTLE_CYCLES);
        let settled = settle_left.is_zero() & !io.counter_asked.value();
        // Of a register that is read, what each unit says goes into a register, as zero unless it is asked, and is joined a
        // cycle later.
        let looked = reg("looked", boolean(), false).doc("The DW that is wanted is in them");
        when(asked & is_counter & !settled & !looked, || {
            when(!settle_left.is_zero(), || settle_left.next(settle_left.wrapping_sub(1)));
        })
        .otherwise(|| settle_left.next(SETTLE_CYCLES));
        let failed_pairs = failed.zext(32);
        let healths =
            [errors.value().concat(io.status.value()), failed_pairs.zext(64), cycles.value()];
        for (port, value) in io.health.iter().zip(healths) {
            port.set(value);
        }

        // Reads.
        let constant = |value: u64, bits: u32| UInt::lit(value, bits);
        let vectors = pci::msix_vectors(self.queues);
        let identity = line_of(&[
            (MAGIC, constant(MAGIC_VALUE, 64)),
            (VERSION, constant(rmt_isa::device::VERSION.into(), 32)),
            (QUEUES, constant(self.queues.into(), 32)),
            (INLINE_SLOTS, constant(self.inline_slots.into(), 32)),
            (VECTORS, constant(vectors.into(), 32)),
            (STREAM_BITS, constant(self.stream_bits.into(), 32)),
        ]);
        let function_line = line_of(&[
            (STATUS, io.status.value()),
            (ERRORS, errors.value()),
            (FAILED_PAIRS, failed_pairs),
            (READ_TIMEOUT, timeout.value()),
            (CORE_PAGE, core_page.value()),
            (CYCLES, cycles.value()),
        ]);
        // The DW of each line is chosen where the line stands: lines are not led anywhere.
        let dw_of = |line: UInt| shown(line, read_place, 32);
        let none = UInt::lit(0, 32);
        let mut shown_dws = vec![
            mux(read_at("identity", line_number(IDENTITY, 0)), dw_of(identity), none),
            mux(read_at("function", line_number(FUNCTION, 0)), dw_of(function_line), none),
            mux(is_counter, counter, none),
        ];
        let (mut controls, mut of_pairs) = (none, Vec::new());
        for pair in 0..all {
            let (block, page, number) =
                if pair == self.queues { (ADMIN_PAIR, ADMIN_PAGE, 0) } else { (PAIR, PAGE, pair) };
            let of_pair = read_at(&format!("pair_{pair}"), line_number(block, number));
            let of_page = read_at(&format!("page_{pair}"), line_number(page, number));
            controls = controls | mux(of_pair, io.pair_controls[pair as usize].value(), none);
            shown_dws.push(mux(of_page, io.page_dws[pair as usize].value(), none));
            of_pairs.push(of_pair);
        }
        let is_control = read_place.eq(u64::from(PAIR_CONTROL.offset / 4));
        let copy_dw = mux(any(&of_pairs) & !is_control, copy.read_data.value(), none);
        let shown_dw = shown_dws.iter().fold(none, |all, &dw| all | dw);
        let register_dw = delayed("control_read", mux(is_control, controls, none))
            | delayed("copy_read", copy_dw)
            | delayed("register_read", shown_dw);

        // The window onto the core.
        let (waits, word) = lowest_set(window_words.value());
        let of_window = delayed("reads_window", in_window(read_line));
        let window_read = asked & of_window;
        // The high half comes from the read of the low half before it.
        let kept = reg_uninit("kept_high", uint(32));
        let kept_word = reg("kept_word", uint(8), 0);
        let kept_valid = reg("kept_valid", boolean(), false);
        let read_word = io.dw.bits(1..9).named("read_word");
        let kept_fits = delayed("kept_fits", io.dw.bit(0) & kept_word.eq(read_word));
        let from_kept = window_read & kept_fits & kept_valid;
        // What is asked stays until its reply: a read that has begun goes before new writes.
        let reading = reg("reading", boolean(), false);
        let reads_core =
            (window_read & !from_kept & (reading.value() | !waits)).named("reads_core");
        let writes_core = (waits & !reads_core).named("writes_core");
        reading.next(reads_core & !io.reply.done);
        let page = core_page.value();
        let window_data: Vec<UInt> =
            (0..words).map(|word| bytes.word.bits(64 * word..64 * word + 64)).collect();
        // The place in the line in words of 64 bits: of the stream's word, and in it.
        let in_line = bytes.place.concat(word);
        let in_line = in_line.bits(in_line.width() - place_bits(64)..in_line.width());
        let place = mux(writes_core, io.line.bits(0..window_log2).concat(in_line), read_word);
        let address = page.bits(0..ADDRESS_BITS - 8).concat(place);
        io.core.set(CoreRequest {
            valid: writes_core | reads_core,
            write: writes_core,
            address,
            data: select(word, &window_data),
        });
        let done = io.reply.done;
        when(done & writes_core, || {
            let bit = UInt::lit(1, words).shift_left(word);
            window_words.next(window_words.value() & !bit);
        });
        let read_done = done & reads_core;
        let answer = mux(io.reply.failed, UInt::lit(u64::MAX, 64), io.reply.data);
        when(read_done, || {
            kept.next(answer.bits(32..64));
            kept_word.next(read_word);
            kept_valid.next(!io.dw.bit(0));
        });
        let begins = opens | (write & !window_open);
        when(begins | from_kept, || kept_valid.next(false));
        let half = mux(io.dw.bit(0), answer.bits(32..64), answer.bits(0..32));
        let read_ready = read_done | from_kept | looked;
        asked.next(io.reads & !read_ready);
        looked.next(asked & !of_window & !looked & takes & (!is_counter | settled));
        io.read_ready.set(read_ready);
        io.read_data.set(mux(of_window, mux(from_kept, kept.value(), half), register_dw));
    }
}

/// A line of the register BAR is in the window onto the core.
pub(crate) fn in_window(line: UInt) -> Bool {
    let low = WINDOW_LINES.ilog2();
    line.bits(low..LINE_BITS).eq(u64::from(CORE_WINDOW.at(0) / LINE_BYTES / WINDOW_LINES))
}
