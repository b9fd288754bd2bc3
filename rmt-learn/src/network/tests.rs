//! Gradients against differences, known minima, integers against floats and against the machine.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::event::Event;
use rmt_isa::operand::Element;
use rmt_isa::program::Window;
use rmt_vm::Machine;
use rmt_vm::verifier::{Limits, verify};

use super::float::{FloatNetwork, Kind, Layer};
use super::integer::{IntegerNetwork, Step};
use super::online::{IntegerTrainSettings, IntegerTrainer};
use super::program_text::program_text;
use super::quantise::quantise;
use super::train::{Sample, TrainSettings, accuracy, train};
use crate::error::LearnError;

/// Points of a disc and of the ring around it: no line parts them.
fn ring(count: u64, seed: u64) -> (Vec<Vec<i32>>, Vec<Sample>) {
    let mut lanes = Vec::new();
    let mut samples = Vec::new();
    for index in 0..count {
        let draw = split_mix_64(seed + index);
        let [x, y] = [draw & 0x3ff, draw >> 10 & 0x3ff].map(|value| value as i32 - 512);
        let class = usize::from(x * x + y * y < 300 * 300);
        lanes.push(vec![x, y]);
        samples.push(Sample { inputs: vec![f64::from(x) / 512.0, f64::from(y) / 512.0], class });
    }
    (lanes, samples)
}

fn image_window(size: u16, kernel: u16, pad: u16, channels: u16) -> Window {
    let out = size + 2 * pad - kernel + 1;
    Window {
        name: String::new(),
        in_height: size,
        in_width: size,
        channels,
        height: kernel,
        width: kernel,
        stride_y: 1,
        stride_x: 1,
        pad_top: pad,
        pad_left: pad,
        out_height: out,
        out_width: out,
    }
}

/// 6 × 6 images with a horizontal (class 0) or vertical (class 1) bar in noise.
fn bars(count: u64, seed: u64) -> (Vec<Vec<i32>>, Vec<Sample>) {
    (0..count)
        .map(|index| {
            let draw = split_mix_64(seed + index);
            let class = (draw & 1) as usize;
            let (row, column) = ((draw >> 1) % 6, (draw >> 8) % 4);
            let lanes: Vec<i32> = (0..36)
                .map(|pixel| {
                    let noise = (split_mix_64(draw + 1 + pixel) % 41) as i32 - 20;
                    let (y, x) = (pixel / 6, pixel % 6);
                    let (along, across) = if class == 0 { (x, y) } else { (y, x) };
                    let on = across == row && (column..column + 3).contains(&along);
                    noise + if on { 100 } else { 0 }
                })
                .collect();
            let inputs = lanes.iter().map(|lane| f64::from(*lane) / 128.0).collect();
            (lanes, Sample { inputs, class })
        })
        .unzip()
}

fn small_cnn() -> FloatNetwork {
    let pool = Window {
        stride_y: 2,
        stride_x: 2,
        out_height: 3,
        out_width: 3,
        ..image_window(6, 2, 0, 4)
    };
    FloatNetwork {
        layers: vec![
            Layer::random(Kind::Convolution(image_window(6, 3, 1, 1)), 36, 4, true, 3),
            Layer::random(Kind::PoolMax(pool), 144, 4, false, 4),
            Layer::random(Kind::Dense, 36, 2, false, 5),
        ],
    }
}

#[test]
fn a_perceptron_learns_what_no_line_can_part() {
    let (lanes, samples) = ring(1200, 1 << 32);
    let (test_lanes, test) = ring(600, 2 << 32);
    let mut network = FloatNetwork::perceptron(2, &[12], 1, 7);
    let settings = TrainSettings::default();
    let report = train(&mut network, &samples[..1000], &samples[1000..], &settings).unwrap();
    assert!(report.validation_loss[0] > 2.0 * report.validation_loss[report.epochs - 1]);
    let float = accuracy(&network, &test);
    assert!(float > 0.97, "{float}");

    let integers = quantise(&network, &[1.0 / 512.0; 2], &lanes, Element::I16).unwrap();
    let alike = test_lanes.iter().zip(&test).filter(|(lanes, sample)| {
        (integers.forward(lanes)[0] > 0) == (network.classify(&sample.inputs) == 1)
    });
    assert!(alike.count() >= 597);
    let mut again = FloatNetwork::perceptron(2, &[12], 1, 7);
    train(&mut again, &samples[..1000], &samples[1000..], &settings).unwrap();
    assert_eq!(again, network, "training is deterministic");
}

/// With activations of 8 bits, training that knows of the rounding loses less than rounding
/// afterwards.
#[test]
fn training_with_rounding_is_no_worse_than_rounding_afterwards() {
    let (lanes, samples) = ring(1000, 3 << 32);
    let (test_lanes, test) = ring(1000, 4 << 32);
    let right = |bits| {
        let mut network = FloatNetwork::perceptron(2, &[6], 1, 7);
        let settings = TrainSettings { quantised_bits: bits, ..TrainSettings::default() };
        train(&mut network, &samples, &[], &settings).unwrap();
        let integers = quantise(&network, &[1.0 / 512.0; 2], &lanes, Element::I8).unwrap();
        test_lanes
            .iter()
            .zip(&test)
            .filter(|(lanes, sample)| usize::from(integers.forward(lanes)[0] > 0) == sample.class)
            .count()
    };
    let (afterwards, aware) = (right(None), right(Some(8)));
    assert!(aware + 10 >= afterwards && aware > 940, "{aware} aware, {afterwards} afterwards");
}

