//! Driving instances: values of all widths, several instances and models, threads, and how a design
//! can end.

use super::*;

#[test]
fn all_widths_and_signs_agree_with_plain_rust_over_random_input() {
    let model = sample().build(&toolchain(), &default_cache_dir()).unwrap();
    let input = |name| model.input(name).unwrap();
    let output = |name| model.output(name).unwrap();
    let clk = model.clock("clk").unwrap();
    let (reset, enable, a, b) = (input("reset"), input("enable"), input("a"), input("b"));
    let (wide_in, write, address, write_data) =
        (input("wide_in"), input("write"), input("address"), input("write_data"));

    let mut design = model.instantiate(InitialState::Zero).unwrap();
    design.poke(reset, 1).unwrap();
    design.cycle(clk).unwrap();
    design.poke(reset, 0).unwrap();

    let mut random = Random(1);
    let (mut count, mut sum, mut memory, mut wide) = (0u32, 0i64, [0u64; 16], [0u32; 10]);
    for cycle in 0..2000 {
        let (step, factor, weight) = (random.next() & 1, random.next() as i8, random.next() as i16);
        let (store, cell, data) = (random.next() & 1, random.next() & 15, random.next() >> 27);
        wide.fill_with(|| random.next() as u32);
        wide[9] &= 0xfff;
        design.poke(enable, step).unwrap();
        design.poke_signed(a, factor.into()).unwrap();
        design.poke_signed(b, weight.into()).unwrap();
        design.poke_words(wide_in, &wide).unwrap();
        design.poke(write, store).unwrap();
        design.poke(address, cell).unwrap();
        design.poke(write_data, data).unwrap();

        design.eval().unwrap();
        assert_eq!(
            design.peek(output("parity")).unwrap(),
            u64::from(factor.count_ones() % 2),
            "cycle {cycle}"
        );
        design.cycle(clk).unwrap();

        let read = memory[cell as usize];
        if store == 1 {
            memory[cell as usize] = data;
        }
        count += step as u32;
        // The accumulator wraps at 40 bits.
        sum = (sum + i64::from(factor) * i64::from(weight)) << 24 >> 24;
        let rotated = std::array::from_fn(|word| {
            let above = if word == 9 { wide[0] << 11 } else { wide[word + 1] << 31 };
            (wide[word] >> 1 | above) & if word == 9 { 0xfff } else { u32::MAX }
        });
        let rotated: [u32; 10] = rotated;
        assert_eq!(design.peek(output("count")).unwrap(), u64::from(count), "cycle {cycle}");
        assert_eq!(design.peek_signed(output("sum")).unwrap(), sum, "cycle {cycle}");
        assert_eq!(design.peek(output("read_data")).unwrap(), read, "cycle {cycle}");
        assert_eq!(design.words(output("wide_out")).unwrap(), rotated, "cycle {cycle}");
        let mut copy = [0; 2];
        design.peek_words(output("read_data"), &mut copy).unwrap();
        assert_eq!(copy, [read as u32, (read >> 32) as u32], "cycle {cycle}");
    }
    assert_eq!(design.time(), 5 + 2001 * 10);
}

#[test]
fn narrow_ports_take_words_too() {
    let model = sample().build(&toolchain(), &default_cache_dir()).unwrap();
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    let clk = model.clock("clk").unwrap();
    design.poke(model.input("write").unwrap(), 1).unwrap();
    design.poke_words(model.input("write_data").unwrap(), &[0x89ab_cdef, 0x1f]).unwrap();
    design.cycles(clk, 2).unwrap();
    assert_eq!(design.peek(model.output("read_data").unwrap()).unwrap(), 0x1f_89ab_cdef);
}

