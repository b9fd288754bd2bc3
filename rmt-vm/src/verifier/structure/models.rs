//! Tensors, requantisation scales and window geometries.

use rmt_isa::arithmetic::MAX_REQUANTISE_SHIFT;
use rmt_isa::limits::{MAX_CAPACITY, MAX_DIMENSIONS, VECTOR_LANES};
use rmt_isa::program::{Scale, Tensor, Window};

use crate::verifier::findings::{Findings, group_digits, plural};
use crate::verifier::rules::Rule;
use crate::verifier::violation::Place;

/// The model that an object belongs to exists.
pub(super) fn check_model(findings: &mut Findings<'_>, place: &Place, model: u16) {
    let count = findings.program.models.len();
    if usize::from(model) >= count {
        let reason = format!(
            "it belongs to model {model}, the program has {}",
            plural(count as u64, "model")
        );
        let remedy = "name a model that exists; indices count from 0";
        findings.refuse(Rule::UnknownIndex, place.clone(), reason, remedy);
    }
}

/// Shapes as large as their values, values in range.
pub(super) fn check_tensors(findings: &mut Findings<'_>) {
    for (index, tensor) in findings.program.tensors.iter().enumerate() {
        if findings.full() {
            return;
        }
        let place = findings.object("tensor", index, &tensor.name);
        check_model(findings, &place, tensor.model);
        if let Some((reason, remedy)) = fault_of_shape(tensor) {
            findings.refuse(Rule::TensorShape, place, reason, remedy);
            continue;
        }
        let range = tensor.element.min()..=tensor.element.max();
        if let Some(at) = tensor.values.iter().position(|value| !range.contains(value)) {
            let reason = format!("value {at} is {}, outside {}", tensor.values[at], tensor.element);
            let remedy = format!(
                "quantise it to {} to {}, or use a wider element type",
                range.start(),
                range.end()
            );
            findings.refuse(Rule::TensorRange, place, reason, remedy);
        }
    }
}

/// A shape in words: `10 × 15`.
pub(in crate::verifier) fn shape_text(shape: &[u32]) -> String {
    let lengths: Vec<_> = shape.iter().take(8).map(u32::to_string).collect();
    lengths.join(" × ")
}

fn fault_of_shape(tensor: &Tensor) -> Option<(String, String)> {
    let shape = &tensor.shape;
    if shape.is_empty() || shape.len() > MAX_DIMENSIONS {
        let reason = plural(shape.len() as u64, "dimension");
        return Some((reason, format!("use 1 to {MAX_DIMENSIONS}")));
    }
    let elements = shape.iter().try_fold(1_u64, |size, &n| size.checked_mul(n.into()));
    let most = MAX_CAPACITY as u64;
    let text = shape_text(shape);
    match elements {
        Some(elements) if (1..=most).contains(&elements) => {
            let found = tensor.values.len() as u64;
            (found != elements).then(|| {
                let reason = format!(
                    "{text} is {}, there are {}",
                    plural(elements, "element"),
                    plural(found, "value")
                );
                (reason, "correct the shape or the values".into())
            })
        }
        _ => {
            let reason = format!("{text} elements");
            Some((reason, format!("use 1 to {} elements", group_digits(most))))
        }
    }
}

/// Multipliers and shifts as [`rmt_isa::arithmetic::requantise`] allows them.
pub(super) fn check_scales(findings: &mut Findings<'_>) {
    for (index, scale) in findings.program.scales.iter().enumerate() {
        if findings.full() {
            return;
        }
        let place = findings.object("scale", index, &scale.name);
        check_model(findings, &place, scale.model);
        if let Some((reason, remedy)) = fault_of_scale(scale) {
            findings.refuse(Rule::BadScale, place, reason, remedy);
        }
    }
}

fn fault_of_scale(scale: &Scale) -> Option<(String, String)> {
    let count = scale.channels.len();
    if count == 0 || count > VECTOR_LANES {
        let reason = plural(count as u64, "channel");
        return Some((reason, format!("give one for all lanes, or 2 to {VECTOR_LANES}")));
    }
    scale.channels.iter().enumerate().find_map(|(channel, scale)| {
        if scale.multiplier < 0 {
            let reason = format!("the multiplier of channel {channel} is {}", scale.multiplier);
            return Some((reason, "use 0 or more; negate the weights instead".to_string()));
        }
        if !(1..=MAX_REQUANTISE_SHIFT).contains(&scale.shift) {
            let reason = format!("the shift of channel {channel} is {}", scale.shift);
            let remedy = format!("use 1 to {MAX_REQUANTISE_SHIFT}; adapt the multiplier");
            return Some((reason, remedy));
        }
        None
    })
}

/// Every place of a window overlaps the input.
pub(super) fn check_windows(findings: &mut Findings<'_>) {
    for (index, window) in findings.program.windows.iter().enumerate() {
        if findings.full() {
            return;
        }
        if let Some((reason, remedy)) = fault_of_window(window) {
            let place = findings.object("window", index, &window.name);
            findings.refuse(Rule::BadWindow, place, reason, remedy);
        }
    }
}