#[test]
fn a_small_convolution_network_learns_and_equals_the_machine() {
    let (lanes, samples) = bars(400, 1 << 40);
    let (test_lanes, test) = bars(200, 2 << 40);
    let mut network = small_cnn();
    let settings = TrainSettings { epochs: 15, ..TrainSettings::default() };
    train(&mut network, &samples, &[], &settings).unwrap();
    assert!(accuracy(&network, &test) > 0.97, "{}", accuracy(&network, &test));
    // Pixels of one byte, so that the whole image fits an event.
    let mut integers = quantise(&network, &[1.0 / 128.0; 36], &lanes, Element::I8).unwrap();
    integers.input_element = Element::I8;
    let right = test_lanes
        .iter()
        .zip(&test)
        .filter(|(lanes, s)| super::float::class_of(&integers.forward(lanes)) == s.class);
    assert!(right.count() >= 192);
    equals_the_machine(&integers, &test_lanes[..60]);
}

/// Compiles the network's program, verifies it and compares every decision.
fn equals_the_machine(network: &IntegerNetwork, inputs: &[Vec<i32>]) {
    let text = program_text(network, "net", "net.json").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.json");
    network.to_model_file(Vec::new()).write(&file).unwrap();
    let files = rmt_lang::DirectoryLoader::beside(&folder.path().join("net.rmt"));
    let program = rmt_lang::compile("net.rmt", &text, &files)
        .unwrap_or_else(|errors| panic!("{}\n{text}", errors.render(false)));
    verify(&program, &Limits::default()).unwrap_or_else(|violations| panic!("{violations:?}"));
    let mut machine = Machine::new(&program).unwrap();
    let bytes = network.input_element.bytes();
    for lanes in inputs {
        let mut event = Event::new(program.hook.number, 0, 1);
        for (lane, value) in lanes.iter().enumerate() {
            event.store(16 + lane * bytes, bytes, i64::from(*value) as u64);
        }
        let decision = machine.run(&event);
        let outputs = network.forward(lanes);
        let expected: Vec<i64> = match outputs.as_slice() {
            [y] => vec![i64::from(*y > 0), (*y).into()],
            [a, b] => vec![i64::from(b > a), (*a).into(), (*b).into()],
            all => {
                let class = super::float::class_of(all);
                vec![class as i64, all[class].into()]
            }
        };
        let found: Vec<i64> = decision.outputs.iter().map(|word| *word as i64).collect();
        assert_eq!(found[..expected.len()], expected, "{lanes:?}");
    }
}

#[test]
fn integer_training_learns_and_equals_the_machine() {
    let (lanes, samples) = ring(20_000, 5 << 32);
    let settings = IntegerTrainSettings { hidden: 16, ..IntegerTrainSettings::default() };
    let mut trainer = IntegerTrainer::new(&[512, 512], &settings).unwrap();
    let mut right = Vec::new();
    for (lanes, sample) in lanes.iter().zip(&samples) {
        right.push(trainer.learn(lanes, sample.class == 1));
    }
    // Prequential: each sample is judged before it is learnt.
    let share = |part: &[bool]| part.iter().filter(|r| **r).count() as f64 / part.len() as f64;
    assert!(share(&right[18_000..]) > 0.95, "{}", share(&right[18_000..]));
    assert!(share(&right[..500]) < share(&right[18_000..]));
    let network = trainer.to_integer_network().unwrap();
    let (test_lanes, test) = ring(1000, 6 << 32);
    let quantised = test_lanes
        .iter()
        .zip(&test)
        .filter(|(lanes, s)| usize::from(network.forward(lanes)[0] > 0) == s.class)
        .count();
    assert!(quantised > 930, "{quantised}");
    equals_the_machine(&network, &test_lanes[..40]);
    for bad in [
        IntegerTrainSettings { hidden: 0, ..settings },
        IntegerTrainSettings { rate_shift: 0, ..settings },
        IntegerTrainSettings { rate_shift: 15, ..settings },
    ] {
        assert!(IntegerTrainer::new(&[1], &bad).is_err());
    }
    // Extreme lanes and magnitudes neither overflow nor panic.
    let mut extreme = IntegerTrainer::new(&[0, i32::MIN, i32::MAX], &settings).unwrap();
    for _ in 0..2000 {
        extreme.learn(&[i32::MAX, i32::MIN, i32::MIN], true);
        extreme.learn(&[i32::MIN, i32::MAX, i32::MAX], false);
    }
    extreme.to_integer_network().unwrap();
}