#[test]
fn wrong_use_of_ports_is_an_error_and_changes_nothing() {
    let model = sample().build(&toolchain(), &default_cache_dir()).unwrap();
    let other = counter("counter").build(&toolchain(), &default_cache_dir()).unwrap();
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    let (a, b, wide_in) =
        (model.input("a").unwrap(), model.input("b").unwrap(), model.input("wide_in").unwrap());
    let (parity, wide_out) = (model.output("parity").unwrap(), model.output("wide_out").unwrap());

    let text = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert_eq!(text(design.poke(a, 0x100)), "value 0x100 does not fit the 8 bits of input `a`");
    assert!(text(design.poke(wide_in, 1)).contains("300 bits"));
    assert!(text(design.poke_signed(a, 128)).contains("value 128"));
    assert!(text(design.poke_signed(a, -129)).contains("value -129"));
    assert!(text(design.poke_signed(wide_in, -1)).contains("300 bits"));
    assert!(
        text(design.poke_words(wide_in, &[0; 9])).contains("10 words of 32 bits; the slice has 9")
    );
    assert!(
        text(design.poke_words(wide_in, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1000])).contains("300 bits")
    );
    assert!(text(design.poke_words(b, &[0x1_0000])).contains("16 bits"));
    assert!(text(design.peek(wide_out).map(drop)).contains("300 bits"));
    assert!(text(design.words(parity).map(drop)).contains("1 bits"));
    assert!(text(design.peek_words(wide_out, &mut [0; 11])).contains("11"));
    assert!(text(design.cycle(other.clock("clk").unwrap())).contains("another model"));
    assert!(text(design.peek(other.output("count").unwrap()).map(drop)).contains("another model"));

    assert!(
        text(model.input("parity").map(drop))
            .contains("no input `parity`; it has: clk, reset, enable, a, b")
    );
    assert!(text(model.clock("a").map(drop)).contains("no clock (input of 1 bit) `a`"));
    assert!(text(other.output("clk").map(drop)).ends_with("it has: count"));

    design.poke_signed(a, 127).unwrap();
    design.poke_signed(a, -128).unwrap();
    design.eval().unwrap();
    assert_eq!(design.peek(parity).unwrap(), 1, "0x80 has one bit: only the last poke counts");
}

#[test]
fn instances_are_independent_and_move_between_threads() {
    let build = VerilatedBuild { optimisation: Optimisation::Run, ..counter("counter") };
    let model = build.build(&toolchain(), &default_cache_dir()).unwrap();
    let (clk, count) = (model.clock("clk").unwrap(), model.output("count").unwrap());
    let mut first = model.instantiate(InitialState::Zero).unwrap();
    first.cycles(clk, 3).unwrap();
    let handles: Vec<_> = (0..4)
        .map(|extra| {
            let mut second = model.instantiate(InitialState::Zero).unwrap();
            std::thread::spawn(move || {
                second.cycles(clk, 100 + extra).unwrap();
                second.peek(count).unwrap()
            })
        })
        .collect();
    let results: Vec<_> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
    assert_eq!(results, [100, 101, 102, 103]);
    first.cycle(clk).unwrap();
    assert_eq!(first.peek(count).unwrap(), 4);
}

#[test]
fn two_models_whose_classes_have_the_same_names_do_not_mix() {
    let up = counter("counter").build(&toolchain(), &default_cache_dir()).unwrap();
    let ports = vec![Port::input("clk", 1), Port::output("count", 8)];
    let down = small("counter", ports, "always @(posedge clk) count <= count - 8'd1;");
    let down = down.build(&toolchain(), &default_cache_dir()).unwrap();
    let mut counting_up = up.instantiate(InitialState::Zero).unwrap();
    let mut counting_down = down.instantiate(InitialState::Zero).unwrap();
    for _ in 0..5 {
        counting_up.cycle(up.clock("clk").unwrap()).unwrap();
        counting_down.cycle(down.clock("clk").unwrap()).unwrap();
    }
    // The library must stay loaded for as long as an instance lives, without the model that made
    // it.
    let (up_count, down_count) = (up.output("count").unwrap(), down.output("count").unwrap());
    drop((up, down));
    assert_eq!(counting_up.peek(up_count).unwrap(), 5);
    assert_eq!(counting_down.peek(down_count).unwrap(), 251);
}