fn fault_of_window(window: &Window) -> Option<(String, String)> {
    let lengths = [
        ("input height", window.in_height),
        ("input width", window.in_width),
        ("number of channels", window.channels),
        ("window height", window.height),
        ("window width", window.width),
        ("vertical stride", window.stride_y),
        ("horizontal stride", window.stride_x),
        ("output height", window.out_height),
        ("output width", window.out_width),
    ];
    if let Some((what, _)) = lengths.into_iter().find(|&(_, length)| length == 0) {
        return Some((format!("the {what} is 0"), "use 1 or more".into()));
    }
    let lanes = |height: u16, width: u16, channels: u16| {
        u64::from(height) * u64::from(width) * u64::from(channels)
    };
    let input = lanes(window.in_height, window.in_width, window.channels);
    let output = lanes(window.out_height, window.out_width, 1);
    let taps = lanes(window.height, window.width, 1);
    for (what, lanes) in [("input", input), ("output", output), ("window", taps)] {
        if lanes > VECTOR_LANES as u64 {
            let reason = format!("the {what} has {} lanes", group_digits(lanes));
            return Some((reason, format!("a vector register has {VECTOR_LANES}; use less")));
        }
    }
    fault_of_axis(
        "row",
        "top",
        (window.in_height, window.height, window.stride_y, window.pad_top, window.out_height),
    )
    .or_else(|| {
        fault_of_axis(
            "column",
            "left",
            (window.in_width, window.width, window.stride_x, window.pad_left, window.out_width),
        )
    })
}

/// One axis: input length, window length, stride, padding before, output length.
fn fault_of_axis(
    what: &str,
    side: &str,
    (input, window, stride, pad, output): (u16, u16, u16, u16, u16),
) -> Option<(String, String)> {
    if pad >= window {
        let reason = format!("{pad} {what}s of padding on the {side} hide a window of {window}");
        return Some((reason, format!("pad by at most {}", window - 1)));
    }
    // First row of the last place, counted from the padding.
    let last = (u32::from(output) - 1) * u32::from(stride);
    if last >= u32::from(input) + u32::from(pad) {
        let most = (u32::from(input) + u32::from(pad) - 1) / u32::from(stride) + 1;
        let reason = format!(
            "the last of {output} places begins at {what} {}, the input has {input}",
            last - u32::from(pad)
        );
        return Some((reason, format!("use an output of at most {most} {what}s")));
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    #[test]
    fn tensors_have_a_shape_as_large_as_their_values() {
        for (shape, reason) in [
            (vec![], "0 dimensions"),
            (vec![1, 1, 1, 4, 8], "5 dimensions"),
            (vec![4, 7], "4 × 7 is 28 elements, there are 32 values"),
            (vec![0, 8], "0 × 8 elements"),
            (vec![u32::MAX; 4], "4294967295 × 4294967295"),
        ] {
            let mut fixture = Fixture::new("exit decided");
            fixture.program.tensors[0].shape = shape;
            refused_by(&fixture, Rule::TensorShape, reason);
        }
    }

    #[test]
    fn tensors_hold_values_of_their_element_type() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tensors[0].values[5] = -128;
        fixture.accepted();
        fixture.program.tensors[0].values[5] = 128;
        refused_by(&fixture, Rule::TensorRange, "value 5 is 128, outside i8");
    }

    #[test]
    fn objects_belong_to_a_model() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tensors[1].model = 7;
        refused_by(&fixture, Rule::UnknownIndex, "it belongs to model 7, the program has 1 model");
        let mut fixture = Fixture::new("exit decided");
        fixture.program.scales[0].model = 1;
        refused_by(&fixture, Rule::UnknownIndex, "it belongs to model 1");
        let mut fixture = Fixture::new("exit decided");
        fixture.program.forests[0].model = 2;
        refused_by(&fixture, Rule::UnknownIndex, "it belongs to model 2");
    }

    #[test]
    fn scales_stay_where_requantise_is_defined() {
        for (multiplier, shift, fault) in [
            (0, 1, None),
            (i32::MAX, 62, None),
            (-1, 5, Some("the multiplier of channel 0 is -1")),
            (1, 0, Some("the shift of channel 0 is 0")),
            (1, 63, Some("the shift of channel 0 is 63")),
        ] {
            let mut fixture = Fixture::new("exit decided");
            fixture.program.scales[0].channels[0].multiplier = multiplier;
            fixture.program.scales[0].channels[0].shift = shift;
            match fault {
                None => _ = fixture.accepted(),
                Some(reason) => refused_by(&fixture, Rule::BadScale, reason),
            }
        }
        let mut fixture = Fixture::new("exit decided");
        fixture.program.scales[0].channels.clear();
        refused_by(&fixture, Rule::BadScale, "0 channels");
    }

    #[test]
    fn windows_overlap_their_input_at_every_place() {
        let fixture = |change: fn(&mut rmt_isa::program::Window)| {
            let mut fixture = Fixture::new("exit decided");
            change(&mut fixture.program.windows[0]);
            fixture
        };
        // The fixture's window: 4 × 4 × 2, window 3 × 3, stride 1, padding 1, output 4 × 4.
        fixture(|w| (w.stride_y, w.out_height) = (2, 2)).accepted();
        fixture(|w| w.out_height = 5).accepted();
        let cases = [
            (fixture(|w| w.stride_x = 0), "the horizontal stride is 0"),
            (fixture(|w| w.in_height = u16::MAX), "the input has 524 280 lanes"),
            (fixture(|w| w.out_width = u16::MAX), "the output has 262 140 lanes"),
            (fixture(|w| w.height = 100), "the window has 300 lanes"),
            (fixture(|w| w.pad_top = 3), "3 rows of padding on the top hide a window of 3"),
            (fixture(|w| w.out_height = 6), "the last of 6 places begins at row 4"),
            (fixture(|w| w.stride_x = 3), "the last of 4 places begins at column 8"),
        ];
        for (fixture, reason) in cases {
            refused_by(&fixture, Rule::BadWindow, reason);
        }
    }
}