#[test]
fn every_kind_of_step_equals_the_machine() {
    let scale = |multiplier| rmt_isa::program::ChannelScale { multiplier, shift: 9 };
    let weights = |count: u64, seed| {
        (0..count).map(|i| (split_mix_64(seed + i) % 255) as i32 as u8 as i8).collect::<Vec<i8>>()
    };
    let network = IntegerNetwork {
        inputs: 16,
        input_element: Element::I8,
        steps: vec![
            Step::Convolve {
                window: image_window(4, 2, 0, 1),
                weights: weights(12, 1),
                bias: vec![100, -2000, 7],
            },
            Step::Requantise {
                channels: vec![scale(9), scale(5), scale(3)],
                zero_point: -3,
                element: Element::I16,
            },
            Step::AtLeast(-90),
            Step::AtMost(120),
            Step::PoolSum(image_window(3, 2, 0, 3)),
            Step::Requantise { channels: vec![scale(100)], zero_point: 5, element: Element::I8 },
            Step::PoolMax(image_window(2, 2, 0, 3)),
            Step::MatMul { weights: weights(12, 9), bias: vec![1, 2, 3, -4] },
        ],
    };
    assert_eq!(network.macs(), 12 * 9 + 12);
    let inputs: Vec<Vec<i32>> = (0..40)
        .map(|row| (0..16).map(|i| split_mix_64(row * 16 + i) as i8 as i32).collect())
        .collect();
    let outputs: Vec<_> = inputs.iter().map(|lanes| network.forward(lanes)).collect();
    assert!(outputs.windows(2).any(|pair| pair[0] != pair[1]));
    equals_the_machine(&network, &inputs);
}

#[test]
fn bad_data_is_refused_with_its_reason() {
    let (_, samples) = ring(50, 7 << 32);
    let network = || FloatNetwork::perceptron(2, &[3], 1, 1);
    let refused = |training: &[Sample], settings: &TrainSettings| {
        train(&mut network(), training, &[], settings).unwrap_err().to_string()
    };
    let good = TrainSettings::default();
    assert!(refused(&[], &good).contains("no sample"));
    let one_class: Vec<_> = samples.iter().filter(|s| s.class == 1).cloned().collect();
    assert!(refused(&one_class, &good).contains("have class 1"));
    let mut odd = samples.clone();
    odd[3].inputs.push(0.0);
    assert!(refused(&odd, &good).contains("sample 3"));
    odd[3].inputs = vec![f64::NAN, 0.0];
    assert!(refused(&odd, &good).contains("NaN"));
    odd[3] = Sample { inputs: vec![0.0; 2], class: 2 };
    assert!(refused(&odd, &good).contains("class 2"));
    for settings in [
        TrainSettings { epochs: 0, ..good },
        TrainSettings { batch: 0, ..good },
        TrainSettings { learning_rate: f64::NAN, ..good },
        TrainSettings { quantised_bits: Some(7), ..good },
    ] {
        assert!(refused(&samples, &settings).contains("setting"));
    }
    let mut broken = network();
    broken.layers[0].weights[1] = f64::NAN;
    assert!(matches!(broken.check(), Err(LearnError::Model { .. })));
    assert!(quantise(&broken, &[1.0; 2], &[vec![1, 1]], Element::I8).is_err());
    assert!(quantise(&network(), &[1.0; 2], &[], Element::I8).is_err());
    assert!(quantise(&network(), &[0.0, 1.0], &[vec![1, 1]], Element::I8).is_err());
    assert!(quantise(&network(), &[1.0; 3], &[vec![1; 3]], Element::I8).is_err());
}

#[test]
fn integer_networks_that_cannot_run_are_refused() {
    let of = |steps| IntegerNetwork { inputs: 4, input_element: Element::I16, steps };
    let product = |weights, bias| Step::MatMul { weights, bias };
    let refused = |network: IntegerNetwork| network.check().unwrap_err().to_string();
    assert!(refused(of(vec![product(vec![1; 5], vec![0])])).contains("5 weights"));
    let twice = vec![product(vec![1; 4], vec![0]), product(vec![1], vec![0])];
    assert!(refused(of(twice)).contains("8 or 16 bits"));
    let full = product(vec![127; 4], vec![i32::MAX]);
    assert!(refused(of(vec![full])).contains("beyond 32 bits"));
    assert!(refused(of(vec![Step::PoolMax(image_window(3, 2, 0, 1))])).contains("covers 9"));
    let channels = vec![rmt_isa::program::ChannelScale { multiplier: 1, shift: 63 }];
    let scale = Step::Requantise { channels, zero_point: 0, element: Element::I8 };
    assert!(refused(of(vec![scale])).contains("63"));
    let large = IntegerNetwork { inputs: 257, input_element: Element::I8, steps: Vec::new() };
    assert!(refused(large.clone()).contains("257 lanes"));
    let wide = IntegerNetwork { inputs: 49, ..large };
    assert!(program_text(&wide, "n", "n.json").unwrap_err().to_string().contains("49 bytes"));
    assert!(program_text(&of(Vec::new()), "1n", "n.json").is_err());
}