#[test]
fn registers_without_reset_start_as_asked() {
    let model = sample().build(&toolchain(), &default_cache_dir()).unwrap();
    let count = model.output("count").unwrap();
    let start = |initial| {
        let mut design = model.instantiate(initial).unwrap();
        design.eval().unwrap();
        design.peek(count).unwrap()
    };
    assert_eq!(start(InitialState::Zero), 0);
    let seeds: Vec<_> = (1..=4).map(|seed| start(InitialState::Random { seed })).collect();
    assert_eq!(start(InitialState::Random { seed: 1 }), seeds[0]);
    assert!(seeds.iter().any(|value| *value != seeds[0]), "four seeds gave {seeds:?}");
}

/// A clock with three cycles in one of another: what both see of each other shows the order of the edges.
pub(super) fn two_speeds() -> VerilatedBuild {
    let ports = vec![
        Port::input("clk", 1),
        Port::input("in", 8),
        Port::output("slow", 8),
        Port::output("fast", 8),
        Port::output("fast_seen", 8),
        Port::output("seen", 24),
    ];
    let body = "always @(posedge clk) begin slow <= slow + in; fast_seen <= fast; end
        always @(posedge fast_clk) begin fast <= fast + 8'd1; seen <= {seen[15:0], slow + in}; end";
    let mut build = small("two_speeds", ports, body);
    build.sources[0].1 = build.sources[0].1.replacen("input", "input fast_clk,\n  input", 1);
    build.with_multiples("clk", &[("fast_clk", 3)])
}

#[test]
fn a_clock_goes_with_its_multiple() {
    let model = two_speeds().build(&toolchain(), &default_cache_dir()).unwrap();
    let clk = model.clock("clk").unwrap();
    let [slow, fast, fast_seen, seen] =
        ["slow", "fast", "fast_seen", "seen"].map(|name| model.output(name).unwrap());
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    design.poke(model.input("in").unwrap(), 5).unwrap();
    design.cycles(clk, 4).unwrap();
    let value = |port| design.peek(port).unwrap();
    // At the shared edge, the last of three, both see what was before it.
    assert_eq!((value(slow), value(fast), value(fast_seen)), (20, 12, 11));
    assert_eq!(value(seen), 0x14_1414);
    // One of the two alone stands still.
    design.cycles(model.clock("fast_clk").unwrap(), 2).unwrap();
    let value = |port| design.peek(port).unwrap();
    assert_eq!((value(slow), value(fast), value(seen)), (20, 14, 0x14_1919));
}

#[test]
fn a_multiple_of_no_clock_is_refused() {
    let refused = |change: &dyn Fn(&mut Multiple)| {
        let mut build = two_speeds();
        change(&mut build.multiples[0]);
        let error = build.build(&toolchain(), &default_cache_dir()).map(drop).unwrap_err();
        error.to_string()
    };
    assert!(refused(&|multiple| multiple.of = "in".into()).contains("multiple `fast_clk` of `in`"));
    assert!(refused(&|multiple| multiple.cycles = 1).contains("at least 2 cycles"));
}

#[test]
fn several_clocks_can_be_driven_by_hand() {
    let ports = vec![
        Port::input("fast", 1),
        Port::input("slow", 1),
        Port::output("n", 8),
        Port::output("sampled", 8),
    ];
    let body = "always @(posedge fast) n <= n + 8'd1;\n always @(posedge slow) sampled <= n;";
    let model = small("two_clocks", ports, body).build(&toolchain(), &default_cache_dir()).unwrap();
    let (fast, slow) = (model.input("fast").unwrap(), model.input("slow").unwrap());
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    for step in 0..24u64 {
        design.poke(fast, step % 2).unwrap();
        design.poke(slow, step / 3 % 2).unwrap();
        design.advance(3).unwrap();
    }
    // `slow` rises at steps 3, 9, 15 and 21, each time together with `fast`: it samples what was
    // before that edge.
    assert_eq!(design.peek(model.output("n").unwrap()).unwrap(), 12);
    assert_eq!(design.peek(model.output("sampled").unwrap()).unwrap(), 10);
    assert_eq!(design.time(), 5 + 24 * 3);
}

#[test]
fn a_design_that_ends_itself_says_where_and_stays_ended() {
    let ports = || vec![Port::input("clk", 1), Port::output("n", 8)];
    let body =
        |end| format!("always @(posedge clk) begin n <= n + 8'd1;\n if (n == 8'd3) {end}; end");
    let run = |build: VerilatedBuild| {
        let model = build.build(&toolchain(), &default_cache_dir()).unwrap();
        let (clk, n) = (model.clock("clk").unwrap(), model.output("n").unwrap());
        let mut design = model.instantiate(InitialState::Zero).unwrap();
        design.cycles(clk, 3).unwrap();
        let first = design.cycles(clk, 10).unwrap_err();
        let again = design.eval().unwrap_err();
        assert_eq!(first.to_string(), again.to_string());
        (first, design.peek(n).unwrap())
    };
    let (error, cycles) = run(small("finishes", ports(), &body("$finish")));
    assert!(
        matches!(&error, Error::Finished { message } if message.contains("finishes.v:6")),
        "{error}"
    );
    assert_eq!(cycles, 4, "the cycle of the $finish is completed, and no further one");
    let (error, _) = run(small("stops", ports(), &body("$stop")));
    assert!(
        matches!(&error, Error::Stopped { message } if message.contains("stops.v:6")),
        "{error}"
    );
    let (error, _) = run(small("fails", ports(), &body("$fatal(1, \"on purpose\")")));
    assert!(
        matches!(&error, Error::Stopped { message } if message.contains("fails.v:6")),
        "{error}"
    );
}

#[test]
fn an_end_concerns_only_the_instance_that_reached_it() {
    let ports = vec![Port::input("clk", 1), Port::input("end_", 1), Port::output("n", 8)];
    let body = "always @(posedge clk) begin n <= n + 8'd1; if (end_) $finish; end";
    let build = small("ends_when_told", ports, body);
    let model = build.build(&toolchain(), &default_cache_dir()).unwrap();
    let (clk, end) = (model.clock("clk").unwrap(), model.input("end_").unwrap());
    let mut first = model.instantiate(InitialState::Zero).unwrap();
    let mut second = model.instantiate(InitialState::Zero).unwrap();
    first.poke(end, 1).unwrap();
    assert!(matches!(first.cycle(clk), Err(Error::Finished { .. })));
    second.cycles(clk, 5).unwrap();
    // An instance that is dropped must not leave its context to the others either.
    drop(first);
    second.poke(end, 1).unwrap();
    assert!(matches!(second.cycle(clk), Err(Error::Finished { .. })));
    assert_eq!(second.peek(model.output("n").unwrap()).unwrap(), 6);
}

#[test]
fn names_that_cpp_reserves_or_cannot_spell_work() {
    let names = ["template", "a__b", "model", "namespace", "status", "final_"];
    let mut ports: Vec<_> = names.iter().map(|name| Port::input(*name, 4)).collect();
    ports.push(Port::output("y", 4));
    let body = format!("assign y = {};", names.join(" + "));
    let model = small("odd_names", ports, &body).build(&toolchain(), &default_cache_dir()).unwrap();
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    for (value, name) in (1..).zip(names) {
        design.poke(model.input(name).unwrap(), value).unwrap();
    }
    design.eval().unwrap();
    assert_eq!(design.peek(model.output("y").unwrap()).unwrap(), 21 % 16);
}

#[test]
fn a_model_on_two_threads_counts_the_same() {
    let build = VerilatedBuild { threads: 2, ..sample() };
    let model = build.build(&toolchain(), &default_cache_dir()).unwrap();
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    design.poke(model.input("enable").unwrap(), 1).unwrap();
    design.poke_signed(model.input("a").unwrap(), -7).unwrap();
    design.poke_signed(model.input("b").unwrap(), 11).unwrap();
    design.cycles(model.clock("clk").unwrap(), 1000).unwrap();
    assert_eq!(design.peek(model.output("count").unwrap()).unwrap(), 1000);
    assert_eq!(design.peek_signed(model.output("sum").unwrap()).unwrap(), -77_000);
}
